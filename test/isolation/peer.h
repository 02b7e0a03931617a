/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hostile peers: one table, one function each.
 *
 * Each peer is a process of its own, and has two ports of its own. Its function prepares the
 * attack, calls peer_attacks(), and then attacks until the process is killed. It calls peer_step()
 * after each round. The calls are counted, so a peer that does nothing is detected.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Which port of the switch has which user. */
enum { PORT_LEFT, PORT_RIGHT, PORT_ASKER, PORT_NEWCOMER, PORT_HOSTILE, PORT_ACCOMPLICE, PORTS };

/* The number of further ports for peers with NEEDS_CROWD. */
#define CROWD 500

/* What a peer needs of the switch, and how its run is judged. */
enum {
	NEEDS_NOTHING = 0,
	NEEDS_IOMMU = 1 << 0,  /* --iommu */
	NEEDS_INBAND = 1 << 1, /* --inband-notifications */
	NEEDS_PIPE = 1 << 2,   /* the switch's stderr is a pipe that is not read */
	NEEDS_FUSE = 1 << 3,   /* /dev/fuse, and mounts */
	NEEDS_CROWD = 1 << 4,  /* CROWD further ports */
	FLOODS = 1 << 5,       /* fills its neighbours' rings: frames may be lost there */
	LASTS = 1 << 6,        /* measure for a longer time, because some costs occur only once */
};

/* Memory that the peer shares with the process that measures. */
struct peer_state {
	volatile bool attacks; /* the peer has prepared itself and attacks */
	volatile uint64_t steps;
	char problem[160]; /* why the peer cannot attack; empty: it can */
};

struct peer_world {
	char path[PORTS][96]; /* sockets */
	char dir[96];         /* for files; removed with the switch */
	struct peer_state *state;
};

struct peer {
	const char *name, *what;
	unsigned needs;
	void (*run)(struct peer_world *w);
};

extern const struct peer peers[];
extern const unsigned n_peers;

void peer_attacks(struct peer_world *w);
void peer_step(struct peer_world *w);
/*
 * peer_step() after a sleep of some microseconds, in which the switch works on what the guest has
 * offered.
 */
void peer_nap(struct peer_world *w);
/* Report that the peer cannot attack, and end its process. error: negative errno, or 0. */
_Noreturn void peer_fail(struct peer_world *w, const char *what, int error);
/* peer_fail() unless error is 0. */
void peer_must(struct peer_world *w, int error, const char *what);

/* Let n entries of epoll sets watch copies of a descriptor, at most 1,000 in each set. */
void peer_watch(struct peer_world *w, int fd, unsigned n);

/* name, needs, what it does. */
#define PEERS_OF_RINGS(X) \
	X(zero_length_receive, NEEDS_NOTHING, \
	    "256 receive chains, each a table of 32,768 descriptors of length 0; broadcasts") \
	X(zero_length_transmit, NEEDS_NOTHING, \
	    "128 transmit queues full of tables of 32,768 descriptors of length 0") \
	X(ring_long_tables, NEEDS_NOTHING, \
	    "128 transmit queues full of tables as long as the ring, a byte each") \
	X(long_chains, NEEDS_NOTHING, "chains of as many descriptors as the ring has") \
	X(endless_chains, NEEDS_NOTHING, "tables whose descriptors go round in a circle") \
	X(faulty_transmit, NEEDS_NOTHING, \
	    "rings of 32,768 chains that point outside of memory, on 128 queues") \
	X(faulty_receive, NEEDS_NOTHING, \
	    "a receive ring of 32,768 chains outside of memory; broadcasts") \
	X(tiny_receive, NEEDS_NOTHING, \
	    "receive buffers of 13 bytes that a frame of 64 KB has to be spread over") \
	X(fragments, NEEDS_NOTHING, "frames of 64 KB cut into 200 descriptors of odd sizes") \
	X(scribbler, NEEDS_NOTHING, \
	    "random words into its split and packed rings, restarted when broken") \
	X(broken_rings, NEEDS_NOTHING, "rings that break, are resumed and break again") \
	X(kick_storm, NEEDS_NOTHING, "kicks of 256 empty rings as fast as they go") \
	X(call_storm, NEEDS_NOTHING, "calls wanted for every frame, on 128 queue pairs") \
	X(punched_memory, NEEDS_NOTHING, "pages of its buffers are taken away all the time") \
	X(cut_memory, NEEDS_NOTHING, \
	    "its memory file is cut short under its rings, again and again") \
	X(logged_memory, NEEDS_NOTHING, "a dirty log of 1 GiB, marked all over") \
	X(iommu_misses, NEEDS_IOMMU, \
	    "chains of as many untranslated pages as fit; nobody answers") \
	X(iommu_invalidations, NEEDS_IOMMU, \
	    "translations that come and go as fast as messages do") \
	X(many_regions, NEEDS_NOTHING, "tables of 250 descriptors, each in another of 400 regions")

#define PEERS_OF_FRAMES(X) \
	X(unicast_flood, FLOODS, "60-byte frames to nobody known, one queue") \
	X(broadcast_flood, FLOODS, "60-byte broadcasts, one queue") \
	X(broadcast_128, FLOODS, "60-byte broadcasts on 128 queue pairs") \
	X(address_churn, FLOODS, "each frame from another address to another address") \
	X(flow_churn, FLOODS, "frames to a neighbour on 128 queue pairs, each another flow") \
	X(tso_unicast, NEEDS_NOTHING, \
	    "65 KB TSO frames of 44-byte segments to a receiver without TSO or buffers") \
	X(tso_broadcast, FLOODS, "the same to everybody") \
	X(tso_one_byte, NEEDS_NOTHING, "the same with segments of one byte") \
	X(tso_128, NEEDS_NOTHING, "the same on 128 queue pairs") \
	X(checksum_flood, NEEDS_NOTHING, \
	    "65 KB frames whose checksum the switch has to make, 128 queues") \
	X(self_addressed, NEEDS_NOTHING, "frames to its own address on 128 queue pairs") \
	X(sleeping_receiver, FLOODS, \
	    "broadcasts to an accomplice with 128 queues that take nothing")

#define PEERS_OF_MESSAGES(X) \
	X(enable_toggle, NEEDS_NOTHING, "SET_VRING_ENABLE 0 and 1 as fast as it goes") \
	X(call_swap, NEEDS_NOTHING, "SET_VRING_CALL with another eventfd as fast as it goes") \
	X(ring_restart, NEEDS_NOTHING, "GET_VRING_BASE and SET_VRING_KICK of a ring in turn") \
	X(memory_toggle, NEEDS_NOTHING, "SET_MEM_TABLE with 7 and 8 regions in turn") \
	X(memory_slots, NEEDS_NOTHING, "ADD_MEM_REG up to the limit and REM_MEM_REG") \
	X(sparse_slots, NEEDS_NOTHING, "ADD_MEM_REG and REM_MEM_REG of 16 sparse files of 64 GiB") \
	X(feature_toggle, NEEDS_NOTHING, "SET_FEATURES with and without the dirty log") \
	X(log_toggle, NEEDS_NOTHING, "SET_LOG_BASE with other sizes") \
	X(announcements, FLOODS, "SEND_RARP as fast as it goes, each another address") \
	X(questions, NEEDS_NOTHING, "GET_FEATURES without reading the answers") \
	X(questions_read, NEEDS_NOTHING, "GET_CONFIG, answers read, many in flight") \
	X(unknown_messages, NEEDS_NOTHING, "messages that do not exist") \
	X(refused_messages, NEEDS_NOTHING, "messages with values that are refused") \
	X(device_state, NEEDS_NOTHING, "SET_DEVICE_STATE_FD, save and load, as fast as it goes") \
	X(inband_kicks, NEEDS_INBAND, "VRING_KICK as fast as it goes") \
	X(channels, NEEDS_NOTHING, "SET_BACKEND_REQ_FD with sockets that are full") \
	X(resets, NEEDS_NOTHING, "RESET_DEVICE and a start as fast as it goes")

#define PEERS_OF_CROWDS(X) \
	X(crowd_enable, NEEDS_CROWD, "SET_VRING_ENABLE as fast as it goes beside 500 idle ports") \
	X(crowd_kicks, NEEDS_CROWD, "kicks of 500 idle ports in turn") \
	X(crowd_questions, NEEDS_CROWD, "GET_FEATURES from 500 ports as fast as it goes") \
	X(crowd_memory, NEEDS_CROWD, "SET_MEM_TABLE from 500 ports as fast as it goes") \
	X(crowd_large, NEEDS_CROWD | FLOODS | LASTS, \
	    "broadcasts of 65 KB to 500 ports that take them all") \
	X(crowd_blocking, NEEDS_CROWD, "call eventfds of 500 ports that are full and block")

#define PEERS_OF_SHARED_THINGS(X) \
	X(slow_socket, NEEDS_NOTHING, "questions by a socket with 160,000 epoll entries") \
	X(slow_channel, NEEDS_IOMMU, "a back-end channel with 160,000 epoll entries") \
	X(mapped_often, NEEDS_NOTHING, \
	    "memory that is mapped 40,000 times and punched, added and removed")

#define PEERS_OF_FILES(X) \
	X(fuse_close, NEEDS_FUSE, \
	    "files of a FUSE server that never answers, with messages that take none") \
	X(fuse_call, NEEDS_FUSE, "the same as call and kick eventfds") \
	X(fuse_memory, NEEDS_FUSE, "the same as guest memory, with frames that touch it") \
	X(fuse_log, NEEDS_FUSE, "the same as dirty log and as in-flight area") \
	X(blocking_calls, NEEDS_NOTHING, \
	    "256 call eventfds that are full and block; SET_MEM_TABLE") \
	X(blocking_calls_traffic, FLOODS, "the same, and calls wanted for every frame") \
	X(blocking_calls_again, NEEDS_NOTHING, "the same, with a new connection each time") \
	X(slow_calls, NEEDS_NOTHING, "call eventfds with 160,000 epoll entries each; frames") \
	X(turning_blocking, NEEDS_NOTHING, "call eventfds that are quick, then full and block") \
	X(turning_slow, LASTS, "call eventfds that are quick, then have 100,000 epoll entries") \
	X(full_kicks, NEEDS_NOTHING, "kick eventfds that are full and stay readable") \
	X(slow_close_epoll, LASTS, "the last descriptor of 100,000 epoll entries") \
	X(slow_close_memory, NEEDS_NOTHING, "the last descriptor of a file of 1 GiB in memory") \
	X(slow_unmap, NEEDS_NOTHING, "guest memory of 1 GiB whose last user is the switch") \
	X(nested_sockets, NEEDS_NOTHING, "sockets with 250 descriptors under way in each") \
	X(many_descriptors, NEEDS_NOTHING, "250 descriptors with each message")

#define PEERS_OF_PIPES(X) \
	X(pipe_hostage, LASTS, \
	    "device state through a pipe whose lock another process holds for ever") \
	X(slow_pipe, NEEDS_NOTHING, \
	    "device state through a pipe with 160,000 epoll entries at each end")

#define PEERS_OF_CONNECTIONS(X) \
	X(connect_storm, NEEDS_NOTHING, "connect and hang up as fast as it goes") \
	X(garbage_storm, NEEDS_NOTHING, "connect, send garbage, hang up") \
	X(attach_storm, NEEDS_NOTHING, "connect, start 2 rings, hang up") \
	X(attach_128, NEEDS_NOTHING, "connect, start 256 rings, hang up") \
	X(half_messages, NEEDS_NOTHING, "messages a byte at a time") \
	X(waiting_line, NEEDS_NOTHING, "200 connections that wait for a busy socket") \
	X(full_stderr, NEEDS_PIPE, "connect and hang up while nobody reads the log")

#define PEERS_OF_RESOURCES(X) \
	X(address_space, NEEDS_NOTHING, "sparse files until no address space is left") \
	X(inflight_area, NEEDS_NOTHING, \
	    "an in-flight area for 256 rings of 32,768 entries, rings of 256") \
	X(inflight_churn, NEEDS_NOTHING, "GET_INFLIGHT_FD and SET_INFLIGHT_FD as fast as it goes") \
	X(descriptors, NEEDS_NOTHING, "as many descriptors as 256 rings can hold, and more") \
	X(big_rings, NEEDS_NOTHING, "256 rings of 32,768 entries, and frames on each")

#define PEERS_OF_CLIENTS(X) \
	X(control_garbage, NEEDS_NOTHING, \
	    "lines to the control socket that are too long, too deep, too many or no requests") \
	X(control_wrong, NEEDS_NOTHING, "batches of 100 requests that are refused, answers read") \
	X(control_questions, NEEDS_NOTHING, "batches of 100 schema.get, answers read") \
	X(control_addresses, NEEDS_NOTHING, "fdb.list and port.list as fast as it goes") \
	X(control_connections, NEEDS_NOTHING, "connect to the control socket, ask, hang up") \
	X(control_crowd, NEEDS_NOTHING, \
	    "100 clients that send half a line, or do not read the answers to a batch") \
	X(control_half_lines, NEEDS_NOTHING, "100 clients that send a line without end, slowly") \
	X(control_subscribers, NEEDS_NOTHING, \
	    "60 clients that do not read events; ports added and removed as fast as it goes") \
	X(control_configurations, NEEDS_NOTHING, \
	    "config.apply of 1,024 wrong ports, and of many of which the last is wrong")

#define PEERS(X) \
	PEERS_OF_RINGS(X) \
	PEERS_OF_FRAMES(X) \
	PEERS_OF_MESSAGES(X) \
	PEERS_OF_CROWDS(X) \
	PEERS_OF_SHARED_THINGS(X) \
	PEERS_OF_FILES(X) \
	PEERS_OF_PIPES(X) \
	PEERS_OF_CONNECTIONS(X) \
	PEERS_OF_RESOURCES(X) \
	PEERS_OF_CLIENTS(X)

#define X(name, needs, what) void peer_##name(struct peer_world *w);
PEERS(X)
#undef X

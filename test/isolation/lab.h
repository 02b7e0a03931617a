/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The measuring lab: a switch, two neighbours that exchange frames, a front-end that sends
 * requests, and what the kernel reports about the switch. One run at a time.
 */
#pragma once

#include "../functional/functional.h"
#include "peer.h"

/* What the kernel knows of the switch. */
struct usage {
	unsigned fds, threads;
	uint64_t mapped_kib, private_kib, shared_kib;
};

/* The address space that may stay mapped: malloc keeps 64 MiB for each of a few threads. */
#define MAPPED_LEFT_KIB (4 * 65536 + 4096)
#define LEFT_KIB        1280 /* of private memory: a port's counters and queues stay */

/* The figures of one run. Delays are in us, answers in ms. */
struct figures {
	double p50, p99, max;
	uint64_t sent, lost;
	double answer_max;
	unsigned answers, intruders;
	double newcomer_ms; /* until the 4 GiB of a new front-end were mapped */
	int newcomer;       /* negative errno of the new front-end */
	double timer_max;   /* the longest time that the measuring thread itself was late, us */
	double waits;       /* the time that the only worker waited for its CPU, ms */
	double lines;       /* log lines per second */
	double steps;       /* steps of the peer per second */
	struct usage before, peak, after;
	double term_ms;    /* from SIGTERM to the end; -1: it had to be killed */
	char problem[200]; /* what else was wrong */
};

struct lab {
	struct switch_process sw;
	struct net_driver *nd[2];
	struct frontend asker;
	unsigned n_workers, needs;
	bool foreign; /* another switch, of which only the sockets are known */
	struct peer_state *state;
	pid_t peer;   /* 0: none */
	int waits_fd; /* what the kernel counts of the only worker; -1: of none */
};

/* Start a switch as `needs` says, and connect the neighbours and the asker. */
void lab_open(struct lab *l, unsigned n_workers, unsigned needs);

/* From now on labs are opened with workers that poll and never sleep. */
void lab_poll(void);
/* Connect the neighbours and the asker to a running switch. False: it does not answer. */
bool lab_open_foreign(struct lab *l, const char *const paths[PORTS]);
/* End the lab. A switch that still runs is killed. */
void lab_close(struct lab *l);

/*
 * The time that the only worker was ready to run, and another thread had its CPU, ns so far. 0: not
 * known.
 */
uint64_t lab_worker_waits(const struct lab *l);
/* How many threads of the switch may use a worker's CPU, and are no workers? */
unsigned lab_intruders(const struct lab *l);

/* Start and kill a peer. False: it could not attack. */
bool lab_start_peer(struct lab *l, const struct peer *p);
void lab_kill_peer(struct lab *l);

struct usage lab_usage(const struct lab *l);
/* The usage when it does not change any more. */
struct usage lab_usage_at_rest(const struct lab *l);
/* Wait for some seconds until the usage is not above the one before. Returns the last one. */
struct usage lab_usage_again(const struct lab *l, const struct usage *before);

/*
 * Send SIGTERM. Returns the ms until the switch ended with status 0; -1: it did not end; -2: it
 * ended with another status.
 */
double lab_terminate(struct lab *l);

/* Measure for some seconds. */
void measure(struct lab *l, double seconds, struct figures *f);

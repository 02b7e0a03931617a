/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared by the functional tests: checks that print vswitchd's log if they fail, random numbers
 * from a seed, drivers with usual settings, and streams of numbered frames.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdarg.h>
#include <setjmp.h>

#include <cmocka.h>

#include "base/util.h"
#include "frontend/net_driver.h"
#include "switch_process.h"

#define must(condition, what)         must_at((condition), (what), __FILE__, __LINE__)
#define must_equal(got, wanted, what) must_equal_at((got), (wanted), (what), __FILE__, __LINE__)

void must_at(bool condition, const char *what, const char *file, int line);
void must_equal_at(uint64_t got, uint64_t wanted, const char *what, const char *file, int line);
void print_switch_log(void);

uint64_t now_ns(void);

/*
 * Raise the limit of open files, for this process and its later children, as far as allowed. True:
 * the limit is now at least n.
 */
bool allow_descriptors(unsigned n);

/* splitmix64: one state word, any seed. */
uint64_t random_next(uint64_t *state);
/* A number from low to high, both possible. */
uint32_t random_between(uint64_t *state, uint32_t low, uint32_t high);
void random_fill(uint64_t *state, void *bytes, uint32_t len);

/* Features most tests begin with. */
#define FEATURES_BASE \
	(VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(NET_F_MRG_RXBUF) | VIRTIO_BIT(F_EVENT_IDX) | \
	    VIRTIO_BIT(F_INDIRECT_DESC) | VIRTIO_BIT(F_ANY_LAYOUT) | VIRTIO_BIT(NET_F_MQ))
#define FEATURES_OFFLOAD \
	(VIRTIO_BIT(NET_F_CSUM) | VIRTIO_BIT(NET_F_GUEST_CSUM) | VIRTIO_BIT(NET_F_HOST_TSO4) | \
	    VIRTIO_BIT(NET_F_HOST_TSO6) | VIRTIO_BIT(NET_F_HOST_ECN) | \
	    VIRTIO_BIT(NET_F_HOST_UFO) | VIRTIO_BIT(NET_F_HOST_USO) | \
	    VIRTIO_BIT(NET_F_GUEST_TSO4) | VIRTIO_BIT(NET_F_GUEST_TSO6) | \
	    VIRTIO_BIT(NET_F_GUEST_ECN) | VIRTIO_BIT(NET_F_GUEST_UFO) | \
	    VIRTIO_BIT(NET_F_GUEST_USO4) | VIRTIO_BIT(NET_F_GUEST_USO6))
#define FEATURES_PACKED (FEATURES_BASE | VIRTIO_BIT(F_RING_PACKED))

/* Receive buffers of 2 KiB in one piece; 256 entries; n_pairs queue pairs. */
struct net_config usual_config(uint64_t features, unsigned n_pairs);

/*
 * net_driver_connect(), which may take 8 s. If the control thread loses its CPU twice in ten
 * seconds while it serves a front-end, the front-end has to rest for up to 5 s. 0 or -errno.
 */
int connect_patiently(struct net_driver *nd, const char *path);

/*
 * Create a driver and connect it to port p, or end the test. Its front-end goes on waiting 8 s for
 * each answer.
 */
struct net_driver *attach(struct switch_process *sw, unsigned port, const struct net_config *c);

/* 02:00:00:00:0n:mm */
void station_mac(uint8_t mac[6], unsigned station, unsigned host);

#define ETHERTYPE_TEST 0x88b5

/* Destination, source, ETHERTYPE_TEST and random bytes: a frame of len bytes, 14 or more. */
void make_frame(
    uint8_t *frame, uint32_t len, const uint8_t dst[6], const uint8_t src[6], uint64_t *random);

/* Send, trying again until there is room; fails the test after a while. */
void send_surely(struct net_driver *nd, unsigned pair, const void *frame, uint32_t len,
    const struct virtio_net_hdr *hdr, const struct net_shape *shape);

/* A frame of IPv4 and UDP, without payload. The flow is a part of the source port. */
#define FLOW_LEN 64
void make_flow(uint8_t frame[FLOW_LEN], const uint8_t dst[6], const uint8_t src[6], uint8_t flow);

/*
 * Wait until the switch has returned the buffers of all frames that the driver has sent. Then each
 * of them is delivered, or dropped and counted. Fails the test after a while.
 */
void wait_handled(struct net_driver *nd);

/* Wait for a frame on a pair; false after timeout_ms. A broken ring fails the test. */
bool receive_within(
    struct net_driver *nd, unsigned pair, struct net_frame *ret_frame, unsigned timeout_ms);

/* Let each station send one broadcast, so that all addresses are learned, and empty all queues. */
void introduce(struct net_driver *nd[], unsigned n);

/* Take and forget all frames until none has come for quiet_ms. Returns how many came. */
unsigned drain(struct net_driver *nd, unsigned quiet_ms);

/*
 * A stream: one driver sends numbered frames of random length and content to another driver. At
 * most `window` frames are under way. The test fails if a frame is lost, changed, duplicated or
 * reordered. A lossy stream is for ports that change meanwhile: it may lose frames, and counts
 * them.
 */
struct stream {
	struct net_driver *from, *to;
	unsigned from_pair, id, window;
	uint32_t len_min, len_max;
	uint8_t src[6], dst[6];
	uint64_t sent, received;
	bool lossy;
	uint64_t lost, progress_ns;
	uint64_t late_next, late_end; /* given up, but may still come, in order */
};

/* Send a few frames at most. True: something was sent. */
bool stream_send(struct stream *s);

/*
 * Take all frames that wait at nd, and check each frame of a stream in s[]. Other frames are
 * ignored. Returns how many frames belonged to one of the streams.
 */
unsigned streams_receive(struct stream s[], unsigned n, struct net_driver *nd);

/* Called with every frame that belongs to no stream; NULL: they are ignored. */
extern void (*streams_other)(struct net_driver *nd, const struct net_frame *f);

/* A stream between hosts 0 of stations `from` and `to`: short frames, 64 under way. */
struct stream usual_stream(struct net_driver *nd[], unsigned from, unsigned to, unsigned id);

/*
 * The neighbours of a hostile port, which must not be affected: port 0 (split) and port 1 (packed),
 * with rings of 1,024, and a stream in each direction between them.
 */
void attach_neighbours(
    struct switch_process *sw, struct net_driver *ret_nd[2], struct stream ret_s[2]);

/*
 * Send and receive on all streams for so many ms; then wait until all frames that were sent have
 * arrived.
 */
void streams_run(struct stream s[], unsigned n, unsigned ms);
void streams_step(struct stream s[], unsigned n);
void streams_settle(struct stream s[], unsigned n);

/*
 * Send n frames from nd[0] to nd[1], one by one, a millisecond apart. Before each frame meanwhile()
 * is called, if it is not NULL. ret_ns[] gets the time that each frame took, in ns, sorted. The
 * test fails if a frame takes more than two seconds.
 */
void measure_delays(struct net_driver *nd[2], uint64_t ret_ns[], unsigned n,
    void (*meanwhile)(void *arg), void *arg);

/* One such frame, and its time. The number makes it different from the frame before. */
uint64_t measure_delay(struct net_driver *nd[2], uint64_t number);
void sort_delays(uint64_t ns[], unsigned n);

/* Make an eventfd full and blocking: a write to it waits until it is read. */
void fill_eventfd(int fd);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-net driver on top of a vhost-user front-end. It acts like the driver in a guest, but
 * there is no guest. It polls. Only one thread at a time may use it.
 *
 * Guest memory has two regions: rings, then buffers. Every queue owns as many buffers ("slots") as
 * its ring has entries. A frame lies in its slot in fragments; a shape says how the frame is cut.
 * Between the fragments are gaps with known bytes. If the device has changed a gap, that is
 * reported.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "frontend/frontend.h"
#include "virtio/driver.h"

#define NET_FRAME_MAX   (65535 + 18) /* the longest frame, without net header */
#define NET_PAIRS_MAX   16
#define NET_SHAPE_MAX   128
#define NET_GAP_MAX     64
#define NET_SLOT_TABLE  4096 /* an indirect table lies at the start of every slot */
#define NET_SLOT_BYTES  (NET_SLOT_TABLE + 80 * 1024)
#define NET_RINGS_GPA   UINT64_C(0x100000)
#define NET_BUFFERS_GPA UINT64_C(0x100000000)

/*
 * How net header and frame together are cut into fragments, one for each descriptor. To send a
 * frame, the last fragment takes the rest of the frame. Fragments that would begin behind the end
 * are left out. n 0: one fragment. Fragments of length 0 are not allowed.
 */
struct net_shape {
	unsigned n;
	uint32_t len[NET_SHAPE_MAX];
	unsigned gap;  /* bytes between fragments, at most NET_GAP_MAX */
	bool indirect; /* through an indirect table, if negotiated */
};

struct net_config {
	unsigned n_pairs;               /* queue pairs; 1 to NET_PAIRS_MAX */
	uint16_t ring_size;             /* descriptors */
	uint64_t features;              /* wanted; PROTOCOL_FEATURES is added */
	struct net_shape receive_shape; /* of each receive buffer, net header included */
	unsigned n_receive;             /* receive buffers per queue; 0: as many as fit */
	unsigned n_filled;              /* pairs that get receive buffers at the start; 0: all */
	bool huge;
	bool no_protocol_features;
	bool clean; /* do not write into receive buffers, so that every change is by the device */
	bool iommu; /* with F_ACCESS_PLATFORM in features: act as the IOMMU, too */
	uint64_t protocol_features; /* added to the usual ones; BACKEND_REQ: open a channel */
};

/* One buffer of guest memory and, while the device has it, its fragments. */
struct net_slot {
	uint64_t gpa;
	uint8_t *host;
	struct net_shape shape;
	struct net_slot *next; /* when free */
};

struct net_queue {
	struct driver_ring ring;
	bool ready; /* ring is set up */
	unsigned index;
	int kick_fd, call_fd;
	uint64_t desc, driver, device; /* gpa of the ring's areas */
	uint32_t base;                 /* from the last GET_VRING_BASE */
	struct net_slot *slot, *free;
	unsigned n_outstanding; /* slots that the device has */
	uint32_t n_offered;     /* receive buffers offered so far */
	/* Receiving: a frame of several buffers that is not complete yet. */
	uint8_t *frame;
	uint32_t frame_len;
	unsigned buffers_left;
};

struct net_driver {
	struct frontend fe;
	struct net_config config;
	unsigned hdr_len;
	unsigned n_queues;
	int rings_region, buffers_region;
	struct net_queue queue[2 * NET_PAIRS_MAX];
};

/* A received frame. bytes stay valid until the next net_receive on this pair. */
struct net_frame {
	struct virtio_net_hdr hdr; /* num_buffers is 1 if the header has none */
	const uint8_t *bytes;
	uint32_t len;
};

/* Create the driver and its memory; nothing is connected. 0, -EINVAL, -ENOMEM. */
int net_driver_create(const struct net_config *config, struct net_driver **ret_driver);
void net_driver_destroy(struct net_driver *nd);

/* frontend_connect(), then net_driver_start(). */
int net_driver_connect(struct net_driver *nd, const char *path);

/*
 * On a connected socket: negotiate, send the memory table, start and enable all rings. They are
 * empty.
 */
int net_driver_start(struct net_driver *nd);

/* Empty all rings, as after a reset of the device. All slots are free again. */
int net_driver_reset_rings(struct net_driver *nd);

/* GET_VRING_BASE on all rings; the rings keep their contents. */
int net_driver_stop(struct net_driver *nd);

/* After a stop: start all rings at their positions, with their contents. */
int net_driver_resume(struct net_driver *nd);

/* Send the messages that start one ring at the given base. Do not enable the ring. */
int net_driver_start_ring(struct net_driver *nd, unsigned index, uint32_t base);

/*
 * Reset one ring (virtio 1.2, 2.6.1) and start it again, empty. The other rings continue. The
 * ring's contents are lost. A receive ring gets new buffers.
 */
int net_driver_reset_ring(struct net_driver *nd, unsigned index);

/* SET_VRING_ENABLE for both rings of a pair. */
int net_driver_enable(struct net_driver *nd, unsigned pair, bool enable);

/*
 * Send a frame on a pair's transmit queue. hdr NULL: all zero; shape NULL: one descriptor for the
 * header and one for the frame. 0; -EAGAIN: no room now; -EBADMSG: the device broke the ring.
 */
int net_send(struct net_driver *nd, unsigned pair, const void *frame, uint32_t len,
    const struct virtio_net_hdr *hdr, const struct net_shape *shape);

/*
 * Take back the frames that the device has sent. Returns their number or -EBADMSG. net_send does
 * it, too.
 */
int net_reap_sent(struct net_driver *nd, unsigned pair);

/*
 * Take a frame. 1: a frame arrived. 0: no frame has arrived. -EBADMSG: the device wrote invalid
 * values (a length beyond the buffer, an impossible number of buffers, a changed gap). The buffers
 * of the frame are offered again.
 */
int net_receive(struct net_driver *nd, unsigned pair, struct net_frame *ret_frame);

/* Offer free slots as receive buffers. net_receive does it, too. */
int net_refill(struct net_driver *nd, unsigned pair);

/* Ask for a call, and wait for it unless frames have arrived. 1: call net_receive; 0: time-out. */
int net_wait(struct net_driver *nd, unsigned pair, int timeout_ms);

/* Answer requests to the IOMMU, if there is one. net_send and net_receive do it, too. */
void net_serve(struct net_driver *nd);

/* Internal to the driver: slots (net_slot.c). */
int net_slots_create(struct net_driver *nd, struct net_queue *q);
/* Cut total bytes of the slot into fragments of the shape, in buffers[]; returns their number. */
unsigned net_slot_cut(struct net_slot *slot, const struct net_shape *shape, uint32_t total,
    struct driver_buffer buffers[]);
void net_slot_scatter(struct net_slot *slot, uint32_t offset, const void *bytes, uint32_t len);
/* Gather the first len bytes. False: the slot's shape has fewer bytes. */
bool net_slot_gather(const struct net_slot *slot, void *bytes, uint32_t len);
bool net_slot_gaps_intact(const struct net_slot *slot);

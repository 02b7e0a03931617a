/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gives frames to a worker that it sends in the name of ports: see burst_inject().
 *
 * To send a frame to hundreds of ports takes a worker as long as some usual bursts. So it sends one
 * frame in each round of the shares. A port can have only a few frames in the mailbox, so that
 * there is room for those of other ports.
 *
 * Threads: the control thread writes, the worker reads, any thread may call mailbox_waits().
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "datapath/burst.h"
#include "datapath/inject.h"

#define MAILBOX_FRAMES      64
#define MAILBOX_PORT_FRAMES 8 /* of one port */

struct waiting_frame {
	struct port_id port;
	uint16_t len;
	uint8_t bytes[INJECT_FRAME_MAX];
};

struct mailbox {
	atomic_uint sent; /* frames that the control thread has put in */
	atomic_uint read; /* frames that the worker has taken out */
	struct waiting_frame frame[MAILBOX_FRAMES];
} CACHE_ALIGNED;

static inline bool mailbox_waits(const struct mailbox *box)
{
	return atomic_load(&box->sent) != atomic_load(&box->read);
}

/* How many frames of this port wait. For the control thread. */
unsigned mailbox_count(const struct mailbox *box, struct port_id port);

/* -EAGAIN: too many frames, or frames of this port, wait already; -EINVAL: the frame is too long.
 */
int mailbox_put(struct mailbox *box, struct port_id port, const uint8_t *frame, uint32_t len);

/*
 * Send the frame that has waited longest, and return the queue by which it was sent. NULL: none
 * waits, or the frame is lost because the list has no queue of its port, even if another port has
 * the index by now.
 */
struct queue *mailbox_send(struct mailbox *box, struct burst *b, const struct forwarding *fwd,
    const struct poll_list *list, uint32_t now_s);

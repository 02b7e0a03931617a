/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that a worker is to send as if ports had sent them: see burst_inject().
 *
 * Threads: the control thread writes, the worker reads, any thread may call mailbox_waits().
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "datapath/burst.h"
#include "datapath/inject.h"

#define MAILBOX_FRAMES 8

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

/* -EAGAIN: too many frames wait already; -EINVAL: the frame is too long. */
int mailbox_put(struct mailbox *box, struct port_id port, const uint8_t *frame, uint32_t len);

/*
 * Send all frames that wait, each by a queue of its port. It is lost if the list has none, even if
 * another port has the index by now.
 */
void mailbox_send(struct mailbox *box, struct burst *b, const struct forwarding *fwd,
    const struct poll_list *list, uint32_t now_s);

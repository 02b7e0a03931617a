/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A toy kind of queue: a list of buffers in our own memory. An ingress queue gives buffers with
 * frames, and an egress queue takes frames into its buffers.
 */
#pragma once

#include "datapath/queue.h"

#define NULL_QUEUE_BUFFERS 256

struct null_queue {
	struct vring_segment buffer[NULL_QUEUE_BUFFERS];
	uint16_t offered, fetched, completed; /* buffers so far, of each state */
	bool wants_call;
	void (*on_call)(void);
	unsigned calls;
};

/* Make q a null queue without buffers. To be undone with null_queue_close(). */
void null_queue_open(struct queue *q);
void null_queue_close(struct queue *q);

struct null_queue *null_queue_of(const struct queue *q);

/* Add the same buffer n times. A buffer of length 0 becomes a faulty chain, as in a virtqueue. */
void null_queue_offer(struct queue *q, uint8_t *buffer, uint32_t len, unsigned n);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Call the driver of a virtqueue: a write to an eventfd of the front-end.
 *
 * The front-end can make this write take long. So a worker makes only calls that are known to be
 * quick, and measures their time. It leaves all other calls to the control thread. After a slow
 * call it leaves all calls of that port to the control thread. The control thread lets errands
 * (base/errand.h) make these calls until they are known to be quick.
 */
#pragma once

#include "virtio/vring_events.h"

struct burst;
struct queue;

/* Use this in the worker that runs the burst, without the queue's lock. */
void vhost_queue_call(struct burst *b, struct queue *q);

/* Record an event about calls. Its value is what calls the driver wants now. */
void vhost_queue_record_call(const struct queue *q, enum vring_event_kind kind);

/*
 * Tell the control thread that the ring misses translations. This writes an eventfd of the switch.
 */
void vhost_queue_write_misses(struct queue *q);

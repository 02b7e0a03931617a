/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Call the driver of a virtqueue: a write to an eventfd of the front-end.
 *
 * The front-end can make this write take long. So a worker makes only calls that are known to be
 * quick, and measures their time. It leaves all other calls to the control thread, and after a slow
 * call all calls of that port. The control thread lets errands (base/errand.h) make them until they
 * are known to be quick.
 */
#pragma once

#include "virtio/vring_events.h"

struct burst;
struct queue;

/* Use this in the worker that runs the burst, without the queue's lock. */
void vhost_queue_call(struct burst *b, struct queue *q);

/* Record a call, or that none is made, and for which calls the driver asks now. */
void vhost_queue_record_call(const struct queue *q, enum vring_event_kind kind);

/* Tell the control thread that the ring misses translations, by an eventfd of our own. */
void vhost_queue_write_misses(struct queue *q);

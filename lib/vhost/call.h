/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing to eventfds of a front-end from the control thread, which must never wait.
 *
 * The front-end shares an eventfd's flags and its counter, so a write may block; and its
 * watchers are told within the write, which takes long if there are many. So an errand writes, on
 * a duplicate, and nothing waits for it. A device has at most one on its way. Writes that are asked
 * for meanwhile are made by the same errand, once for each eventfd.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct vhost_device;

/* A write that takes more CPU time than this is slow. */
#define VHOST_CALL_SLOW_NS 500000

enum vhost_call_kind {
	VHOST_CALL_USED,
	VHOST_CALL_ERR,
	VHOST_CALL_KINDS,
};

/* Add one to fd, which is of this ring, soon. -ENOMEM; what the system said: it is not written. */
int vhost_call(struct vhost_device *dev, unsigned index, enum vhost_call_kind kind, int fd);

/* Whether one of its writes was slow by the CPU time that it took, since the last question. */
bool vhost_calls_were_slow(struct vhost_device *dev);

/* Has a write been under way for so long? Which ring's: *ret_index. */
bool vhost_calls_hang(const struct vhost_device *dev, int64_t ns, unsigned *ret_index);

/*
 * Is the call eventfd of this ring known to be quick? Bit 0 of the word says so. It is set by an
 * errand that wrote the eventfd and found it quick, and is cleared by vhost_call_doubt(). Workers
 * may read the word as long as they use the ring.
 */
const atomic_uint *vhost_call_trust(struct vhost_device *dev, unsigned index);

/* The call eventfd of this ring was slow. */
void vhost_call_doubt(struct vhost_device *dev, unsigned index);

/* It is about to be another one: the one before is not written any more. */
void vhost_call_replaced(struct vhost_device *dev, unsigned index);

/* Count quick writes from now on; how many there were in a row, since then or the last slow one. */
void vhost_calls_restart(struct vhost_device *dev);
unsigned vhost_calls_quick(const struct vhost_device *dev);

/* The front-end goes: what has not been written need not be. */
void vhost_calls_forget(struct vhost_device *dev);

/* The device ends. If an errand is on its way, vhost_calls_service() sees to its end. */
void vhost_calls_end(struct vhost_device *dev);

/* Call this every now and then: it ends writes that block, of front-ends that have gone. */
void vhost_calls_service(void);

/* How many errands are on their way. */
unsigned vhost_calls_pending(void);

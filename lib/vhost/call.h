/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes to eventfds of a front-end for the control thread, which must never wait.
 *
 * The front-end shares the flags and the counter of an eventfd, so a write may block. A write also
 * wakes all watchers of the eventfd, which takes long if they are many. So an errand
 * (base/errand.h) makes the writes, with a duplicate of the descriptor. No thread waits for the
 * errand. A device has at most one errand at a time. If more writes are asked for while the errand
 * runs, it makes them, too, one for each eventfd.
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

/* Add one to fd, an eventfd of this ring, soon. Negative errno: it is not written now. */
int vhost_call(struct vhost_device *dev, unsigned index, enum vhost_call_kind kind, int fd);

/* Since the last call of this function: did a write for the device take too much CPU time? */
bool vhost_calls_were_slow(struct vhost_device *dev);

/* Has a write that is not finished taken longer than ns? *ret_index is its ring. */
bool vhost_calls_hang(const struct vhost_device *dev, int64_t ns, unsigned *ret_index);

/*
 * The word for the call eventfd of this ring. Bit 0 says that the eventfd is known to be quick. An
 * errand sets the bit after a quick write to the eventfd; vhost_call_doubt() clears it. Workers may
 * read the word as long as they use the ring.
 */
const atomic_uint *vhost_call_trust(struct vhost_device *dev, unsigned index);

/* A write to the call eventfd of this ring was slow: it is not known to be quick any more. */
void vhost_call_doubt(struct vhost_device *dev, unsigned index);

/* The ring is about to get another call eventfd. The old one is not written any more. */
void vhost_call_replaced(struct vhost_device *dev, unsigned index);

/*
 * vhost_calls_restart() sets the number of quick writes to 0, and so does each slow write.
 * vhost_calls_quick() returns the number.
 */
void vhost_calls_restart(struct vhost_device *dev);
unsigned vhost_calls_quick(const struct vhost_device *dev);

/* The front-end has disconnected: drop the writes that were not made. */
void vhost_calls_forget(struct vhost_device *dev);

/*
 * The device ends. If its errand still runs, vhost_calls_service() frees the memory of the errand
 * later.
 */
void vhost_calls_end(struct vhost_device *dev);

/* Call this regularly. It ends writes that block, if their front-end has disconnected. */
void vhost_calls_service(void);

unsigned vhost_calls_pending(void);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where packed rings stand, in a file, so that a crash or a restart does not lose it.
 *
 * A split ring says itself how far it has been used. A packed one does not, and a front-end that
 * was not told (GET_VRING_BASE) can only repeat the base it once gave. So the position is
 * journalled (vring.h) where it outlives the process; whoever serves the socket next finds it, if
 * the ring is still the same one: same address in the same front-end, same size, and contents that
 * agree.
 *
 * Threads: the control thread; while a ring runs its word is the worker's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vhost/device.h"

/*
 * Keep the journal of dev in a file at path, made if it is not there; NULL: only in memory. A file
 * that cannot be used is reported and done without. -ENOMEM.
 */
int vhost_journal_open(struct vhost_device *dev, const char *path);

/* The file is removed, unless a ring runs: then somebody may go on from it. */
void vhost_journal_close(struct vhost_device *dev);

/* The word of a ring that was running with these when it was last heard of. */
bool vhost_journal_recall(const struct vhost_device *dev, unsigned index, uint64_t desc,
    uint32_t size, uint64_t *ret_word);

/* From now on ring index runs: where its word is. NULL: there is no journal. */
uint64_t *vhost_journal_start(
    struct vhost_device *dev, unsigned index, uint64_t desc, uint32_t size);

/* The front-end knows the position of ring index. */
void vhost_journal_stop(struct vhost_device *dev, unsigned index);

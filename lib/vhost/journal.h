/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The positions of packed rings, in a file, so that they are not lost in a crash or a restart.
 *
 * The memory of a split ring shows the device's position. That of a packed ring does not, and a
 * front-end that was not told the position (GET_VRING_BASE) can only repeat the base that it told
 * last. So the position is journalled (vring.h) in a place that outlives the process. The next
 * process that serves the socket uses it, if the ring is the same: same address in the front-end,
 * same size, and contents that agree.
 *
 * Threads: the control thread. While a ring runs, its word belongs to the worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vhost/device.h"

/*
 * Keep the journal of dev in the file at path, which is made if it does not exist; NULL: only in
 * memory. If the file cannot be used, this is logged, and the journal is only in memory. -ENOMEM.
 */
int vhost_journal_open(struct vhost_device *dev, const char *path);

/* The file is removed, unless a ring runs: another process may go on from it. */
void vhost_journal_close(struct vhost_device *dev);

/*
 * The word of a ring that ran with these values when it was last journalled. False: there is none.
 */
bool vhost_journal_recall(const struct vhost_device *dev, unsigned index, uint64_t desc,
    uint32_t size, uint64_t *ret_word);

/*
 * Ring index runs from now on, with these values. Returns where its word is; NULL: there is no
 * journal.
 */
uint64_t *vhost_journal_start(
    struct vhost_device *dev, unsigned index, uint64_t desc, uint32_t size);

/* The front-end was told the position of ring index, so the journal is not needed. */
void vhost_journal_stop(struct vhost_device *dev, unsigned index);

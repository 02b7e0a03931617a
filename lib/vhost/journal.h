/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeps the positions of packed rings in a file, so that they survive a crash or a restart.
 *
 * The memory of a split ring shows the device's position. The memory of a packed ring does not. A
 * front-end learns the position from GET_VRING_BASE; without that it can only repeat its last base.
 * So the position is written to a journal (vring.h), which outlives the process. The next process
 * that serves the socket uses the journal if the ring is the same: it has the same address in the
 * front-end and the same size, and its contents agree with the journal.
 *
 * Threads: the control thread. While a ring runs, its word belongs to the worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vhost/device.h"

/*
 * Keep the journal of dev in the file at path. The file is made if it does not exist. path NULL:
 * the journal is only in memory. If the file cannot be used, that is logged, and the journal is
 * only in memory. -ENOMEM.
 */
int vhost_journal_open(struct vhost_device *dev, const char *path);

/*
 * Leave the file to the next device of this socket. It is removed if no ring runs. If a ring runs,
 * the next device may need the file to go on. The ring's word in the file is correct when workers
 * do not use the ring any more.
 */
void vhost_journal_leave(struct vhost_device *dev);

/* This leaves the file, too. */
void vhost_journal_close(struct vhost_device *dev);

/*
 * Find the journal's word of ring index. False: there is no word, or it is of a ring with other
 * values.
 */
bool vhost_journal_recall(const struct vhost_device *dev, unsigned index, uint64_t desc,
    uint32_t size, uint64_t *ret_word);

/*
 * Ring index runs from now on, with these values. Returns the address of its word in the journal.
 * NULL: there is no journal.
 */
uint64_t *vhost_journal_start(
    struct vhost_device *dev, unsigned index, uint64_t desc, uint32_t size);

/* The front-end was told the position of ring index, so the journal is not needed. */
void vhost_journal_stop(struct vhost_device *dev, unsigned index);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A request of a virtio block device (virtio 1.2, 5.2.6): read it from its buffers, execute it on a
 * file.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "virtio/vring.h"

#define REQUEST_SEGMENTS 64
#define BLOCK_SECTOR     512

/* The file of the disk, and the journal of what was done; -1: none. */
struct disk {
	int fd;
	int journal_fd;
	uint64_t sectors;
};

struct request {
	struct vring_chain chain;
	unsigned n_readable;                            /* the first segments, which are readable */
	struct vring_segment segment[REQUEST_SEGMENTS]; /* the chain's, copied */
	bool done;
	uint32_t written;
	char text[48]; /* describes an executed write in the journal */
};

/* Copy a chain of a batch. A chain without segments is fine: its request fails. */
void request_take(struct request *r, const struct vring_batch *batch, const struct vring_chain *c);

/* Execute the request: read or write the file, and write the status. Sets done and written. */
void request_execute(struct request *r, const struct disk *disk);

/* Note in the journal that the driver was told of the completion. */
void request_note_completion(const struct request *r, const struct disk *disk);

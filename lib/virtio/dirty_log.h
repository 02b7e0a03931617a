/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log of a live migration (vhost-user, "Migration"): one bit for each 4 KiB page of
 * guest physical memory that the device has written, set after the write.
 *
 * The front-end takes bits and copies pages while the device writes. So a bit is set with an atomic
 * OR, never tested before, and after the bytes it stands for: whoever clears it sees those bytes,
 * or finds the bit set again.
 *
 * A ring has its own struct dirty_log, which never changes while a worker may use it (but for its
 * counter). The map is the front-end's file: nothing is ever read from it.
 *
 * Threads: marking, any number at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "virtio/guest_memory.h"

#define DIRTY_LOG_PAGE_SHIFT 12

struct dirty_log {
	uint8_t *map;                      /* bit 0 of byte 0 is page 0; any alignment */
	uint64_t size;                     /* of map, bytes */
	const struct guest_memory *memory; /* what host addresses are in terms of the guest */
	bool data;                         /* log what is written into buffers */
	bool ring;                         /* log what is written into the ring */
	uint64_t ring_gpa;                 /* guest address that stands for the device area */
	uint64_t ignored;                  /* marks outside the map or guest memory; atomic */
};

/* Set the bits of [gpa, gpa + len). What lies outside the map is ignored and counted once. */
void dirty_log_mark(struct dirty_log *log, uint64_t gpa, uint64_t len);

/* The same for a range in one region of log->memory, by its host address. */
void dirty_log_mark_host(struct dirty_log *log, const void *host, uint64_t len);

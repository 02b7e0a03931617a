/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log of a live migration (vhost-user, "Migration"): one bit for each 4 KiB page of guest
 * physical memory. The device sets the bit of a page after it has written to the page.
 *
 * The front-end clears bits and copies pages while the device writes. So the device sets a bit
 * after the write, with an atomic OR, and without testing the bit first. After the front-end has
 * cleared the bit, it either reads the written bytes, or finds the bit set again later.
 *
 * Each ring has its own struct dirty_log. It does not change while a worker may use it, except for
 * its counter. The map is a file of the front-end. No decision of the switch depends on its
 * contents.
 *
 * Threads: any number of threads may mark at the same time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "virtio/guest_memory.h"

#define DIRTY_LOG_PAGE_SHIFT 12

struct dirty_log {
	uint8_t *map;                      /* bit 0 of byte 0 is page 0; any alignment */
	uint64_t size;                     /* bytes in map */
	const struct guest_memory *memory; /* translates host addresses into guest addresses */
	bool data;                         /* log writes to buffers */
	bool ring;                         /* log writes to the ring */
	uint64_t ring_gpa;                 /* guest address under which the device area is logged */
	uint64_t ignored;                  /* marks outside the map or guest memory; atomic */
};

/*
 * Set the bits of the pages of [gpa, gpa + len). Pages outside the map are ignored, and the call is
 * counted in log->ignored.
 */
void dirty_log_mark(struct dirty_log *log, uint64_t gpa, uint64_t len);

/*
 * The same for a range given by its host address. A range that runs over the end of its region is
 * cut there.
 */
void dirty_log_mark_host(struct dirty_log *log, const void *host, uint64_t len);

/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtio/dirty_log.h"

static void count_ignored(struct dirty_log *log)
{
	__atomic_fetch_add(&log->ignored, 1, __ATOMIC_RELAXED);
}

void dirty_log_mark(struct dirty_log *log, uint64_t gpa, uint64_t len)
{
	uint64_t page, last;

	if (len == 0)
		return;
	if (__builtin_add_overflow(gpa, len - 1, &last)) {
		count_ignored(log);
		return;
	}
	page = gpa >> DIRTY_LOG_PAGE_SHIFT;
	last >>= DIRTY_LOG_PAGE_SHIFT;
	for (; page <= last; page++) {
		if (page / 8 >= log->size) {
			count_ignored(log);
			return;
		}
		__atomic_fetch_or(&log->map[page / 8], 1u << page % 8, __ATOMIC_RELEASE);
	}
}

void dirty_log_mark_host(struct dirty_log *log, const void *host, uint64_t len)
{
	const struct guest_memory *memory = log->memory;

	for (unsigned i = 0; i < memory->n_regions; i++) {
		const struct guest_region *r = &memory->region[i];
		uint64_t offset = (uintptr_t)host - (uintptr_t)r->host;

		if ((uintptr_t)host < (uintptr_t)r->host || offset >= r->size)
			continue;
		dirty_log_mark(log, r->gpa + offset, MIN(len, r->size - offset));
		return;
	}
	count_ignored(log);
}

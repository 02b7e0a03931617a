/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copy between guests. Guests may write to source and destination during the copy. Then the copied
 * bytes can be anything, but that harms only the guest that wrote.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#include "base/bytes16.h"
#include "base/cpu.h"
#include "base/util.h"
#include "virtio/vring.h"

/* Longer copies use memcpy() of libc, which chooses its instructions when the program starts. */
#define COPY_INLINE_MAX 256
/*
 * Copies of at least this length write past the caches, so that the destination is not read first.
 */
#define COPY_STREAM_MIN 16384
#define COPY_AHEAD      4096 /* how far ahead the source is prefetched */

static ALWAYS_INLINE void copy_16(uint8_t *to, const uint8_t *from)
{
	bytes16_store(to, bytes16_load(from));
}

static ALWAYS_INLINE void copy_small(uint8_t *to, const uint8_t *from, uint32_t n)
{
	if (n >= 8) {
		uint64_t first, last;

		memcpy(&first, from, 8);
		memcpy(&last, from + n - 8, 8);
		memcpy(to, &first, 8);
		memcpy(to + n - 8, &last, 8);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		to[i] = from[i];
}

/* Copy 14 to 64 bytes, in two parts that overlap. No byte outside is read or written. */
static ALWAYS_INLINE void copy_short(uint8_t *to, const uint8_t *from, uint32_t n)
{
	if (LIKELY(n >= 32)) {
		memcpy(to, from, 32);
		memcpy(to + n - 32, from + n - 32, 32);
	} else if (n >= 16) {
		memcpy(to, from, 16);
		memcpy(to + n - 16, from + n - 16, 16);
	} else {
		copy_small(to, from, n);
	}
}

/* Copy n bytes past the caches; n is at least COPY_STREAM_MIN. */
void copy_stream(uint8_t *to, const uint8_t *from, uint32_t n, enum cpu_level level);

static ALWAYS_INLINE void copy_bytes(
    uint8_t *to, const uint8_t *from, uint32_t n, enum cpu_level level)
{
	if (UNLIKELY(n >= COPY_STREAM_MIN)) {
		copy_stream(to, from, n, level);
		return;
	}
	if (n > COPY_INLINE_MAX) {
		memcpy(to, from, n);
		return;
	}
	if (n < 16) {
		copy_small(to, from, n);
		return;
	}
	for (uint32_t i = 0; i + 16 <= n; i += 16)
		copy_16(to + i, from + i);
	copy_16(to + n - 16, from + n - 16);
}

/* The position of the next byte in the buffers of one vring_reservation. */
struct scatter {
	const struct vring_batch *out;
	const struct vring_chain *chain;
	unsigned segment; /* index in the chain */
	uint32_t offset;  /* in the segment */
	enum cpu_level level;
};

static inline void scatter_begin(struct scatter *s, const struct vring_batch *out,
    const struct vring_reservation *reserved, enum cpu_level level)
{
	*s = (struct scatter){.out = out, .chain = &out->chain[reserved->chain], .level = level};
}

/* The caller has reserved enough buffers for all bytes. */
static inline void scatter_write(struct scatter *s, const uint8_t *from, uint32_t n)
{
	while (n) {
		const struct vring_segment *seg = &s->out->segment[s->chain->segment + s->segment];
		uint32_t part = MIN(n, seg->len - s->offset);

		copy_bytes(seg->addr + s->offset, from, part, s->level);
		from += part;
		n -= part;
		s->offset += part;
		if (s->offset < seg->len)
			return;
		s->offset = 0;
		if (++s->segment == s->chain->n_segments) {
			s->segment = 0;
			s->chain++;
		}
	}
}

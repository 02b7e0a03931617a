/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "frontend/net_driver.h"

#define POISON 0xa5

/*
 * The slots of a queue are next to each other in the buffer region. A slot has its indirect table
 * first, then its fragments, with a gap before each fragment and after the last.
 */
int net_slots_create(struct net_driver *nd, struct net_queue *q)
{
	unsigned n = nd->config.ring_size;
	uint64_t first =
	    nd->fe.region[nd->buffers_region].gpa + (uint64_t)q->index * n * NET_SLOT_BYTES;

	if (!q->slot)
		q->slot = calloc(n, sizeof(*q->slot));
	if (!q->slot)
		return -ENOMEM;
	q->free = NULL;
	q->n_outstanding = 0;
	for (unsigned i = n; i-- > 0;) {
		struct net_slot *slot = &q->slot[i];

		slot->gpa = first + (uint64_t)i * NET_SLOT_BYTES;
		slot->host = frontend_memory(&nd->fe, slot->gpa, NET_SLOT_BYTES);
		if (!slot->host)
			return -EINVAL;
		slot->next = q->free;
		q->free = slot;
	}
	return 0;
}

unsigned net_slot_cut(struct net_slot *slot, const struct net_shape *shape, uint32_t total,
    struct driver_buffer buffers[])
{
	struct net_shape *cut = &slot->shape;
	uint64_t offset = NET_SLOT_TABLE + shape->gap;
	unsigned n = 0;

	cut->gap = shape->gap;
	cut->indirect = shape->indirect;
	while (total && n < NET_SHAPE_MAX) {
		bool last = n + 1 >= shape->n;
		uint32_t len = last ? total : MIN(total, shape->len[n]);

		memset(slot->host + offset - shape->gap, POISON, shape->gap);
		buffers[n] = (struct driver_buffer){.addr = slot->gpa + offset, .len = len};
		cut->len[n++] = len;
		offset += len + shape->gap;
		total -= len;
	}
	memset(slot->host + offset - shape->gap, POISON, shape->gap);
	cut->n = n;
	return n;
}

void net_slot_scatter(struct net_slot *slot, uint32_t offset, const void *bytes, uint32_t len)
{
	const struct net_shape *cut = &slot->shape;
	uint8_t *at = slot->host + NET_SLOT_TABLE + cut->gap;

	for (unsigned i = 0; i < cut->n && len; i++) {
		if (offset < cut->len[i]) {
			uint32_t part = MIN(len, cut->len[i] - offset);

			memcpy(at + offset, bytes, part);
			bytes = (const uint8_t *)bytes + part;
			len -= part;
			offset = 0;
		} else {
			offset -= cut->len[i];
		}
		at += cut->len[i] + cut->gap;
	}
}

bool net_slot_gather(const struct net_slot *slot, void *bytes, uint32_t len)
{
	const struct net_shape *cut = &slot->shape;
	const uint8_t *at = slot->host + NET_SLOT_TABLE + cut->gap;

	for (unsigned i = 0; i < cut->n && len; i++) {
		uint32_t part = MIN(len, cut->len[i]);

		memcpy(bytes, at, part);
		bytes = (uint8_t *)bytes + part;
		len -= part;
		at += cut->len[i] + cut->gap;
	}
	return len == 0;
}

static bool is_poison(const uint8_t *at, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		if (at[i] != POISON)
			return false;
	return true;
}

bool net_slot_gaps_intact(const struct net_slot *slot)
{
	const struct net_shape *cut = &slot->shape;
	const uint8_t *at = slot->host + NET_SLOT_TABLE;

	for (unsigned i = 0; i < cut->n; i++) {
		if (!is_poison(at, cut->gap))
			return false;
		at += cut->gap + cut->len[i];
	}
	return is_poison(at, cut->gap);
}

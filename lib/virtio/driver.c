/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtio/driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/driver_slot.h"
#include "virtio/vring.h"

int driver_ring_init(struct driver_ring *dr, uint64_t features, uint16_t size, void *desc,
    void *driver, void *device)
{
	bool packed = VIRTIO_HAS(features, F_RING_PACKED);

	if (!vring_size_valid(size, packed))
		return -EINVAL;
	*dr = (struct driver_ring){
	    .packed = packed,
	    .in_order = VIRTIO_HAS(features, F_IN_ORDER),
	    .event_idx = VIRTIO_HAS(features, F_EVENT_IDX),
	    .size = size,
	    .desc = desc,
	    .driver = driver,
	    .device = device,
	    .n_free = size,
	    .avail_wrap = true,
	    .used_wrap = true,
	};
	dr->slot = calloc(size, sizeof(*dr->slot));
	if (!dr->slot)
		return -ENOMEM;
	for (unsigned i = 0; i < size; i++)
		dr->slot[i].next = (i + 1) % size;
	return 0;
}

void driver_ring_cleanup(struct driver_ring *dr)
{
	free(dr->slot);
	dr->slot = NULL;
}

static int add(struct driver_ring *dr, const struct driver_chain *c)
{
	return dr->packed ? driver_packed_add(dr, c) : driver_split_add(dr, c);
}

static uint32_t sum_in(const struct driver_buffer *buffers, unsigned n_out, unsigned n_in)
{
	uint32_t sum = 0;

	for (unsigned i = n_out; i < n_out + n_in; i++)
		sum += buffers[i].len;
	return sum;
}

int driver_ring_add(struct driver_ring *dr, const struct driver_buffer *buffers, unsigned n_out,
    unsigned n_in, void *token)
{
	struct driver_chain c = {
	    .buffers = buffers,
	    .n_out = n_out,
	    .n = n_out + n_in,
	    .n_in_bytes = sum_in(buffers, n_out, n_in),
	    .token = token,
	};

	if (c.n == 0)
		return -EINVAL;
	return c.n > dr->n_free ? -ENOSPC : add(dr, &c);
}

static void fill_split_table(struct vring_split_desc *table, const struct driver_chain *c)
{
	for (unsigned i = 0; i < c->n; i++)
		table[i] = (struct vring_split_desc){
		    .addr = c->buffers[i].addr,
		    .len = c->buffers[i].len,
		    .flags = driver_flags(c, i),
		    .next = i + 1 < c->n ? i + 1 : 0,
		};
}

static void fill_packed_table(struct vring_packed_desc *table, const struct driver_chain *c)
{
	for (unsigned i = 0; i < c->n; i++)
		table[i] = (struct vring_packed_desc){
		    .addr = c->buffers[i].addr,
		    .len = c->buffers[i].len,
		    .flags = driver_flags(c, i) & VRING_DESC_F_WRITE,
		};
}

int driver_ring_add_indirect(struct driver_ring *dr, const struct driver_buffer *buffers,
    unsigned n_out, unsigned n_in, void *table, uint64_t table_gpa, void *token)
{
	struct driver_chain inner = {.buffers = buffers, .n_out = n_out, .n = n_out + n_in};
	struct driver_buffer whole = {
	    .addr = table_gpa, .len = inner.n * sizeof(struct vring_split_desc)};
	struct driver_chain c = {
	    .buffers = &whole,
	    .n_out = 1,
	    .n = 1,
	    .flags = VRING_DESC_F_INDIRECT,
	    .n_in_bytes = sum_in(buffers, n_out, n_in),
	    .token = token,
	};

	if (inner.n == 0)
		return -EINVAL;
	if (dr->n_free == 0)
		return -ENOSPC;
	if (dr->packed)
		fill_packed_table(table, &inner);
	else
		fill_split_table(table, &inner);
	return add(dr, &c);
}

void driver_ring_publish(struct driver_ring *dr)
{
	if (dr->pending == 0)
		return;
	if (dr->packed)
		driver_packed_publish(dr);
	else
		driver_split_publish(dr);
}

bool driver_ring_kick_needed(struct driver_ring *dr)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return dr->packed ? driver_packed_kick_needed(dr) : driver_split_kick_needed(dr);
}

int driver_ring_reap(struct driver_ring *dr, void **ret_token, uint32_t *ret_len)
{
	return dr->packed ? driver_packed_reap(dr, ret_token, ret_len)
			  : driver_split_reap(dr, ret_token, ret_len);
}

void driver_ring_call_disable(struct driver_ring *dr)
{
	if (dr->packed)
		driver_packed_call_disable(dr);
	else
		driver_split_call_disable(dr);
}

bool driver_ring_call_enable(struct driver_ring *dr)
{
	return dr->packed ? driver_packed_call_enable(dr) : driver_split_call_enable(dr);
}

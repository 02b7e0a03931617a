/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver side of a split ring (2.7). */
#include <errno.h>

#include "base/util.h"
#include "virtio/driver.h"
#include "virtio/driver_slot.h"

static uint16_t *used_event(struct driver_ring *dr)
{
	return &((struct vring_split_avail *)dr->driver)->ring[dr->size];
}

static uint16_t avail_event(const struct driver_ring *dr)
{
	const struct vring_split_used *used = dr->device;

	const uint16_t *event = (const void *)&used->ring[dr->size];

	return READ_ONCE(*event);
}

/*
 * With IN_ORDER descriptors must be used in ring order (2.7.9). Otherwise they come from the free
 * list, in any order.
 */
int driver_split_add(struct driver_ring *dr, const struct driver_chain *c)
{
	struct vring_split_desc *desc = dr->desc;
	struct vring_split_avail *avail = dr->driver;
	uint16_t chain_head = dr->free_head, at = chain_head;

	for (unsigned i = 0; i < c->n; i++) {
		uint16_t next = dr->in_order ? (at + 1) % dr->size : dr->slot[at].next;

		desc[at] = (struct vring_split_desc){
		    .addr = c->buffers[i].addr,
		    .len = c->buffers[i].len,
		    .flags = driver_flags(c, i),
		    .next = next,
		};
		dr->slot[at].next = next;
		at = next;
	}
	dr->free_head = at;
	dr->n_free -= c->n;
	dr->slot[chain_head].token = c->token;
	dr->slot[chain_head].n = c->n;
	dr->slot[chain_head].n_in_bytes = c->n_in_bytes;
	avail->ring[(uint16_t)(dr->avail + dr->pending) % dr->size] = chain_head;
	dr->pending++;
	return 0;
}

void driver_split_publish(struct driver_ring *dr)
{
	struct vring_split_avail *avail = dr->driver;

	dr->avail += dr->pending;
	dr->pending = 0;
	__atomic_store_n(&avail->idx, dr->avail, __ATOMIC_RELEASE);
}

bool driver_split_kick_needed(struct driver_ring *dr)
{
	const struct vring_split_used *used = dr->device;
	uint16_t old = dr->published;

	dr->published = dr->avail;
	if (old == dr->avail)
		return false;
	if (dr->event_idx)
		return driver_event_passed(avail_event(dr), dr->avail, old);
	return !(READ_ONCE(used->flags) & VRING_USED_F_NO_NOTIFY);
}

static void release(struct driver_ring *dr, uint16_t chain_head)
{
	uint16_t n = dr->slot[chain_head].n, last = chain_head;

	dr->slot[chain_head].n = 0;
	dr->n_free += n;
	if (dr->in_order)
		return;
	for (unsigned i = 1; i < n; i++)
		last = dr->slot[last].next;
	dr->slot[last].next = dr->free_head;
	dr->free_head = chain_head;
}

/*
 * With IN_ORDER one used entry may stand for a batch of chains. It has the id of the last chain of
 * the batch (2.7.9). The device does not tell the lengths of the other chains, so they count as
 * filled.
 */
static int reap_in_order(
    struct driver_ring *dr, uint32_t id, uint32_t len, uint16_t *ret_chain_head, uint32_t *ret_len)
{
	uint16_t chain_head = dr->oldest;

	if (!dr->in_batch) {
		dr->batch_last = id;
		dr->batch_len = len;
	}
	if (dr->slot[chain_head].n == 0)
		return -EBADMSG;
	dr->in_batch = chain_head != dr->batch_last;
	*ret_chain_head = chain_head;
	*ret_len = dr->in_batch ? dr->slot[chain_head].n_in_bytes : dr->batch_len;
	dr->oldest = (chain_head + dr->slot[chain_head].n) % dr->size;
	return 1;
}

int driver_split_reap(struct driver_ring *dr, void **ret_token, uint32_t *ret_len)
{
	const struct vring_split_used *used = dr->device;
	uint16_t idx = __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE), chain_head;
	struct vring_split_used_elem e = used->ring[dr->used % dr->size];

	if (idx == dr->used)
		return 0;
	if ((uint16_t)(idx - dr->used) > (uint16_t)(dr->avail - dr->used))
		return -EBADMSG;
	if (!dr->in_batch && (e.id >= dr->size || dr->slot[e.id].n == 0))
		return -EBADMSG;
	chain_head = e.id;
	*ret_len = e.len;
	if (dr->in_order && reap_in_order(dr, e.id, e.len, &chain_head, ret_len) < 0)
		return -EBADMSG;
	*ret_token = dr->slot[chain_head].token;
	release(dr, chain_head);
	dr->used++;
	return 1;
}

void driver_split_call_disable(struct driver_ring *dr)
{
	struct vring_split_avail *avail = dr->driver;

	if (dr->event_idx)
		WRITE_ONCE(
		    *used_event(dr), dr->used - 1); /* passed: reached again after 65536 more */
	else
		WRITE_ONCE(avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
}

bool driver_split_call_enable(struct driver_ring *dr)
{
	struct vring_split_avail *avail = dr->driver;
	const struct vring_split_used *used = dr->device;

	if (dr->event_idx)
		WRITE_ONCE(*used_event(dr), dr->used);
	else
		WRITE_ONCE(avail->flags, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return READ_ONCE(used->idx) != dr->used;
}

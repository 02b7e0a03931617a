/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A frame in a chain: the net header is in one descriptor, the frame in the others, in parts of
 * equal size. The parts are next to each other in the buffer, so that a frame is written and read
 * in one piece. The net header is in a line of its own. It is copied there before the frame is
 * sent, and back before the frame is read.
 *
 * The chain of a slot is in an indirect table of the slot, or in the ring. In a split ring the head
 * of a slot's chain is the descriptor with the slot's number, so that a used id is a slot, as
 * without chains. The other descriptors follow after all heads.
 */
#include "base/util.h"
#include "traffic/vport.h"

struct part {
	uint64_t addr;
	uint32_t len;
};

static uint8_t *extra(const struct vport_queue *q, uint16_t id)
{
	return q->extra + (size_t)id * q->extra_stride;
}

static uint64_t extra_gpa(const struct vport_queue *q, uint16_t id)
{
	return q->extra_gpa + (uint64_t)id * q->extra_stride;
}

static struct virtio_net_hdr *header_in_buffer(const struct vport_queue *q, uint16_t id)
{
	uint8_t *frame = q->buffers + (size_t)id * q->stride + CACHE_LINE;

	return tport_header(frame);
}

void vport_chain_take_header(const struct vport_queue *q, uint16_t id)
{
	memcpy(header_in_buffer(q, id), extra(q, id), VIRTIO_NET_HDR_LEN);
}

/* Cut a slot with this length, net header included, into q->pieces parts. */
static void cut(const struct vport_queue *q, uint16_t id, uint32_t len, struct part parts[])
{
	uint32_t n = q->pieces - 1, frame = len - VIRTIO_NET_HDR_LEN, rest = frame % n;
	uint64_t at = q->gpa + (uint64_t)id * q->stride + VIRTIO_NET_HDR_LEN;

	parts[0] = (struct part){.addr = extra_gpa(q, id), .len = VIRTIO_NET_HDR_LEN};
	for (unsigned i = 1; i <= n; i++) {
		parts[i] = (struct part){.addr = at, .len = frame / n + (i == 1 ? rest : 0)};
		at += parts[i].len;
	}
}

/* Write only if it differs, as without chains. */
static void put_split(
    struct vring_split_desc *d, const struct part *part, uint16_t flags, uint16_t next)
{
	if (d->addr != part->addr)
		WRITE_ONCE(d->addr, part->addr);
	if (d->len != part->len)
		WRITE_ONCE(d->len, part->len);
	if (d->flags != flags)
		WRITE_ONCE(d->flags, flags);
	if (d->next != next)
		WRITE_ONCE(d->next, next);
}

static struct part table_of(const struct vport_queue *q, uint16_t id)
{
	return (struct part){.addr = extra_gpa(q, id) + CACHE_LINE,
	    .len = q->pieces * sizeof(struct vring_split_desc)};
}

/* The descriptor that has part i of a slot: an index in the ring or in the table. */
static uint16_t split_index(const struct vport_queue *q, uint16_t id, unsigned i)
{
	if (q->indirect)
		return i;
	return i == 0 ? id : q->n_slots + id * (q->pieces - 1) + i - 1;
}

static void put_split_chain(struct vport_queue *q, uint16_t id, uint32_t len, uint16_t kind)
{
	struct vring_split_desc *ring = q->desc;
	struct vring_split_desc *desc = q->indirect ? (void *)(extra(q, id) + CACHE_LINE) : ring;
	struct part parts[VPORT_PIECES_MAX];

	cut(q, id, len, parts);
	for (unsigned i = 0; i < q->pieces; i++) {
		bool last = i + 1 == q->pieces;

		put_split(&desc[split_index(q, id, i)], &parts[i],
		    kind | (last ? 0 : VRING_DESC_F_NEXT), last ? 0 : split_index(q, id, i + 1));
	}
	if (q->indirect) {
		const struct part table = table_of(q, id);

		put_split(&ring[id], &table, VRING_DESC_F_INDIRECT, 0);
	}
}

static void offer_split(struct vport_queue *q, const uint32_t len[], unsigned n, uint16_t kind)
{
	struct vring_split_avail *avail = q->driver;

	for (unsigned k = 0; k < n; k++) {
		uint16_t id = q->ids[(q->oldest + k) & q->slot_mask];
		uint16_t *slot = &avail->ring[(q->next + k) & q->mask];

		put_split_chain(q, id, len[k], kind);
		if (*slot != id)
			WRITE_ONCE(*slot, id);
	}
	q->next += n;
	__atomic_store_n(&avail->idx, q->next, __ATOMIC_RELEASE);
}

/* The first descriptor of all gets its flags last: then the device sees all chains. */
struct packed_first {
	uint64_t *at, word;
};

static void put_packed(struct vport_queue *q, const struct part *part, uint16_t id, uint16_t kind,
    struct packed_first *first)
{
	struct vring_packed_desc *d = &((struct vring_packed_desc *)q->desc)[q->next];
	uint64_t flags = kind | (q->wrap ? VRING_DESC_F_AVAIL : VRING_DESC_F_USED);
	uint64_t word = flags << 48 | (uint64_t)id << 32 | part->len;
	uint64_t *second = (void *)((char *)d + 8);

	if (d->addr != part->addr)
		WRITE_ONCE(d->addr, part->addr);
	if (first->at)
		__atomic_store_n(second, word, __ATOMIC_RELAXED);
	else
		*first = (struct packed_first){.at = second, .word = word};
	vport_packed_advance(q, &q->next, &q->wrap, 1);
}

static void put_packed_table(
    const struct vport_queue *q, uint16_t id, const struct part parts[], uint16_t kind)
{
	struct vring_packed_desc *table = (void *)(extra(q, id) + CACHE_LINE);

	for (unsigned i = 0; i < q->pieces; i++)
		table[i] = (struct vring_packed_desc){
		    .addr = parts[i].addr, .len = parts[i].len, .flags = kind};
}

static void offer_packed(struct vport_queue *q, const uint32_t len[], unsigned n, uint16_t kind)
{
	struct packed_first first = {0};
	struct part parts[VPORT_PIECES_MAX], table;

	for (unsigned k = 0; k < n; k++) {
		uint16_t id = q->ids[(q->oldest + k) & q->slot_mask];

		cut(q, id, len[k], parts);
		if (q->indirect) {
			table = table_of(q, id);
			put_packed_table(q, id, parts, kind);
			put_packed(q, &table, id, VRING_DESC_F_INDIRECT, &first);
			continue; /* the chain is in the table */
		}
		for (unsigned i = 0; i < q->pieces; i++) {
			bool last = i + 1 == q->pieces;

			put_packed(q, &parts[i], id, kind | (last ? 0 : VRING_DESC_F_NEXT), &first);
		}
	}
	if (first.at)
		__atomic_store_n(first.at, first.word, __ATOMIC_RELEASE);
}

void vport_chain_offer(struct vport_queue *q, const uint32_t len[], unsigned n, bool writable)
{
	uint16_t kind = writable ? VRING_DESC_F_WRITE : 0;

	for (unsigned k = 0; k < n && !writable; k++) {
		uint16_t id = q->ids[(q->oldest + k) & q->slot_mask];

		memcpy(extra(q, id), header_in_buffer(q, id), VIRTIO_NET_HDR_LEN);
	}
	if (q->packed)
		offer_packed(q, len, n, kind);
	else
		offer_split(q, len, n, kind);
}

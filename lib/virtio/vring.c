/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The code for both formats: starting a ring, and reserving buffers for frames.
 *
 * vring_reserve works on whole chains. It first fetches as many chains as there are frames. This is
 * enough if each buffer can hold a frame. It fetches more chains only if it merges buffers. At the
 * end it unfetches the chains that no frame needed. These are the chains that were fetched last,
 * because frames take chains in ring order.
 *
 * If there are too few buffers for a frame, the buffers gathered for it are given back. This frame
 * and all later frames wait for more buffers. But if such buffers could not hold the frame even if
 * the ring were full of them, the frame is refused.
 *
 * If a chain is faulty, the frame is refused, too. A faulty chain cannot be given back, because it
 * would stop the ring for ever. So it is consumed, together with the chains that were gathered
 * before it for the same frame. Nothing is written to these chains.
 */
#include "virtio/vring.h"

#include <errno.h>

#include "base/cpu.h"
#include "virtio/vring_chain.h"
#include "virtio/vring_inflight.h"

static const char *const break_texts[] = {
#define X(id, text) text,
    VRING_BREAKS(X)
#undef X
};

static const char *const fault_texts[] = {
#define X(id, text) text,
    VRING_FAULTS(X)
#undef X
};

const char *vring_break_text(enum vring_break b)
{
	return break_texts[b];
}

const char *vring_fault_text(enum vring_fault f)
{
	return fault_texts[f];
}

struct vring_layout vring_layout(uint16_t size, bool packed)
{
	if (packed)
		return (struct vring_layout){
		    .desc = size * 16u,
		    .driver = sizeof(struct vring_packed_event),
		    .device = sizeof(struct vring_packed_event),
		};
	return (struct vring_layout){
	    .desc = size * 16u,
	    .driver = 6u + 2u * size,
	    .device = 6u + 8u * size,
	};
}

bool vring_size_valid(uint16_t size, bool packed)
{
	if (size == 0 || size > VRING_SIZE_MAX)
		return false;
	return packed || (size & (size - 1)) == 0;
}

struct vring_position vring_position_initial(bool packed)
{
	return (struct vring_position){.avail_wrap = packed, .used_wrap = packed};
}

static bool aligned(const void *p, uintptr_t to)
{
	return p && ((uintptr_t)p & (to - 1)) == 0;
}

static bool config_valid(const struct vring_config *c, bool packed)
{
	if (!vring_size_valid(c->size, packed) || !(c->memory || c->iommu) || !c->position)
		return false;
	if (c->direction == VRING_REQUEST && c->iommu)
		return false;
	if (packed && (c->position->avail >= c->size || c->position->used >= c->size))
		return false;
	return aligned(c->desc, 16) && aligned(c->driver, packed ? 4 : 2) && aligned(c->device, 4);
}

int vring_start(struct vring *vr, const struct vring_config *c)
{
	bool packed = VIRTIO_HAS(c->features, F_RING_PACKED);
	bool in_order = VIRTIO_HAS(c->features, F_IN_ORDER);
	bool short_used = in_order && c->direction == VRING_TRANSMIT;

	if (!config_valid(c, packed))
		return -EINVAL;
	*vr = (struct vring){
	    .ops = packed ? vring_packed_ops(short_used, cpu_level())
			  : vring_split_ops(short_used, cpu_level()),
	    .position = c->position,
	    .journal = packed ? c->journal : NULL,
	    .memory = c->memory,
	    .tables = c->memory,
	    .size = c->size,
	    .avail_seen = c->position->avail,
	    .event_idx = VIRTIO_HAS(c->features, F_EVENT_IDX),
	    .in_order = in_order,
	    .indirect = VIRTIO_HAS(c->features, F_INDIRECT_DESC),
	    .mergeable = VIRTIO_HAS(c->features, NET_F_MRG_RXBUF),
	    .is_packed = packed,
	    .direction = c->direction,
	};
	if (packed) {
		vr->packed.desc = c->desc;
		vr->packed.driver_event = c->driver;
		vr->packed.device_event = c->device;
	} else {
		vr->split.desc = c->desc;
		vr->split.avail = c->driver;
		vr->split.used = c->device;
	}
	if (vr->journal)
		__atomic_store_n(vr->journal, vring_journal_word(c->position), __ATOMIC_RELEASE);
	if (c->iommu)
		vring_iommu_start(vr, c->iommu, c->misses);
	if (c->inflight)
		vring_inflight_start(vr, c->inflight);
	return 0;
}

enum vring_fault indirect_table(
    struct vring *vr, uint64_t addr, uint32_t len, const void **ret_table, uint32_t *ret_n)
{
	uint32_t there = 0;
	const void *table;

	if (!vr->indirect || len == 0 || len % 16 != 0 ||
	    len / 16 > MAX((uint32_t)vr->size, VRING_TABLE_MIN))
		return VRING_FAULT_INDIRECT;
	table = guest_memory_resolve(vr->tables, &vr->last_table, addr, len, &there);
	if (UNLIKELY(vr->translation.iommu) && there < len &&
	    !guest_memory_find(vr->tables, addr + there))
		return vring_iommu_miss(vr, addr + there, IOTLB_READ);
	if (!table || there < len || ((uintptr_t)table & 7))
		return VRING_FAULT_INDIRECT;
	*ret_table = table;
	*ret_n = len / 16;
	return VRING_FAULT_NONE;
}

static void log_chain(struct dirty_log *log, bool request, const struct vring_batch *batch,
    const struct vring_chain *chain)
{
	const struct vring_segment *segment = &batch->segment[chain->segment];
	uint32_t left = chain->written;

	for (unsigned i = request ? vring_chain_readable(batch, chain) : 0;
	     left && i < chain->n_segments; i++) {
		uint32_t part = MIN(left, segment[i].len);

		dirty_log_mark_host(log, segment[i].addr, part);
		left -= part;
	}
}

void vring_complete_logged(struct vring *vr, const struct vring_batch *batch, struct dirty_log *log)
{
	struct vring_position before = *vr->position;
	uint32_t slots = 0;

	vr->ops->complete(vr, batch);
	for (unsigned i = 0; i < batch->n; i++) {
		slots += batch->chain[i].slots;
		if (log->data)
			log_chain(log, vr->direction == VRING_REQUEST, batch, &batch->chain[i]);
	}
	if (log->ring)
		vr->ops->log_used(vr, log, &before, slots);
}

void vring_log_event(struct vring *vr, struct dirty_log *log)
{
	if (log->ring)
		vr->ops->log_event(vr, log);
}

/* vring_fetch, but an empty batch does not begin a visit. */
static ALWAYS_INLINE void fetch_more(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	if (batch->n == 0)
		batch->single_segment = true;
	vr->ops->fetch(vr, batch, max);
}

/*
 * The chain at index `at` of the batch. If it is not in the batch yet, it is fetched. NULL: no
 * chain is available now.
 */
static struct vring_chain *next_chain(struct vring *vr, struct vring_batch *batch, unsigned at)
{
	if (at == batch->n)
		fetch_more(vr, batch, 1);
	if (at == batch->n)
		return NULL;
	return &batch->chain[at];
}

static void unwrite(struct vring_batch *batch, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		batch->chain[i].written = 0;
}

/*
 * Gather chains for one frame, from index `at` of the batch on. After success or a fault,
 * *ret_taken chains are consumed. Otherwise no chain is consumed.
 */
static enum vring_reserve_status gather(
    struct vring *vr, struct vring_batch *batch, unsigned at, uint32_t len, unsigned *ret_taken)
{
	unsigned taken = 0;
	uint32_t whole = len, largest = 0;

	*ret_taken = 0;
	while (len) {
		struct vring_chain *c;

		if (at + taken == VRING_BATCH_CHAINS)
			break; /* the batch is full: see below */
		if (taken && !chain_walk_on(batch))
			break; /* the limit of the visit is reached */
		c = next_chain(vr, batch, at + taken);
		if (!c)
			break;
		taken++;
		if (UNLIKELY(c->fault)) {
			unwrite(batch, at, at + taken);
			*ret_taken = taken;
			return VRING_RESERVE_FAULT;
		}
		if (c->len < len && !vr->mergeable)
			return VRING_RESERVE_TOO_SMALL;
		c->written = MIN(len, c->len);
		len -= c->written;
		largest = MAX(largest, c->len);
	}
	if (len == 0) {
		*ret_taken = taken;
		return VRING_RESERVE_OK;
	}
	unwrite(batch, at, at + taken);
	if (at == 0 && taken == VRING_BATCH_CHAINS)
		return VRING_RESERVE_TOO_SMALL;
	if (taken && whole > (uint64_t)largest * vr->size)
		return VRING_RESERVE_TOO_SMALL; /* even a full ring of such buffers is too small */
	return VRING_RESERVE_NONE;
}

/*
 * vring_reserve_single for lengths in memory: the first at first_len, the others stride bytes
 * apart. Each buffer has to hold `more` bytes more.
 */
static ALWAYS_INLINE unsigned reserve_in_order(struct vring *vr, struct vring_batch *batch,
    const uint32_t *first_len, size_t stride, int32_t more, unsigned n)
{
	const char *at = (const char *)first_len;
	unsigned i = 0;

	batch->n = 0;
	batch->n_segments = 0;
	n = vring_fetch(vr, batch, n);
	if (LIKELY(batch->single_segment)) {
		for (; i < n; i++, at += stride) {
			uint32_t len = *(const uint32_t *)(const void *)at + more;

			if (UNLIKELY(batch->chain[i].len < len))
				break;
			batch->chain[i].written = len;
		}
	}
	if (UNLIKELY(i < batch->n))
		vring_unfetch(vr, batch, i);
	return i;
}

unsigned vring_reserve_single(
    struct vring *vr, struct vring_batch *batch, const uint32_t len[], unsigned n)
{
	return reserve_in_order(vr, batch, len, sizeof(len[0]), 0, n);
}

unsigned vring_reserve_alike(struct vring *vr, struct vring_batch *batch,
    const struct vring_batch *from, int32_t more, unsigned n)
{
	const uint32_t *len = &from->chain[0].len;
	size_t stride = sizeof(from->chain[0]);

	return LIKELY(more == 0) ? reserve_in_order(vr, batch, len, stride, 0, n)
				 : reserve_in_order(vr, batch, len, stride, more, n);
}

unsigned vring_reserve(struct vring *vr, struct vring_batch *batch, const uint32_t len[],
    unsigned n, struct vring_reservation reserved[])
{
	unsigned at = 0, i;

	batch->n = 0;
	batch->n_segments = 0;
	fetch_more(vr, batch, n);
	for (i = 0; i < n; i++) {
		unsigned taken;

		if (LIKELY(at < batch->n && batch->chain[at].len >= len[i])) {
			batch->chain[at].written = len[i];
			reserved[i] = (struct vring_reservation){VRING_RESERVE_OK, at++, 1};
			continue; /* one buffer holds it */
		}
		reserved[i].status = gather(vr, batch, at, len[i], &taken);
		reserved[i].chain = at;
		reserved[i].n_chains = taken;
		at += taken;
		if (reserved[i].status != VRING_RESERVE_NONE)
			continue; /* decided */
		if (at > 0 &&
		    (batch->n == VRING_BATCH_CHAINS ||
			batch->n_segments > VRING_BATCH_SEGMENTS / 2))
			break; /* perhaps only the batch is full: the caller calls again */
		for (; i < n; i++)
			reserved[i].status = VRING_RESERVE_NONE;
		vring_note_full(vr);
		break;
	}
	vring_unfetch(vr, batch, at);
	return i;
}

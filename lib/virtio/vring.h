/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device side of a virtqueue, split (virtio 1.2, 2.7) or packed (2.8).
 *
 * The guest may change ring and descriptor memory at any time. So every descriptor is read once
 * into a local copy, checked, turned into ranges of host addresses ("segments"), and not read
 * again. What the functions here return needs no more checks: segments lie inside guest memory,
 * chains end, and counts fit the batch.
 *
 * How a batch is used:
 *
 *	transmit queue:  vring_fetch -> ... use segments ... -> vring_complete
 *	receive queue:   vring_reserve -> ... fill segments ... -> vring_complete
 *
 * Then, if vring_call_needed() is true, the caller writes to the call eventfd.
 *
 * The format is chosen once, in vring_start: a batch costs one indirect call, a frame none. A ring
 * that cannot be understood any more (its index jumped, or a descriptor number is out of range)
 * becomes *broken*: no more chains are fetched until the front-end starts it again. Chains that
 * were fetched before are still completed. A chain that is only wrong in itself has a fault and is
 * completed with length 0.
 *
 * Threads: a vring has one user at a time. Only vring_set_log() and vring_extend_memory() may be
 * called by another thread. No function here locks, allocates, logs or makes a system call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "virtio/dirty_log.h"
#include "virtio/guest_memory.h"
#include "virtio/virtio.h"
#include "virtio/vring_iommu.h"

/*
 * The device's position in its ring. A process that has the position, the ring's addresses and the
 * guest memory can go on with the ring. avail is the position of the next fetch, used of the next
 * completion. They are equal if every chain that was fetched is completed. In a packed ring they
 * are slot numbers. In a split ring they are 16-bit indices, which wrap at 65536.
 */
struct vring_position {
	uint16_t avail;  /* next slot to fetch */
	uint16_t used;   /* next slot to complete */
	bool avail_wrap; /* packed only */
	bool used_wrap;
};

/* Why a ring is broken. The texts are for log lines. */
#define VRING_BREAKS(X) \
	X(NONE, "not broken") \
	X(AVAIL_JUMP, "the driver's avail index moved by more than the ring size") \
	X(CHAIN_HEAD_RANGE, "an avail ring entry names a descriptor outside the ring") \
	X(CHAIN_ENDLESS, "a descriptor chain is longer than the ring or than any frame needs") \
	X(TWICE, "the driver made a chain available again that the device still has")

#define X(id, text) VRING_BREAK_##id,
enum vring_break { VRING_BREAKS(X) };
#undef X

/* Why a chain cannot be used. */
#define VRING_FAULTS(X) \
	X(NONE, "good") \
	X(ADDRESS, "a descriptor points outside guest memory") \
	X(DIRECTION, "a descriptor is writable where it must be readable, or the reverse") \
	X(CHAIN, "a next index is out of range or the chain loops") \
	X(INDIRECT, "an indirect table is empty, nested, not negotiated or has a bad length") \
	X(EMPTY, "a descriptor has length 0") \
	X(TOO_LONG, "a chain has more descriptors, segments or bytes than one frame may have") \
	X(MISS, "an address is not translated yet")

#define X(id, text) VRING_FAULT_##id,
enum vring_fault { VRING_FAULTS(X) };
#undef X

const char *vring_break_text(enum vring_break b);
const char *vring_fault_text(enum vring_fault f);

struct vring_segment {
	uint8_t *addr;
	uint32_t len; /* never 0 */
};

/*
 * This structure consists of two 64-bit words. Its fields are in this order because that makes it
 * cheap to fill in the words, and cheap to make used entries from them.
 */
struct vring_chain {
	uint32_t written; /* length that vring_complete reports; set by vring_reserve, else 0 */
	uint16_t id;      /* head index (split) or buffer id (packed) */
	uint16_t slots;   /* ring slots it takes */
	uint32_t len;     /* bytes in all segments */
	uint16_t segment; /* index of its first segment in the batch */
	uint16_t n_segments : 12;
	uint16_t fault : 4; /* enum vring_fault; a faulty chain has no segments and len 0 */
};

#define VRING_BATCH_CHAINS   256
#define VRING_BATCH_SEGMENTS 2048
/* The most bytes of a chain: a frame of 64 KiB, its net header and tags, and some reserve. */
#define VRING_CHAIN_BYTES_MAX (128 << 10)
/*
 * The limit of what one visit of a ring may cost. Two things count: each descriptor of a chain with
 * several descriptors, and each chain of a frame except its first chain. Faulty chains count, too.
 * It is enough for 32 frames of 64 KiB, in chains of 70 descriptors or in merged buffers of 1 KiB.
 */
#define VRING_WALK_MAX 2304
/*
 * An indirect table may have as many entries as the ring (2.7.5.3.1), or this many if the ring is
 * smaller: FreeBSD uses up to 65 entries, and Linux's virtio-blk 128, with rings of any size.
 */
#define VRING_TABLE_MIN 128

/* The chains that are fetched and not completed, in ring order. It is too large for a stack. */
struct vring_batch {
	unsigned n;
	unsigned n_segments;
	/*
	 * True: every chain is good, has one segment and takes one slot. So chain i has segment i.
	 * False: not known. vring_fetch sets it when the batch is empty. A caller that fills a
	 * batch itself leaves it false.
	 */
	bool single_segment;
	uint32_t walked;    /* cost of this visit so far, see VRING_WALK_MAX */
	uint32_t walked_to; /* walked, when the chain that is now read began */
	struct vring_chain chain[VRING_BATCH_CHAINS];
	struct vring_segment segment[VRING_BATCH_SEGMENTS];
	/* VRING_REQUEST: 1 + index, in the chain, of its first writable segment; 0: none. */
	uint16_t writable[VRING_BATCH_CHAINS];
};

/* VRING_REQUEST: how many of the chain's segments are to be read. The rest are to be written. */
static inline unsigned vring_chain_readable(
    const struct vring_batch *batch, const struct vring_chain *chain)
{
	uint16_t writable = batch->writable[chain - batch->chain];

	return writable ? writable - 1u : chain->n_segments;
}

/* Empty the batch, and begin a visit: the limit VRING_WALK_MAX starts anew. */
static inline void vring_visit(struct vring_batch *batch)
{
	batch->n = 0;
	batch->n_segments = 0;
	batch->walked = 0;
}

struct vring;
struct vring_inflight;

enum vring_direction {
	VRING_TRANSMIT, /* guest to switch: descriptors must be device-readable */
	VRING_RECEIVE,  /* switch to guest: descriptors must be device-writable */
	VRING_REQUEST,  /* readable descriptors, then writable ones. Not behind an IOMMU */
};

/* How to start a ring. Addresses are host addresses; each area must be mapped as a whole. */
struct vring_config {
	enum vring_direction direction;
	uint64_t features; /* negotiated; used: PACKED, IN_ORDER, EVENT_IDX, INDIRECT, MRG */
	uint16_t size;
	void *desc;   /* split: descriptor table; packed: descriptor ring; aligned to 16 */
	void *driver; /* split: avail ring, aligned to 2; packed: driver event suppression, to 4 */
	void *device; /* split: used ring; packed: device event suppression; aligned to 4 */
	struct vring_position *position; /* owned by the caller, advanced by the ring */
	uint64_t *journal;               /* packed: see vring_recover; NULL: none */
	const struct guest_memory *memory;
	/* Behind an IOMMU (memory is not used then): both or neither. */
	struct vring_iommu *iommu;
	struct vring_misses *misses;     /* of this ring only */
	struct vring_inflight *inflight; /* recovered or reset; NULL: nothing is tracked */
};

/*
 * Where to look for a new chain: this word of guest memory shows whether a chain has become
 * available since vring_peek(). The vring is not needed to read it. The word is valid until the
 * next fetch from the ring.
 */
struct vring_peek {
	const uint16_t *word; /* NULL: no chain will become available */
	uint16_t mask, value;
	/* True: a chain is available if the masked word is value. False: if it is not. */
	bool equal;
};

struct vring {
	const struct vring_ops *ops;
	struct dirty_log *log; /* atomic; vring_set_log */
	uint64_t *journal;
	union {
		struct {
			const struct vring_split_desc *desc;
			const struct vring_split_avail *avail;
			struct vring_split_used *used;
		} split;
		struct {
			struct vring_packed_desc *desc;
			const struct vring_packed_event *driver_event;
			struct vring_packed_event *device_event;
		} packed;
	};
	struct vring_position *position;
	/* Where buffers and indirect tables are. The two differ only behind an IOMMU. */
	const struct guest_memory *memory;
	const struct guest_memory *tables;
	const struct guest_region *last_region, *last_table;
	uint16_t size;
	uint16_t avail_seen; /* split: the avail index as last read */
	bool event_idx;
	bool in_order;
	bool indirect;
	bool mergeable;
	bool translated; /* behind an IOMMU */
	bool is_packed;
	uint8_t direction;
	uint8_t broken; /* enum vring_break; the control thread may read it */
	/* Notification state. */
	bool signalled_valid; /* false until the first call decision after a start */
	uint16_t signalled;   /* used position at the last call decision */
	uint32_t unsignalled; /* completed since then; split: chains, packed: slots */
	uint32_t faults;      /* faulty chains so far */
	struct vring_translation translation;
	struct vring_inflight *inflight;
	struct vring_peek more; /* see vring_note_full */
};

/* Does the ring wait for a translation? */
static inline bool vring_stalled(const struct vring *vr)
{
	return vr->translation.stalled;
}

/* Bytes of each area of a ring: each must be mapped as a whole. */
struct vring_layout {
	uint32_t desc, driver, device;
};
struct vring_layout vring_layout(uint16_t size, bool packed);

/* Is this size allowed in the format? Split: a power of two. Both: 1 to 32768. */
bool vring_size_valid(uint16_t size, bool packed);

/* The position of a ring that has never run. */
struct vring_position vring_position_initial(bool packed);

/*
 * The memory of a packed ring does not show the device's position. So the position is kept in a
 * journal: one word of memory that outlives the process. While a batch is being completed, the word
 * also contains the number of slots of the batch. The device marks the first slot of a batch as
 * used last. So after a crash this slot shows whether the driver has seen the batch.
 *
 * vring_journal_word() returns the word of a ring that is not completing a batch.
 *
 * vring_recover() finds the position of a packed ring that ran with config and left this word in
 * its journal. It returns false if the contents of the ring do not agree with the word, because the
 * word belongs to another ring, or because the driver has reset the ring since the word was
 * written. vring_recover() reads guest memory. It may also write to it: if the crash was between
 * the marks of a batch, it hands over the slots that were marked, by marking the first slot.
 */
uint64_t vring_journal_word(const struct vring_position *position);
bool vring_recover(
    const struct vring_config *config, uint64_t word, struct vring_position *ret_position);

/*
 * Begin to use a ring. Nothing is written to guest memory.
 * -EINVAL: bad size, misaligned area, or a position outside the ring.
 */
int vring_start(struct vring *vr, const struct vring_config *config);

/*
 * Append up to max available chains to the batch. Returns the number of chains. 0: no chain is
 * available, the batch is full, or the ring is broken. A fetch into an empty batch (batch->n and
 * batch->n_segments are 0) begins a visit. A chain that would exceed the limit of the visit waits
 * for the next visit. The caller must complete or unfetch every chain that it has fetched.
 */
static ALWAYS_INLINE unsigned vring_fetch(struct vring *vr, struct vring_batch *batch, unsigned max)
{
	if (batch->n == 0) {
		batch->single_segment = true;
		batch->walked = 0;
	}
	return vr->ops->fetch(vr, batch, max);
}

/*
 * Undo the fetch of all chains of the batch except the first `keep` chains. No other chain may have
 * been fetched after them. This function is not for rings that defer their completions
 * (vring_inflight.h).
 */
static inline void vring_unfetch(struct vring *vr, struct vring_batch *batch, unsigned keep)
{
	if (keep < batch->n)
		vr->ops->unfetch(vr, batch, keep);
}

/*
 * Set the dirty log of the ring. NULL: no log. vring_complete() marks all pages in the log that
 * were written for the chains of its batch. So a log that is set between a fetch and its completion
 * is complete, too.
 *
 * The control thread may call this at any time. If the ring's user is in a function of this file at
 * that moment, that function may still use the old log.
 */
static inline void vring_set_log(struct vring *vr, struct dirty_log *log)
{
	__atomic_store_n(&vr->log, log, __ATOMIC_RELEASE);
}

/*
 * Find buffers in this memory from now on. It must contain all regions of the old memory, at the
 * same host addresses. The control thread may call this at any time. The old memory must stay until
 * the ring is started again. Nothing happens to a ring behind an IOMMU, because it uses a view.
 */
static inline void vring_extend_memory(struct vring *vr, const struct guest_memory *memory)
{
	if (vr->translated)
		return;
	/* Releasing: the user of the ring reads through the pointer, so its loads come later. */
	__atomic_store_n(&vr->memory, memory, __ATOMIC_RELEASE);
	__atomic_store_n(&vr->tables, memory, __ATOMIC_RELEASE);
}

/* Used by the functions below if there is a log. */
void vring_complete_logged(
    struct vring *vr, const struct vring_batch *batch, struct dirty_log *log);
void vring_log_event(struct vring *vr, struct dirty_log *log);

/*
 * Return every chain of the batch to the driver, in order. The driver sees all of them at once.
 * There is one exception: a packed ring with a journal, if a chain of the batch has several slots.
 * The batch is not emptied.
 */
static ALWAYS_INLINE void vring_complete(struct vring *vr, const struct vring_batch *batch)
{
	struct dirty_log *log = __atomic_load_n(&vr->log, __ATOMIC_ACQUIRE);

	if (!batch->n)
		return;
	if (UNLIKELY(log != NULL))
		vring_complete_logged(vr, batch, log);
	else
		vr->ops->complete(vr, batch);
}

/* A full barrier: no later load is made before all earlier stores are visible. */
static inline void vring_barrier(void)
{
#ifdef __x86_64__
	/* The cheapest one. */
	__asm__ volatile("lock; addl $0, -128(%%rsp)" ::: "memory", "cc");
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/*
 * Does the driver want a call for the chains that were completed since this function was last
 * called? vring_barrier() must be called before, after the completions. One barrier is enough for
 * any number of rings and completions.
 *
 * The answer is no if the driver has disabled calls by its flags (2.7.7, 2.8.14). Otherwise the
 * answer is yes for the first completion after a start. It is also yes if more chains were
 * completed than the ring has slots: then the driver's event may lie anywhere in the ring.
 */
static inline bool vring_call_wanted(struct vring *vr)
{
	return vr->ops->call_wanted(vr);
}

/* The same for one ring, with the barrier. */
static inline bool vring_call_needed(struct vring *vr)
{
	vring_barrier();
	return vring_call_wanted(vr);
}

/* Ask the driver not to kick. It may kick nevertheless. */
static inline void vring_kick_disable(struct vring *vr)
{
	struct dirty_log *log = __atomic_load_n(&vr->log, __ATOMIC_ACQUIRE);

	vr->ops->kick_disable(vr);
	if (UNLIKELY(log != NULL))
		vring_log_event(vr, log);
}

/*
 * Ask the driver to kick. True: chains are already available, and the driver may not kick for them.
 * So poll the ring once more before sleeping.
 */
static inline bool vring_kick_enable(struct vring *vr)
{
	struct dirty_log *log = __atomic_load_n(&vr->log, __ATOMIC_ACQUIRE);
	bool avail = vr->ops->kick_enable(vr);

	if (UNLIKELY(log != NULL))
		vring_log_event(vr, log);
	return avail;
}

/* Is a chain available? One read of guest memory, no side effect. */
static inline bool vring_has_avail(const struct vring *vr)
{
	return vr->ops->has_avail(vr);
}

/* Prefetch the cache line that the next vring_fetch reads first. */
static inline void vring_prefetch(const struct vring *vr)
{
	if (vr->ops->prefetch)
		vr->ops->prefetch(vr);
}

static inline struct vring_peek vring_peek(const struct vring *vr)
{
	return vr->broken ? (struct vring_peek){0} : vr->ops->peek(vr);
}

static inline bool vring_peek_avail(const struct vring_peek *peek)
{
	if (!peek->word)
		return false;
	return ((READ_ONCE(*peek->word) & peek->mask) == peek->value) == peek->equal;
}

/*
 * For a receive ring that had too few buffers: vring_note_full() stores the state of the ring, and
 * vring_has_more() tells later whether more buffers have become available. vring_has_more() is
 * always false for a ring that was broken, or that waited for a translation, when vring_note_full()
 * was called. vring_reserve() calls vring_note_full() when it decides VRING_RESERVE_NONE.
 */
static inline void vring_note_full(struct vring *vr)
{
	vr->more = vring_stalled(vr) ? (struct vring_peek){0} : vring_peek(vr);
}

static inline bool vring_has_more(const struct vring *vr)
{
	return vring_peek_avail(&vr->more);
}

/* How a reservation for one frame ended. */
enum vring_reserve_status {
	VRING_RESERVE_OK,
	VRING_RESERVE_NONE, /* too few buffers now; the same for all frames after this one */
	/*
	 * The frame is longer than the next buffer. If buffers are merged: it is longer than a ring
	 * full of buffers as large as the largest that was seen. The buffers stay in the ring.
	 */
	VRING_RESERVE_TOO_SMALL,
	VRING_RESERVE_FAULT, /* a buffer was faulty; it is consumed and completed with length 0 */
};

struct vring_reservation {
	uint8_t status;
	uint16_t chain;    /* first chain in the batch */
	uint16_t n_chains; /* num_buffers of the header; 1 unless buffers are merged */
};

/*
 * The fast way for the usual case: reserve one buffer for each frame, in order, and stop at the
 * first frame whose buffer is too small. Frame i gets chain i and segment i. If one of the next n
 * buffers is faulty or has several segments, no frame gets a buffer. Returns how many frames got
 * buffers. The caller completes these, then calls vring_reserve() for the other frames.
 */
unsigned vring_reserve_single(
    struct vring *vr, struct vring_batch *batch, const uint32_t len[], unsigned n);

/*
 * The same for n frames, where frame i is `more` bytes longer than chain i of `from`. more may be
 * negative, but no frame may be shorter than 0.
 */
unsigned vring_reserve_alike(struct vring *vr, struct vring_batch *batch,
    const struct vring_batch *from, int32_t more, unsigned n);

/*
 * Reserve buffers of a receive queue for n frames of len[i] bytes (net header included), in order.
 * The function empties the batch first. It fills in reserved[i], and `written` of each chain. All
 * calls since vring_visit() share the limit of one visit. Returns how many frames were decided: the
 * entries of reserved[] that are filled in, from the first on. The number is less than n only if
 * the batch is full. Then the caller fills and completes the chains of the batch, and calls again
 * for the other frames.
 */
unsigned vring_reserve(struct vring *vr, struct vring_batch *batch, const uint32_t len[],
    unsigned n, struct vring_reservation reserved[]);

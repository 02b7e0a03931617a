/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device side of a virtqueue, split (virtio 1.2, 2.7) or packed (2.8).
 *
 * Everything in ring and descriptor memory belongs to the guest, who may change it under
 * our eyes. So every descriptor is read once into a local, checked, turned into host
 * ranges ("segments"), and never looked at again. What leaves this file is safe to touch:
 * segments lie inside guest memory, chains end, counts fit the burst.
 *
 * Life of a burst:
 *
 *	transmit queue:  vring_fetch -> ... use segments ... -> vring_complete
 *	receive queue:   vring_reserve -> ... fill segments ... -> vring_complete
 *
 * and after vring_complete: if (vring_call_needed()) write the call eventfd.
 *
 * The format is chosen once, in vring_start: per burst there is one indirect call, per
 * frame none. A ring that cannot be understood any more (an index that jumped, a head out
 * of range) becomes *broken*: nothing more is fetched and nothing more is written, until
 * the front-end starts it again. A chain that is merely wrong carries a fault and is
 * completed with length 0.
 *
 * Threads: a vring has one user at a time. No function here locks, allocates, logs or makes
 * a system call.
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
 * Where a device stands in its ring. Plain values: given these, the ring's addresses and the
 * memory, another process could go on. Between bursts avail and used agree in the packed
 * format; split keeps free-running 16-bit indices.
 */
struct vring_position {
	uint16_t avail;  /* next slot to fetch */
	uint16_t used;   /* next slot to complete */
	bool avail_wrap; /* packed only */
	bool used_wrap;
};

/* Why a ring is broken. The text is for people. */
#define VRING_BREAKS(X) \
	X(NONE, "not broken") \
	X(AVAIL_JUMP, "the driver's avail index moved by more than the ring size") \
	X(HEAD_RANGE, "an avail ring entry names a descriptor outside the ring") \
	X(CHAIN_ENDLESS, "a descriptor chain is longer than the ring or than any frame needs") \
	X(TWICE, "the driver made available again what the device still has")

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
	X(MISS, "an address is not translated yet; no chain that was fetched says so")

#define X(id, text) VRING_FAULT_##id,
enum vring_fault { VRING_FAULTS(X) };
#undef X

const char *vring_break_text(enum vring_break b);
const char *vring_fault_text(enum vring_fault f);

struct vring_segment {
	uint8_t *addr;
	uint32_t len; /* never 0 */
};

/* Two words, in an order that makes them cheap to fill in and to turn into what is given back. */
struct vring_chain {
	uint32_t written; /* what vring_complete will report; 0 unless vring_reserve set it */
	uint16_t id;      /* head index (split) or buffer id (packed) */
	uint16_t slots;   /* ring slots it takes */
	uint32_t len;     /* bytes in all segments */
	uint16_t segment; /* its first segment in the burst */
	uint16_t n_segments : 12;
	uint16_t fault : 4; /* enum vring_fault; a faulty chain has no segments and len 0 */
};

#define VRING_BURST_CHAINS   256
#define VRING_BURST_SEGMENTS 2048
/* One frame's chain may not be longer than this: 64 KiB, net header, tags, and slack. */
#define VRING_CHAIN_BYTES_MAX (128 << 10)
/*
 * What one visit of a ring may cost: descriptors read in chains of more than one, and chains that
 * a frame gathers beyond its first, good or faulty. Enough for 32 frames of 64 KiB in chains of 70
 * descriptors or in merged buffers of 1 KiB.
 */
#define VRING_WALK_MAX 2304
/*
 * An indirect table may be as long as the ring (2.7.5.3.1), or this long in a smaller ring: FreeBSD
 * uses up to 65 entries and Linux's virtio-blk 128, whatever the size of the ring.
 */
#define VRING_TABLE_MIN 128

/* Chains between fetch and complete, in ring order. Large: keep one per use, not on a stack. */
struct vring_burst {
	unsigned n;
	unsigned n_segments;
	/*
	 * Every chain is good, has one segment and takes one slot; and so chain i has segment i.
	 * False says nothing. Begins anew with what is fetched into an empty burst. Who puts
	 * chains together himself leaves it false.
	 */
	bool plain;
	uint32_t walked;    /* of VRING_WALK_MAX, in this visit, */
	uint32_t walked_to; /* and when the chain that is read now began */
	struct vring_chain chain[VRING_BURST_CHAINS];
	struct vring_segment segment[VRING_BURST_SEGMENTS];
	/* Requests: 1 + the place of a chain's first writable segment; 0: there is none. */
	uint16_t writable[VRING_BURST_CHAINS];
};

/* Of a request: how many of its segments may only be read. The others may only be written. */
static inline unsigned vring_chain_readable(
    const struct vring_burst *burst, const struct vring_chain *chain)
{
	uint16_t writable = burst->writable[chain - burst->chain];

	return writable ? writable - 1u : chain->n_segments;
}

/* Begin a visit of a ring with an empty burst. */
static inline void vring_visit(struct vring_burst *burst)
{
	burst->n = 0;
	burst->n_segments = 0;
	burst->walked = 0;
}

struct vring;
struct vring_inflight;

enum vring_direction {
	VRING_TRANSMIT, /* guest to switch: descriptors must be device-readable */
	VRING_RECEIVE,  /* switch to guest: descriptors must be device-writable */
	VRING_REQUEST,  /* readable descriptors, then writable ones. Not behind an IOMMU */
};

/* How to start a ring. Addresses are host addresses, whole areas checked to be mapped. */
struct vring_config {
	enum vring_direction direction;
	uint64_t features; /* negotiated; read for PACKED, IN_ORDER, EVENT_IDX, INDIRECT, MRG */
	uint16_t size;
	void *desc;   /* split: descriptor table; packed: descriptor ring. 16-byte aligned */
	void *driver; /* split: avail ring (2); packed: driver event suppression (4) */
	void *device; /* split: used ring (4); packed: device event suppression (4) */
	struct vring_position *position; /* owned by the caller, advanced by the ring */
	uint64_t *journal;               /* packed: see vring_recover; NULL: none */
	const struct guest_memory *memory;
	/* Behind an IOMMU (memory is not used then): both or neither. */
	struct vring_iommu *iommu;
	struct vring_misses *misses;     /* this ring's alone */
	struct vring_inflight *inflight; /* recovered or reset; NULL: nothing is tracked */
};

/*
 * What tells, without the ring, whether something has become available since: one word of guest
 * memory. True of a ring that nobody fetches from meanwhile.
 */
struct vring_peek {
	const uint16_t *word; /* NULL: there never will be anything */
	uint16_t mask, value;
	bool equal; /* is it what has to be there, or what must not be there any more? */
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
	const struct guest_memory *memory; /* where buffers are */
	const struct guest_memory
	    *tables; /* where indirect tables are: the same, but for an IOMMU */
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
	uint8_t level;  /* enum cpu_level */
	uint8_t broken; /* enum vring_break; the control thread may read it */
	/* Notification state. */
	bool signalled_valid; /* false until the first completion after a start */
	uint16_t signalled;   /* used position at the last call decision */
	uint32_t unsignalled; /* slots or chains completed since */
	uint32_t faults;      /* faulty chains so far */
	struct vring_translation translation;
	struct vring_inflight *inflight;
	struct vring_peek more; /* vring_note_full */
};

/* Does the ring wait for a translation? */
static inline bool vring_stalled(const struct vring *vr)
{
	return vr->translation.stalled;
}

/* Bytes of each area of a ring, for checking that it is mapped as a whole. */
struct vring_layout {
	uint32_t desc, driver, device;
};
struct vring_layout vring_layout(uint16_t size, bool packed);

/* Is this a size the format can have? Split: a power of two. Both: 1 to 32768. */
bool vring_size_valid(uint16_t size, bool packed);

/* The position of a ring that has never run. */
struct vring_position vring_position_initial(bool packed);

/*
 * A packed ring does not tell how far it has been used, so its position is journalled where it
 * outlives the process: one word, that says where the ring stands and, while a burst is being
 * completed, how many slots that takes. After a crash the first slot shows whether it was.
 *
 * vring_journal_word() is the word of a ring at rest. vring_recover() is where a packed ring that
 * ran with config and left this word stands; false if the ring's contents say that it is another
 * one or has been reset since. Reads guest memory.
 */
uint64_t vring_journal_word(const struct vring_position *position);
bool vring_recover(
    const struct vring_config *config, uint64_t word, struct vring_position *ret_position);

/*
 * Begin to use a ring. Writes nothing into the guest.
 * -EINVAL: bad size, misaligned area, or a position outside the ring.
 */
int vring_start(struct vring *vr, const struct vring_config *config);

/*
 * Append up to max chains that the driver made available to the burst; the number appended,
 * 0 when there are none, the burst is full or the ring is broken. Start with burst->n =
 * burst->n_segments = 0; that begins a visit. A chain that would exceed what a visit may cost
 * waits for the next one. The chains' slots are taken; complete or unfetch them.
 */
static ALWAYS_INLINE unsigned vring_fetch(struct vring *vr, struct vring_burst *burst, unsigned max)
{
	if (burst->n == 0) {
		burst->plain = true;
		burst->walked = 0;
	}
	return vr->ops->fetch(vr, burst, max);
}

/*
 * Give back, unused, all chains of the burst after the first keep. They must be the last fetched.
 * Not for a ring whose completions are deferred (vring_inflight.h).
 */
static inline void vring_unfetch(struct vring *vr, struct vring_burst *burst, unsigned keep)
{
	if (keep < burst->n)
		vr->ops->unfetch(vr, burst, keep);
}

/*
 * Have what is written into guest memory logged from now on (NULL: not). For the control thread,
 * at any time; a user in the middle of a call may still use the log it began with. Marks are
 * made before vring_complete returns, for everything written since the chains were fetched.
 */
static inline void vring_set_log(struct vring *vr, struct dirty_log *log)
{
	__atomic_store_n(&vr->log, log, __ATOMIC_RELEASE);
}

/*
 * Find buffers in memory from now on, which has all that was there before, mapped where it was. For
 * the control thread, at any time; what was there before has to stay until the ring starts again.
 * Not behind an IOMMU, where the view says it.
 */
static inline void vring_extend_memory(struct vring *vr, const struct guest_memory *memory)
{
	if (vr->translated)
		return;
	WRITE_ONCE(vr->memory, memory);
	WRITE_ONCE(vr->tables, memory);
}

/* The slow ways of what follows. */
void vring_complete_logged(
    struct vring *vr, const struct vring_burst *burst, struct dirty_log *log);
void vring_log_event(struct vring *vr, struct dirty_log *log);

/*
 * Return every chain of the burst to the driver, in order, and make them visible with one
 * store. Empties nothing: the caller resets the burst.
 */
static ALWAYS_INLINE void vring_complete(struct vring *vr, const struct vring_burst *burst)
{
	struct dirty_log *log = __atomic_load_n(&vr->log, __ATOMIC_ACQUIRE);

	if (!burst->n)
		return;
	if (UNLIKELY(log != NULL))
		vring_complete_logged(vr, burst, log);
	else
		vr->ops->complete(vr, burst);
}

/* The cheapest full barrier there is on x86: waits until all stores so far have been made. */
static inline void vring_barrier(void)
{
	__asm__ volatile("lock; addl $0, -128(%%rsp)" ::: "memory", "cc");
}

/*
 * Does the driver want to be notified of what was completed since the last question? There must
 * be a vring_barrier() between the completion and the question, and one serves any number of
 * rings, and any number of completions: after more than a lap, in which the driver may have slept
 * and woken anywhere, the answer is yes unless it has interrupts disabled. Always true for the
 * first completion after a start unless the driver has interrupts disabled outright (2.7.7, 2.8.14
 * flags).
 */
static inline bool vring_call_asked(struct vring *vr)
{
	return vr->ops->call_asked(vr);
}

/* The same for one ring, with the barrier. */
static inline bool vring_call_needed(struct vring *vr)
{
	vring_barrier();
	return vring_call_asked(vr);
}

/* Ask the driver not to kick (best effort), or to kick again. */
static inline void vring_kick_disable(struct vring *vr)
{
	struct dirty_log *log = __atomic_load_n(&vr->log, __ATOMIC_ACQUIRE);

	vr->ops->kick_disable(vr);
	if (UNLIKELY(log != NULL))
		vring_log_event(vr, log);
}

/* True when chains became available meanwhile: poll once more before sleeping. */
static inline bool vring_kick_enable(struct vring *vr)
{
	struct dirty_log *log = __atomic_load_n(&vr->log, __ATOMIC_ACQUIRE);
	bool avail = vr->ops->kick_enable(vr);

	if (UNLIKELY(log != NULL))
		vring_log_event(vr, log);
	return avail;
}

/* Is something to fetch? One read of guest memory, no side effect. */
static inline bool vring_has_avail(const struct vring *vr)
{
	return vr->ops->has_avail(vr);
}

/* Ask for the line of the ring that tells a fetch of its next chain. */
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
 * A receive ring had too few buffers: remember what it looked like, and later tell whether another
 * visit would find more. Never true of a ring that is broken or waits for a translation.
 * vring_reserve remembers by itself when it decides VRING_ROOM_NONE.
 */
static inline void vring_note_full(struct vring *vr)
{
	vr->more = vring_stalled(vr) ? (struct vring_peek){0} : vring_peek(vr);
}

static inline bool vring_has_more(const struct vring *vr)
{
	return vring_peek_avail(&vr->more);
}

/* What became of one frame's request for room. */
enum vring_room_status {
	VRING_ROOM_OK,
	VRING_ROOM_NONE, /* no (more) buffers now; later frames got none either */
	/* The next buffer, or a ring full of such, cannot hold this frame; they are kept. */
	VRING_ROOM_TOO_SMALL,
	VRING_ROOM_FAULT, /* the next buffer was faulty; it is consumed, completed with 0 */
};

struct vring_room {
	uint8_t status;
	uint16_t chain;    /* first chain in the burst */
	uint16_t n_chains; /* 1 unless the driver merges buffers; the header's num_buffers */
};

/*
 * The usual case of vring_reserve: room for leading frames whose buffers are plain (see struct
 * vring_burst) and large enough. Frame i gets chain i, that is segment i. Returns for how many
 * frames; the others, if any, are vring_reserve's, after these have been completed.
 */
unsigned vring_reserve_plain(
    struct vring *vr, struct vring_burst *burst, const uint32_t len[], unsigned n);

/* Likewise, for frames as long as the n chains of from. */
unsigned vring_reserve_alike(
    struct vring *vr, struct vring_burst *burst, const struct vring_burst *from, unsigned n);

/*
 * Find room for n frames of len[i] bytes (net header included) in a receive queue, in order.
 * Fills room[i] and sets each chain's written. Starts from an empty burst (resets it), and goes
 * on with the visit that vring_visit() began: what it may still cost bounds all its calls.
 * Returns how many leading entries of room[] were decided; fewer than n only when the burst
 * itself is full: deliver and complete those, then call again for the rest.
 */
unsigned vring_reserve(struct vring *vr, struct vring_burst *burst, const uint32_t len[],
    unsigned n, struct vring_room room[]);

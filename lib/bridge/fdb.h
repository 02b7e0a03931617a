/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The learning table (filtering database, IEEE 802.1Q clause 8.8): which port each MAC is behind.
 *
 * Shape. An entry is one 64-bit word: 47 bits of MAC (that of a group address is never set), 5
 * bits of stamp and 12 of port. Eight of them fill a cache line, the bucket. A MAC may stand in
 * bucket h or in its neighbour h ^ 1 and never moves between slots, so that a look-up is one line
 * (rarely two, adjacent), without a lock or a retry: an entry is either there, whole, or not. There
 * are at least two slots for each entry promised. The hash is crc32 of the MAC times a random odd
 * number: crc32 alone is linear, so a guest could aim at a bucket whatever the seed.
 *
 * The stamp is when the entry was last confirmed, in ticks, of which the ageing time has up to 16.
 * That it stands in the entry leaves one line to miss for a source address, and to see that it is
 * known and confirmed in this tick is to find one word. Whoever finds it stores nothing: a million
 * addresses that are all in use would otherwise be a million stores a second, and lines that all
 * cores look up would go from one to another. So that nothing is forgotten too early, entries live
 * for up to two ticks longer; which of them is the oldest is known that well, no better.
 *
 * Fairness. A guest may send from as many MACs as it likes; it must not push out the entries of
 * the others. When the table has max_entries, or both buckets of a MAC are full:
 *   - the victim is the oldest entry, among those two buckets, of the port that holds most entries
 *     of the whole table (a tie goes against the learner);
 *   - a port never pushes out an entry of a port that holds as few as itself or fewer; if nothing
 *     else is there the address is not learned (its frames are flooded) and counted as refused;
 *   - a port that holds less than its share, max_entries / (ports with entries), does not pay for
 *     the limit that others have exhausted: it takes an empty slot past the limit. The slots bound
 *     that.
 * So a port that invents MACs soon replaces only its own.
 *
 * Threads. Look-ups, fdb_known(), fdb_learn() and the counters: any thread, at any time. Writers
 * hold a byte lock per pair of buckets for some tens of instructions. fdb_learn() only tries it,
 * and learns nothing if another thread has it: the next frame will do. fdb_age_some(),
 * fdb_flush_port(), fdb_flush_some() and fdb_destroy() are for one control thread; they wait for
 * the lock. fdb_foreach() takes none and may miss or show what changes meanwhile. Nobody may still
 * use the table when it is destroyed.
 */
#pragma once

#include <nmmintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/cpu.h"
#include "base/util.h"

#define FDB_PORTS_MAX    4096
#define FDB_NONE         0xffff
#define FDB_BUCKET_SLOTS 8
#define FDB_ENTRIES_MAX  (UINT32_C(1) << 24)
#define FDB_AGE_MAX_S    1000000 /* where the range of IEEE 802.1Q ends */
/* By so much another thread's clock may be ahead. */
#define FDB_TICKS_AHEAD 2

/* Where the stamp stands in a slot, and all below the MAC's last 47 bits. */
#define FDB_STAMP_SHIFT 12
#define FDB_STAMPS      UINT64_C(32)
#define FDB_BELOW_MAC   (FDB_STAMPS << FDB_STAMP_SHIFT)

struct fdb_bucket {
	uint64_t slot[FDB_BUCKET_SLOTS]; /* MAC << 16 | stamp << FDB_STAMP_SHIFT | port; 0: empty */
} CACHE_ALIGNED;

/* Only for the inline functions below; use the functions. */
struct fdb {
	/* Read by everyone, written never. */
	struct fdb_bucket *bucket;
	uint8_t *lock; /* one for each pair of buckets */
	uint64_t multiplier;
	uint32_t seed;
	uint32_t bucket_mask;
	uint32_t max_entries;
	uint32_t tick_rate;      /* ticks in 2^32 seconds */
	unsigned age_ticks;      /* an entry that is older goes */
	enum cpu_level level;    /* see fdb_vector.h */
	bool forward_link_local; /* see forward.h */

	/* Written when an address appears, moves or goes. */
	uint32_t count CACHE_ALIGNED;
	uint32_t active_ports; /* how many hold an entry */
	uint64_t moves;
	uint64_t refused;
	uint32_t age_cursor;

	/* The control thread's: laps over all buckets, each for the ports that waited for it. */
	uint32_t flush_cursor;
	bool flush_lap;               /* one is under way */
	uint32_t flush_waiting;       /* ports that wait for the next one */
	uint8_t flush[FDB_PORTS_MAX]; /* FLUSH_NOW, FLUSH_NEXT */

	uint32_t port_count[FDB_PORTS_MAX] CACHE_ALIGNED;
};

/* The MAC at p (6 bytes, any alignment) as a number: the first byte on the wire is the lowest. */
static inline uint64_t mac_load(const uint8_t *p)
{
	uint32_t low;
	uint16_t high;

	memcpy(&low, p, sizeof(low));
	memcpy(&high, p + sizeof(low), sizeof(high));
	return (uint64_t)high << 32 | low;
}

/* Broadcast or multicast: the first bit on the wire is set. */
static inline bool mac_is_group(uint64_t mac)
{
	return mac & 1;
}

/*
 * A table for max_entries addresses (1 to FDB_ENTRIES_MAX) that forgets those not seen for more
 * than age_s seconds (1 to FDB_AGE_MAX_S), and an eighth of that and two seconds later at the
 * latest. NULL with errno EINVAL or ENOMEM, or what getrandom(2) said.
 */
struct fdb *fdb_create(uint32_t max_entries, unsigned age_s);
void fdb_destroy(struct fdb *fdb);

static inline uint32_t fdb_hash(const struct fdb *fdb, uint64_t mac)
{
	return (uint32_t)_mm_crc32_u64(fdb->seed, mac * fdb->multiplier) & fdb->bucket_mask;
}

/* Ask for the line that a look-up of mac reads first, as destination or as source. */
static inline void fdb_prefetch(const struct fdb *fdb, uint64_t mac)
{
	__builtin_prefetch(&fdb->bucket[fdb_hash(fdb, mac)]);
}

/*
 * The port of the slot that matches key, or FDB_NONE. Leaves at once: in a table that is not nearly
 * full the first slot is the one, and the branch is foreseen.
 */
static inline uint16_t fdb_bucket_match(const struct fdb_bucket *bucket, uint64_t key)
{
	for (unsigned i = 0; i < FDB_BUCKET_SLOTS; i++) {
		uint64_t differ = __atomic_load_n(&bucket->slot[i], __ATOMIC_RELAXED) ^ key;

		if (differ < FDB_BELOW_MAC)
			return differ % FDB_PORTS_MAX;
	}
	return FDB_NONE;
}

/* The port mac, neither 0 nor a group address, was last seen on, or FDB_NONE. */
static inline uint16_t fdb_lookup(const struct fdb *fdb, uint64_t mac)
{
	uint32_t h = fdb_hash(fdb, mac);
	uint16_t port = fdb_bucket_match(&fdb->bucket[h], mac << 16);

	return LIKELY(port != FDB_NONE) ? port : fdb_bucket_match(&fdb->bucket[h ^ 1], mac << 16);
}

/* The stamp that is made in second now_s. */
static inline unsigned fdb_stamp(const struct fdb *fdb, uint32_t now_s)
{
	return ((uint64_t)now_s * fdb->tick_rate >> 32) % FDB_STAMPS;
}

/* How an entry for port ends that was confirmed in second now_s; the rest is the MAC. */
static inline uint64_t fdb_ending(const struct fdb *fdb, uint16_t port, uint32_t now_s)
{
	return (uint64_t)fdb_stamp(fdb, now_s) << FDB_STAMP_SHIFT | port;
}

/*
 * Is there an entry for mac with that ending? Stores nothing. mac is neither 0 nor a group address,
 * the ending is fdb_ending()'s for a port below FDB_PORTS_MAX.
 */
static inline bool fdb_known(const struct fdb *fdb, uint64_t mac, uint64_t ending)
{
	uint32_t h = fdb_hash(fdb, mac);
	uint64_t entry = mac << 16 | ending;

	for (unsigned k = 0; k < 2 * FDB_BUCKET_SLOTS; k++) {
		const struct fdb_bucket *bucket = &fdb->bucket[h ^ k / FDB_BUCKET_SLOTS];

		if (__atomic_load_n(&bucket->slot[k % FDB_BUCKET_SLOTS], __ATOMIC_RELAXED) == entry)
			return true;
	}
	return false;
}

/*
 * mac sent from port in second now_s: add, move or confirm its entry. Not kept: MAC 0, group
 * addresses, ports from FDB_PORTS_MAX on, what fairness refuses, and what another thread is in the
 * way of. For when fdb_known() said no.
 */
void fdb_learn(struct fdb *fdb, uint64_t mac, uint16_t port, uint32_t now_s);

/*
 * Look at the next max_buckets buckets, round and round, and drop the entries that are too old. One
 * that is not looked at for three quarters of the ageing time looks young again.
 */
void fdb_age_some(struct fdb *fdb, uint32_t now_s, uint32_t max_buckets);

/*
 * Forget everything behind port: fdb_flush_some() does it, which looks at the next max_buckets
 * buckets for all such ports together, and is false when nothing is left to do. Nobody may learn
 * for the port when this is called; what is learned before all is done may be forgotten as well.
 */
void fdb_flush_port(struct fdb *fdb, uint16_t port);
bool fdb_flush_some(struct fdb *fdb, uint32_t max_buckets);

/* Show every entry, with its stamp. */
typedef void (*fdb_visit)(uint64_t mac, uint16_t port, unsigned stamp, void *arg);
void fdb_foreach(const struct fdb *fdb, fdb_visit visit, void *arg);

/* Of so many buckets only; where addresses stand is as good as random. */
void fdb_foreach_in(const struct fdb *fdb, uint32_t max_buckets, fdb_visit visit, void *arg);

/* How many seconds ago an entry with that stamp was confirmed, in whole ticks. */
unsigned fdb_stamp_age(const struct fdb *fdb, unsigned stamp, uint32_t now_s);

uint32_t fdb_buckets(const struct fdb *fdb);
uint32_t fdb_count(const struct fdb *fdb);
uint32_t fdb_port_count(const struct fdb *fdb, uint16_t port);
uint64_t fdb_moves(const struct fdb *fdb);   /* addresses seen on another port than before */
uint64_t fdb_refused(const struct fdb *fdb); /* addresses not learned, for fairness */

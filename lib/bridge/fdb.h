/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The learning table (filtering database, IEEE 802.1Q clause 8.8): which port each MAC is behind.
 *
 * Shape. An entry is one 64-bit word: 48 bits of MAC, a "used" bit and the port. Eight of them
 * fill a cache line, the bucket. A MAC may stand in bucket h or in its neighbour h ^ 1 and never
 * moves between slots, so that a look-up is one line (rarely two, adjacent), without a lock or a
 * retry: an entry is either there, whole, or not. There are at least two slots for each entry
 * promised. The hash is crc32 of the MAC times a random odd number: crc32 alone is linear, so a
 * guest could aim at a bucket whatever the seed.
 *
 * The time an entry was last confirmed, its stamp, lives in another array: the lines looked up
 * stay shared by all cores. Stamps count ticks, of which the ageing time has 32 to 64, in one byte:
 * a look-up at random misses caches and TLB less the less there is to miss. An address that was
 * confirmed in this tick stores nothing at all: a million addresses that are all in use would
 * otherwise be a million stores a second. So that nothing is forgotten too early, entries live for
 * up to two ticks longer; which of them is the oldest is known that well, no better.
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
 * fdb_flush_port() and fdb_destroy() are for one control thread; they wait for the lock.
 * fdb_foreach() takes none and may miss or show what changes meanwhile. Nobody may still use the
 * table when it is destroyed.
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
/* By so much another thread's clock may be ahead. */
#define FDB_TICKS_AHEAD 2
#define FDB_SLOT_USED   0x8000 /* so that no entry, not even of MAC 0, looks like an empty slot */

struct fdb_bucket {
	uint64_t slot[FDB_BUCKET_SLOTS]; /* MAC << 16 | FDB_SLOT_USED | port; 0: empty */
} CACHE_ALIGNED;

/* Only for the inline functions below; use the functions. */
struct fdb {
	/* Read by everyone, written never. */
	struct fdb_bucket *bucket;
	uint8_t *stamp; /* FDB_BUCKET_SLOTS for each bucket */
	uint8_t *lock;  /* one for each pair of buckets */
	uint64_t multiplier;
	uint32_t seed;
	uint32_t bucket_mask;
	uint32_t max_entries;
	unsigned tick_shift;  /* a tick is 1 << tick_shift seconds */
	unsigned age_ticks;   /* an entry that is older goes */
	enum cpu_level level; /* see fdb_vector.h */

	/* Written when an address appears, moves or goes. */
	uint32_t count CACHE_ALIGNED;
	uint32_t active_ports; /* how many hold an entry */
	uint64_t moves;
	uint64_t refused;
	uint32_t age_cursor;
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
 * than age_s seconds, and a sixteenth of that (or two seconds) later at the latest. NULL with errno
 * EINVAL or ENOMEM, or what getrandom(2) said.
 */
struct fdb *fdb_create(uint32_t max_entries, unsigned age_s);
void fdb_destroy(struct fdb *fdb);

static inline uint32_t fdb_hash(const struct fdb *fdb, uint64_t mac)
{
	return (uint32_t)_mm_crc32_u64(fdb->seed, mac * fdb->multiplier) & fdb->bucket_mask;
}

/* Ask for the line that a look-up of mac reads first. */
static inline void fdb_prefetch(const struct fdb *fdb, uint64_t mac)
{
	__builtin_prefetch(&fdb->bucket[fdb_hash(fdb, mac)]);
}

/* The same for fdb_known(), which reads a stamp, too. */
static inline void fdb_prefetch_known(const struct fdb *fdb, uint64_t mac)
{
	uint32_t h = fdb_hash(fdb, mac);

	__builtin_prefetch(&fdb->bucket[h]);
	__builtin_prefetch(&fdb->stamp[(size_t)h * FDB_BUCKET_SLOTS]);
}

/*
 * The port of the slot that matches key, or something >= FDB_PORTS_MAX. Leaves at once: in a table
 * that is not nearly full the first slot is the one, and the branch is foreseen.
 */
static inline uint64_t fdb_bucket_match(const struct fdb_bucket *bucket, uint64_t key)
{
	for (unsigned i = 0; i < FDB_BUCKET_SLOTS; i++) {
		uint64_t differ = __atomic_load_n(&bucket->slot[i], __ATOMIC_RELAXED) ^ key;

		if (differ < FDB_PORTS_MAX)
			return differ;
	}
	return FDB_NONE;
}

/* The port mac was last seen on, or FDB_NONE. */
static inline uint16_t fdb_lookup(const struct fdb *fdb, uint64_t mac)
{
	uint32_t h = fdb_hash(fdb, mac);
	uint64_t key = mac << 16 | FDB_SLOT_USED;
	uint64_t port = fdb_bucket_match(&fdb->bucket[h], key);

	if (LIKELY(port < FDB_PORTS_MAX))
		return port;
	port = fdb_bucket_match(&fdb->bucket[h ^ 1], key);
	return port < FDB_PORTS_MAX ? port : FDB_NONE;
}

/* The stamp that is made in second now_s. */
static inline uint8_t fdb_tick(const struct fdb *fdb, uint32_t now_s)
{
	return now_s >> fdb->tick_shift;
}

/* How many ticks ago was a stamp made? 0: in this one, or by a clock that is ahead. */
static inline unsigned fdb_stamp_age(const struct fdb *fdb, uint8_t stamp, uint32_t now_s)
{
	uint8_t age = fdb_tick(fdb, now_s) - stamp;

	return age <= UINT8_MAX - FDB_TICKS_AHEAD ? age : 0;
}

/* Is there an entry for mac on port, confirmed in this tick? Stores nothing. */
static inline bool fdb_known(const struct fdb *fdb, uint64_t mac, uint16_t port, uint32_t now_s)
{
	uint32_t h = fdb_hash(fdb, mac);
	uint64_t entry = mac << 16 | FDB_SLOT_USED | port;

	for (unsigned k = 0; k < 2 * FDB_BUCKET_SLOTS; k++) {
		uint32_t bucket = h ^ k / FDB_BUCKET_SLOTS;
		unsigned i = k % FDB_BUCKET_SLOTS;
		size_t at = (size_t)bucket * FDB_BUCKET_SLOTS + i;

		if (__atomic_load_n(&fdb->bucket[bucket].slot[i], __ATOMIC_RELAXED) != entry)
			continue; /* another one */
		return fdb_stamp_age(
			   fdb, __atomic_load_n(&fdb->stamp[at], __ATOMIC_RELAXED), now_s) == 0;
	}
	return false;
}

/*
 * mac sent from port in second now_s: add, move or confirm its entry. Not kept: MAC 0, group
 * addresses, ports from FDB_PORTS_MAX on, what fairness refuses, and what another thread is in the
 * way of. For when fdb_known() said no.
 */
void fdb_learn(struct fdb *fdb, uint64_t mac, uint16_t port, uint32_t now_s);

/* Look at the next max_buckets buckets, round and round, and drop the entries that are too old. */
void fdb_age_some(struct fdb *fdb, uint32_t now_s, uint32_t max_buckets);

/* Forget everything behind port. */
void fdb_flush_port(struct fdb *fdb, uint16_t port);

/* Show every entry, with its stamp. */
typedef void (*fdb_visit)(uint64_t mac, uint16_t port, uint8_t stamp, void *arg);
void fdb_foreach(const struct fdb *fdb, fdb_visit visit, void *arg);

uint32_t fdb_buckets(const struct fdb *fdb);
uint32_t fdb_count(const struct fdb *fdb);
uint32_t fdb_port_count(const struct fdb *fdb, uint16_t port);
uint64_t fdb_moves(const struct fdb *fdb);   /* addresses seen on another port than before */
uint64_t fdb_refused(const struct fdb *fdb); /* addresses not learned, for fairness */

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The address table (filtering database, IEEE 802.1Q clause 8.8). It finds the port behind which a
 * MAC is.
 *
 * Layout. An entry is one 64-bit word: 47 bits of MAC (the bit of group addresses is never set), 5
 * bits of stamp and 12 bits of port. A bucket is one cache line of eight entries. A MAC with hash h
 * may be in bucket h or in bucket h ^ 1. Its entry never moves to another slot. So a look-up reads
 * one line (rarely two adjacent lines), without a lock or a retry. It sees a whole entry or none.
 * The table has at least 2 * max_entries slots.
 *
 * The hash is the crc32 of a product: the MAC times a random odd number. Without the multiplication
 * the hash would be linear: a guest could choose addresses of the same bucket without knowing the
 * seed.
 *
 * Stamp. The stamp says in which tick the entry was last confirmed. The ageing time has up to 16
 * ticks. MAC, stamp and port are in one word. So one comparison tells whether a source is known and
 * was confirmed in this tick. If so, nothing is stored. (If every frame caused a store, a million
 * active addresses would cause a million stores per second, and cache lines that all cores read
 * would move from core to core.)
 *
 * Ages are counted in ticks. So an entry may be kept for two ticks longer than the ageing time. If
 * two entries were confirmed in the same tick, it is not known which of them is older.
 *
 * Fairness. A guest may send from any number of MACs, but it must not push out the entries of other
 * ports. If the table has max_entries, or both buckets of a MAC are full:
 *   - the victim is an entry in these two buckets: the oldest one of the port that has most entries
 *     in the whole table. If the learning port has as many, its own entry is the victim;
 *   - a port never pushes out an entry of another port that has no more entries than itself. If
 *     there is no other victim, the address is not learned (frames to it are flooded), and it is
 *     counted as refused;
 *   - if the table has max_entries, but the learning port has less than its share, which is
 *     max_entries / (ports with entries), and no port in the two buckets has more than this share,
 *     then an empty slot is used. The number of slots bounds this.
 * So a port that invents MACs soon replaces only its own entries.
 *
 * Threads. Any thread may look up, call fdb_known() and fdb_learn(), and read the counters, at any
 * time. A writer locks a pair of buckets for some tens of instructions. fdb_learn() only tries to
 * take the lock. If another thread holds it, nothing is learned until a later frame.
 * fdb_age_some(), fdb_flush_port(), fdb_flush_some() and fdb_destroy() are for one control thread;
 * ageing and flushing wait for the lock. fdb_foreach() takes no lock, so it may miss or show
 * entries that change meanwhile. No thread may use the table when it is destroyed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/cpu.h"
#include "base/crc32c.h"
#include "base/util.h"

#define FDB_PORTS_MAX    4096
#define FDB_NONE         0xffff
#define FDB_BUCKET_SLOTS 8
#define FDB_ENTRIES_MAX  (UINT32_C(1) << 24)
#define FDB_AGE_MAX_S    1000000 /* the largest ageing time of IEEE 802.1Q */
/* Another thread's clock may be ahead by this many ticks. */
#define FDB_TICKS_AHEAD 2

/* The position of the stamp in a slot. Port and stamp together are below FDB_BELOW_MAC. */
#define FDB_STAMP_SHIFT 12
#define FDB_STAMPS      UINT64_C(32)
#define FDB_BELOW_MAC   (FDB_STAMPS << FDB_STAMP_SHIFT)

struct fdb_bucket {
	uint64_t slot[FDB_BUCKET_SLOTS]; /* MAC << 16 | stamp << FDB_STAMP_SHIFT | port; 0: empty */
} CACHE_ALIGNED;

/* Private; it is here for the inline functions below. */
struct fdb {
	/* Constant while threads use the table. */
	struct fdb_bucket *bucket;
	uint8_t *lock; /* one for each pair of buckets */
	uint64_t multiplier;
	uint32_t seed;
	uint32_t bucket_mask;
	uint32_t max_entries;
	uint32_t tick_rate;      /* ticks in 2^32 seconds */
	unsigned age_ticks;      /* an older entry is dropped */
	enum cpu_level level;    /* see fdb_vector.h */
	bool forward_link_local; /* see forward.h */

	/* Written when an address is added, moves or is dropped. */
	uint32_t count CACHE_ALIGNED;
	uint32_t active_ports; /* how many hold an entry */
	uint64_t moves;
	uint64_t refused;
	uint32_t age_cursor;

	/* For the control thread. A pass over all buckets flushes the ports that waited for it. */
	uint32_t flush_cursor;
	bool flush_pass;              /* a pass is under way */
	uint32_t flush_waiting;       /* how many ports wait for the next pass */
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

/* Is it a broadcast or multicast address? Then the first bit on the wire is set. */
static inline bool mac_is_group(uint64_t mac)
{
	return mac & 1;
}

/*
 * Create a table for max_entries addresses (1 to FDB_ENTRIES_MAX). An address that is not seen for
 * age_s seconds (1 to FDB_AGE_MAX_S) is dropped, at most age_s / 8 + 2 seconds later. On failure
 * NULL, and errno is EINVAL, ENOMEM or that of getrandom(2).
 */
struct fdb *fdb_create(uint32_t max_entries, unsigned age_s);
void fdb_destroy(struct fdb *fdb);

static inline uint32_t fdb_hash(const struct fdb *fdb, uint64_t mac)
{
	return (uint32_t)crc32c_u64(fdb->seed, mac * fdb->multiplier) & fdb->bucket_mask;
}

/* Prefetch the line that a look-up of mac reads first, as destination or as source. */
static inline void fdb_prefetch(const struct fdb *fdb, uint64_t mac)
{
	__builtin_prefetch(&fdb->bucket[fdb_hash(fdb, mac)]);
}

/*
 * The port of the slot that matches key, or FDB_NONE. It returns at the first match: if the table
 * is not nearly full, this is mostly the first slot, so the branch is predicted well.
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

/* The port on which mac was last seen, or FDB_NONE. mac is neither 0 nor a group address. */
static inline uint16_t fdb_lookup(const struct fdb *fdb, uint64_t mac)
{
	uint32_t h = fdb_hash(fdb, mac);
	uint16_t port = fdb_bucket_match(&fdb->bucket[h], mac << 16);

	return LIKELY(port != FDB_NONE) ? port : fdb_bucket_match(&fdb->bucket[h ^ 1], mac << 16);
}

/* The stamp of an entry that is confirmed in second now_s. */
static inline unsigned fdb_stamp(const struct fdb *fdb, uint32_t now_s)
{
	return ((uint64_t)now_s * fdb->tick_rate >> 32) % FDB_STAMPS;
}

/* Stamp and port of an entry for port that is confirmed in second now_s; the rest is the MAC. */
static inline uint64_t fdb_ending(const struct fdb *fdb, uint16_t port, uint32_t now_s)
{
	return (uint64_t)fdb_stamp(fdb, now_s) << FDB_STAMP_SHIFT | port;
}

/*
 * Is there an entry for mac with this ending? The function stores nothing. mac is neither 0 nor a
 * group address. ending is a result of fdb_ending() for a port below FDB_PORTS_MAX.
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
 * Learn that mac sent a frame from port in second now_s: add, move or confirm its entry. Call this
 * if fdb_known() returned false. Nothing is learned for MAC 0, for group addresses and for ports
 * from FDB_PORTS_MAX on. Nothing is learned, either, if fairness forbids it, or if another thread
 * has the lock.
 */
void fdb_learn(struct fdb *fdb, uint64_t mac, uint16_t port, uint32_t now_s);

/*
 * Drop entries that are too old from the next max_buckets buckets. After the last bucket comes the
 * first. Each bucket must be checked more often than every three quarters of the ageing time,
 * because a later check takes old entries for new entries.
 */
void fdb_age_some(struct fdb *fdb, uint32_t now_s, uint32_t max_buckets);

/*
 * Forget all addresses behind port. fdb_flush_port() only marks the port. fdb_flush_some() drops
 * the entries of all marked ports from the next max_buckets buckets, and returns false if nothing
 * is left to do. No thread may learn for the port when fdb_flush_port() is called. Addresses that
 * are learned for it before the flush is complete may be forgotten as well.
 */
void fdb_flush_port(struct fdb *fdb, uint16_t port);
bool fdb_flush_some(struct fdb *fdb, uint32_t max_buckets);

/* Is a flush of this port not complete yet? */
bool fdb_flush_pending(const struct fdb *fdb, uint16_t port);

/* Call visit for every entry. */
typedef void (*fdb_visit)(uint64_t mac, uint16_t port, unsigned stamp, void *arg);
void fdb_foreach(const struct fdb *fdb, fdb_visit visit, void *arg);

/* The same for the first max_buckets buckets: a random sample, because the hash is random. */
void fdb_foreach_in(const struct fdb *fdb, uint32_t max_buckets, fdb_visit visit, void *arg);

/* The same for max_buckets buckets, beginning with number `first`: a part of a long list. */
void fdb_foreach_from(
    const struct fdb *fdb, uint32_t first, uint32_t max_buckets, fdb_visit visit, void *arg);

/* How many seconds ago an entry with this stamp was confirmed, as a multiple of the tick. */
unsigned fdb_stamp_age(const struct fdb *fdb, unsigned stamp, uint32_t now_s);

uint32_t fdb_buckets(const struct fdb *fdb);
uint32_t fdb_count(const struct fdb *fdb);
uint32_t fdb_port_count(const struct fdb *fdb, uint16_t port);
uint64_t fdb_moves(const struct fdb *fdb);   /* addresses seen on another port than before */
uint64_t fdb_refused(const struct fdb *fdb); /* addresses not learned, for fairness */

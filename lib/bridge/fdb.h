/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The address table (filtering database, IEEE 802.1Q clause 8.8). It finds the port behind which a
 * MAC is in a domain. A domain is a VLAN, or 0 for frames without a VLAN.
 *
 * Address. In this file an address is a number: the MAC as mac_load() returns it, and the domain
 * above it (fdb_address()). So the MAC alone is its address in domain 0.
 *
 * Layout. A bucket is one cache line of eight entries, and an entry is one 64-bit word. An address
 * with place x (see below) may be in bucket h, which is the low bits of x, or in bucket h ^ 1. Its
 * entry never moves to another slot. So a look-up reads one line (rarely two adjacent lines),
 * without a lock or a retry. It sees a whole entry or none. The table has at least 2 * max_entries
 * slots, and at least FDB_BUCKETS_MIN buckets.
 *
 * Place. An address has 59 bits: 47 of the MAC (the bit of group addresses is never set) and 12 of
 * the domain. The place is the product of the address and a random odd number, modulo 2^59. Then
 * the crc32 of its high 27 bits is added (exclusive or) to its low 32 bits. Both steps can be
 * undone, so two addresses never have the same place. Therefore an entry need not contain the low
 * bits of the place: the number of its bucket says them, and one bit of the entry says whether it
 * is in bucket h or h ^ 1. This leaves room in the word for the port, the stamp and the domain. A
 * guest does not know the random number, so it cannot choose addresses of the same bucket. With the
 * crc32 alone it could, because crc32 is linear. With the product alone, addresses that differ only
 * in high bits would share a bucket.
 *
 * Stamp. The stamp says in which tick the entry was last confirmed. The ageing time has up to 16
 * ticks. Address, stamp and port are in one word. So one comparison tells whether a source is known
 * and was confirmed in this tick. If so, nothing is stored. (If every frame caused a store, a
 * million active addresses would cause a million stores per second, and cache lines that all cores
 * read would move from core to core.)
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
 *     then an empty slot is used. The number of slots bounds this;
 *   - if there is no victim in these two buckets, but a slot is empty, FDB_SEARCH other buckets are
 *     searched for a victim by the same rules. Each search begins where the last one ended. (In a
 *     small table most buckets are empty even if it has max_entries.)
 * So a port that invents MACs soon replaces only its own entries.
 *
 * Static entries. The control thread sets them. They are not aged, moved, flushed or pushed out.
 * They count neither towards max_entries nor for their port.
 *
 * Threads. Any thread may look up, call fdb_known() and fdb_learn(), and read the counters, at any
 * time. A writer locks a pair of buckets for some tens of instructions. fdb_learn() only tries to
 * take the lock. If another thread holds it, nothing is learned until a later frame.
 * fdb_age_some(), fdb_flush_port(), fdb_flush_some(), fdb_static_set(), fdb_static_clear() and
 * fdb_destroy() are for one control thread; except the last, they wait for the lock. fdb_foreach()
 * takes no lock, so it may miss or show entries that change meanwhile. No thread may use the table
 * when it is destroyed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/util.h"
#include "bridge/fdb_table.h"

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

/* Can a station have this address? Not 0 or a group address. */
static inline bool fdb_is_station(uint64_t address)
{
	return (address & FDB_MAC) != 0 && !mac_is_group(address);
}

/* The address of a MAC in a domain, which is below FDB_DOMAINS. */
static inline uint64_t fdb_address(uint64_t mac, uint16_t domain)
{
	return (uint64_t)domain << FDB_MAC_BITS | mac;
}

/* Where an address is if it is in its home bucket. Nearly all are. */
struct fdb_spot {
	const struct fdb_bucket *home;
	uint64_t key; /* see fdb_key() */
};

static ALWAYS_INLINE struct fdb_spot fdb_spot(const struct fdb *fdb, uint64_t address)
{
	uint64_t place = fdb_place(fdb, address);

	return (struct fdb_spot){&fdb->bucket[fdb_home(fdb, place)], fdb_key(fdb, place)};
}

/* Prefetch the line that a look-up reads first, as destination or as source. */
static ALWAYS_INLINE void fdb_prefetch(const struct fdb_spot *spot)
{
	__builtin_prefetch(spot->home);
}

/*
 * The port of the slot that matches key, or FDB_NONE. It returns at the first match: if the table
 * is not nearly full, this is mostly the first slot, so the branch is predicted well.
 */
static inline uint16_t fdb_bucket_match(const struct fdb_bucket *bucket, uint64_t key)
{
	for (unsigned i = 0; i < FDB_BUCKET_SLOTS; i++) {
		uint64_t differ = __atomic_load_n(&bucket->slot[i], __ATOMIC_RELAXED) ^ key;

		if (differ < FDB_BELOW_KEY)
			return differ % FDB_PORTS_MAX;
	}
	return FDB_NONE;
}

/*
 * The port on which the address was last seen, or FDB_NONE. Its MAC is neither 0 nor a group
 * address.
 */
static inline uint16_t fdb_lookup(const struct fdb *fdb, uint64_t address)
{
	uint64_t place = fdb_place(fdb, address), key = fdb_key(fdb, place);
	uint32_t h = fdb_home(fdb, place);
	uint16_t port = fdb_bucket_match(&fdb->bucket[h], key);

	if (LIKELY(port != FDB_NONE))
		return port;
	return fdb_bucket_match(&fdb->bucket[h ^ 1], key | FDB_ASIDE);
}

/* Stamp and port of an entry for port that is confirmed in second now_s; the rest is the key. */
static inline uint64_t fdb_ending(const struct fdb *fdb, uint16_t port, uint32_t now_s)
{
	return (uint64_t)fdb_stamp(fdb, now_s) << FDB_STAMP_SHIFT | port;
}

/* Is this entry in the bucket? */
static inline bool fdb_bucket_holds(const struct fdb_bucket *bucket, uint64_t entry)
{
	for (unsigned i = 0; i < FDB_BUCKET_SLOTS; i++)
		if (__atomic_load_n(&bucket->slot[i], __ATOMIC_RELAXED) == entry)
			return true;
	return false;
}

/*
 * Is there an entry for the address with this ending, which is not static? The function stores
 * nothing. The MAC is neither 0 nor a group address. ending is a result of fdb_ending() for a port
 * below FDB_PORTS_MAX.
 */
static inline bool fdb_known(const struct fdb *fdb, uint64_t address, uint64_t ending)
{
	uint64_t place = fdb_place(fdb, address), entry = fdb_key(fdb, place) | ending;
	uint32_t h = fdb_home(fdb, place);

	return fdb_bucket_holds(&fdb->bucket[h], entry) ||
	    fdb_bucket_holds(&fdb->bucket[h ^ 1], entry | FDB_ASIDE);
}

/*
 * Learn that the address sent a frame from port in second now_s: add, move or confirm its entry.
 * Call this if fdb_known() returned false. Nothing is learned for MAC 0, for group addresses and
 * for ports from FDB_PORTS_MAX on. Nothing is learned, either, if the address has a static entry,
 * if fairness forbids it, or if another thread has the lock.
 */
void fdb_learn(struct fdb *fdb, uint64_t address, uint16_t port, uint32_t now_s);

/*
 * Set a static entry; it replaces another entry of the address. -EEXIST: the address has a static
 * entry for another port; -ENOSPC: both its buckets are full of static entries; -EINVAL: MAC 0, a
 * group address, or no port.
 */
int fdb_static_set(struct fdb *fdb, uint64_t address, uint16_t port);

/* Remove the static entry of the address for this port. -ENOENT: there is none. */
int fdb_static_clear(struct fdb *fdb, uint64_t address, uint16_t port);

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

/* Has fdb_flush_some() anything to do? */
bool fdb_flush_waits(const struct fdb *fdb);

/* Is a flush of this port not complete yet? */
bool fdb_flush_pending(const struct fdb *fdb, uint16_t port);

/* What a visitor sees of an entry. */
struct fdb_entry {
	uint64_t mac; /* as mac_load() returns it */
	uint16_t domain;
	uint16_t port;
	unsigned stamp; /* see fdb_stamp_age(); static entries: 0 */
	bool is_static;
};

/* Call visit for every entry. */
typedef void (*fdb_visit)(const struct fdb_entry *entry, void *arg);
void fdb_foreach(const struct fdb *fdb, fdb_visit visit, void *arg);

/* The same for the first max_buckets buckets: a random sample, because the hash is random. */
void fdb_foreach_in(const struct fdb *fdb, uint32_t max_buckets, fdb_visit visit, void *arg);

/* The same for max_buckets buckets, beginning with number `first`: a part of a long list. */
void fdb_foreach_from(
    const struct fdb *fdb, uint32_t first, uint32_t max_buckets, fdb_visit visit, void *arg);

/* How many seconds ago an entry with this stamp was confirmed, as a multiple of the tick. */
unsigned fdb_stamp_age(const struct fdb *fdb, unsigned stamp, uint32_t now_s);

uint32_t fdb_buckets(const struct fdb *fdb);
uint32_t fdb_count(const struct fdb *fdb); /* static entries not counted */
uint32_t fdb_static_count(const struct fdb *fdb);
uint32_t fdb_port_count(const struct fdb *fdb, uint16_t port);
uint64_t fdb_moves(const struct fdb *fdb);   /* addresses seen on another port than before */
uint64_t fdb_refused(const struct fdb *fdb); /* addresses not learned, for fairness */

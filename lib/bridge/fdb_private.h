/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all files that write to the address table share: pairs of buckets with their locks, the
 * parts of an entry, and the counters. See fdb.h for the rules.
 *
 * All writes to a pair of buckets happen under its lock. Readers take no lock, so each slot
 * changes with one atomic store of a whole entry.
 *
 * The counters (all entries, entries of each port, ports with entries) are changed atomically, but
 * not together. So the numbers that fairness uses may be wrong by a few entries.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cpu.h"
#include "bridge/fdb_table.h"

struct fdb_entry;

#define PAIR_SLOTS (2 * FDB_BUCKET_SLOTS)

/* The two buckets an address can be in. */
struct pair {
	uint64_t *slot; /* PAIR_SLOTS */
	uint8_t *lock;
};

static inline struct pair pair_of_bucket(const struct fdb *fdb, uint32_t bucket)
{
	uint32_t even = bucket & ~1u;

	return (struct pair){
	    .slot = (uint64_t *)&fdb->bucket[even],
	    .lock = &fdb->lock[even / 2],
	};
}

static inline bool pair_try_lock(const struct pair *pair)
{
	return !__atomic_exchange_n(pair->lock, 1, __ATOMIC_ACQUIRE);
}

static inline void pair_lock(const struct pair *pair)
{
	while (!pair_try_lock(pair))
		cpu_pause();
}

static inline void pair_unlock(const struct pair *pair)
{
	__atomic_store_n(pair->lock, 0, __ATOMIC_RELEASE);
}

/* Are both entries of the same address, if they are in the same bucket? */
static inline bool same_key(uint64_t a, uint64_t b)
{
	return (a ^ b) < FDB_BELOW_KEY;
}

static inline uint16_t entry_port(uint64_t entry)
{
	return entry % FDB_PORTS_MAX;
}

static inline unsigned entry_stamp(uint64_t entry)
{
	return entry >> FDB_STAMP_SHIFT & (FDB_STAMPS - 1);
}

/* How many ticks ago was the entry confirmed? 0: in this tick, or by a clock that is ahead. */
static inline unsigned entry_age(const struct fdb *fdb, uint64_t entry, uint32_t now_s)
{
	unsigned age = (fdb_stamp(fdb, now_s) - entry_stamp(entry)) % FDB_STAMPS;

	return age < FDB_STAMPS - FDB_TICKS_AHEAD ? age : 0;
}

/* The parts of an entry, which is not 0, in this bucket. */
struct fdb_entry fdb_take_apart(const struct fdb *fdb, uint32_t bucket, uint64_t entry);

static inline uint64_t slot_read(const uint64_t *slot)
{
	return __atomic_load_n(slot, __ATOMIC_RELAXED);
}

static inline void slot_write(uint64_t *slot, uint64_t entry)
{
	__atomic_store_n(slot, entry, __ATOMIC_RELEASE);
}

static inline void count_add(struct fdb *fdb, uint16_t port)
{
	__atomic_add_fetch(&fdb->count, 1, __ATOMIC_RELAXED);
	if (__atomic_fetch_add(&fdb->port_count[port], 1, __ATOMIC_RELAXED) == 0)
		__atomic_add_fetch(&fdb->active_ports, 1, __ATOMIC_RELAXED);
}

static inline void count_remove(struct fdb *fdb, uint16_t port)
{
	__atomic_sub_fetch(&fdb->count, 1, __ATOMIC_RELAXED);
	if (__atomic_fetch_sub(&fdb->port_count[port], 1, __ATOMIC_RELAXED) == 1)
		__atomic_sub_fetch(&fdb->active_ports, 1, __ATOMIC_RELAXED);
}

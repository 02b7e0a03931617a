/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of the address table: buckets, the bits of an entry, and the place of an address. It
 * is private to the files that implement fdb.h, and to the inline functions there. See fdb.h for
 * what the words mean, and for threads.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cpu.h"
#include "base/crc32c.h"
#include "base/util.h"

#define FDB_PORTS_MAX    1024
#define FDB_NONE         0xffff
#define FDB_DOMAINS      4096
#define FDB_BUCKET_SLOTS 8
#define FDB_BUCKETS_MIN  8192
#define FDB_ENTRIES_MAX  (UINT32_C(1) << 24)
#define FDB_AGE_MAX_S    1000000 /* the largest ageing time of IEEE 802.1Q */
/* Another thread's clock may be ahead by this many ticks. */
#define FDB_TICKS_AHEAD 2
#define FDB_SEARCH      16 /* buckets */

/* An entry, from its lowest bit on. Port, stamp and FDB_STATIC together are below FDB_BELOW_KEY. */
#define FDB_STAMP_SHIFT 10
#define FDB_STAMPS      UINT64_C(32)
#define FDB_STATIC      (UINT64_C(1) << 15)
#define FDB_BELOW_KEY   (UINT64_C(1) << 16)
#define FDB_USED        (UINT64_C(1) << 16) /* the slot is not empty; an empty slot is 0 */
#define FDB_ASIDE       (UINT64_C(1) << 17) /* it is in bucket h ^ 1 */
#define FDB_REST_SHIFT  18 /* of the place, without the bits that name the bucket */

#define FDB_MAC_BITS    48
#define FDB_MAC         ((UINT64_C(1) << FDB_MAC_BITS) - 1)
#define FDB_PLACE_BITS  59
#define FDB_PLACE_SHIFT (64 - FDB_PLACE_BITS)
#define FDB_PLACE       ((UINT64_C(1) << FDB_PLACE_BITS) - 1)

struct fdb_bucket {
	uint64_t slot[FDB_BUCKET_SLOTS];
} CACHE_ALIGNED;

struct fdb {
	/* Constant while threads use the table. */
	struct fdb_bucket *bucket;
	uint8_t *lock;       /* one for each pair of buckets */
	uint64_t multiplier; /* an odd number, shifted */
	uint64_t inverse;    /* of the odd number */
	uint32_t seed;
	uint32_t bucket_mask;
	unsigned bucket_bits;
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
	uint32_t n_static; /* static entries */
	uint32_t age_cursor;
	uint32_t search_cursor; /* any thread changes it */

	/* For the control thread. A pass over all buckets flushes the ports that waited for it. */
	uint32_t flush_cursor;
	bool flush_pass;              /* a pass is under way */
	uint32_t flush_waiting;       /* how many ports wait for the next pass */
	uint8_t flush[FDB_PORTS_MAX]; /* FLUSH_NOW, FLUSH_NEXT */

	uint32_t port_count[FDB_PORTS_MAX] CACHE_ALIGNED;
};

/*
 * The place of an address. The product has 59 bits above FDB_PLACE_SHIFT zeros, because the lowest
 * bit of an address is 0, and the multiplier ends in zeros, too. See address_of() in fdb.c, which
 * is the inverse.
 */
static inline uint64_t fdb_place(const struct fdb *fdb, uint64_t address)
{
	uint64_t product = address * fdb->multiplier;

	return product >> FDB_PLACE_SHIFT ^
	    crc32c_u64(fdb->seed, product >> (FDB_PLACE_SHIFT + 32));
}

/* The bucket in which a place is, or else the bucket is this number ^ 1. */
static inline uint32_t fdb_home(const struct fdb *fdb, uint64_t place)
{
	return (uint32_t)place & fdb->bucket_mask;
}

/* What the entry of a place in its home bucket has above port, stamp and FDB_STATIC. */
static inline uint64_t fdb_key(const struct fdb *fdb, uint64_t place)
{
	return place >> fdb->bucket_bits << FDB_REST_SHIFT | FDB_USED;
}

/* The stamp of an entry that is confirmed in second now_s. */
static inline unsigned fdb_stamp(const struct fdb *fdb, uint32_t now_s)
{
	return ((uint64_t)now_s * fdb->tick_rate >> 32) % FDB_STAMPS;
}

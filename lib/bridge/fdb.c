/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes, lists and counts the address table. See fdb.h for the rules. */
#include "bridge/fdb.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "bridge/fdb_private.h"

#define LARGE_PAGE (2u << 20)

/*
 * Ticks in the ageing time. A stamp counts about twice as many ticks. So there are nearly as many
 * ticks again in which an old entry must be found.
 */
#define AGE_TICKS (FDB_STAMPS / 2)

#define BUCKET_BITS_MIN 13

_Static_assert(FDB_PORTS_MAX == 1 << FDB_STAMP_SHIFT && FDB_BUCKETS_MIN == 1 << BUCKET_BITS_MIN &&
	FDB_PLACE_BITS - BUCKET_BITS_MIN + FDB_REST_SHIFT == 64,
    "in the smallest table, port, stamp, flags and the rest of a place fill a slot");

/* The inverse of fdb_place(). The high bits of a place are those of the product. */
static uint64_t address_of(const struct fdb *fdb, uint64_t place)
{
	uint64_t product = place ^ crc32c_u64(fdb->seed, place >> 32);

	return (product * fdb->inverse & FDB_PLACE) << 1;
}

struct fdb_entry fdb_take_apart(const struct fdb *fdb, uint32_t bucket, uint64_t entry)
{
	uint32_t home = bucket ^ !!(entry & FDB_ASIDE);
	uint64_t place = entry >> FDB_REST_SHIFT << fdb->bucket_bits | home;
	uint64_t address = address_of(fdb, place);

	return (struct fdb_entry){
	    .mac = address & FDB_MAC,
	    .domain = address >> FDB_MAC_BITS,
	    .port = entry_port(entry),
	    .stamp = entry_stamp(entry),
	    .is_static = entry & FDB_STATIC,
	};
}

void fdb_foreach_from(
    const struct fdb *fdb, uint32_t first, uint32_t max_buckets, fdb_visit visit, void *arg)
{
	uint32_t n = fdb_buckets(fdb);

	first = MIN(first, n);
	n = first + MIN(max_buckets, n - first);
	for (uint32_t k = first * FDB_BUCKET_SLOTS; k < n * FDB_BUCKET_SLOTS; k++) {
		const struct fdb_bucket *bucket = &fdb->bucket[k / FDB_BUCKET_SLOTS];
		uint64_t word = slot_read(&bucket->slot[k % FDB_BUCKET_SLOTS]);
		struct fdb_entry entry;

		if (word == 0)
			continue; /* an empty slot */
		entry = fdb_take_apart(fdb, k / FDB_BUCKET_SLOTS, word);
		visit(&entry, arg);
	}
}

void fdb_foreach_in(const struct fdb *fdb, uint32_t max_buckets, fdb_visit visit, void *arg)
{
	fdb_foreach_from(fdb, 0, max_buckets, visit, arg);
}

void fdb_foreach(const struct fdb *fdb, fdb_visit visit, void *arg)
{
	fdb_foreach_in(fdb, UINT32_MAX, visit, arg);
}

unsigned fdb_stamp_age(const struct fdb *fdb, unsigned stamp, uint32_t now_s)
{
	return entry_age(fdb, (uint64_t)stamp << FDB_STAMP_SHIFT, now_s) *
	    (UINT32_MAX / fdb->tick_rate);
}

uint32_t fdb_buckets(const struct fdb *fdb)
{
	return fdb->bucket_mask + 1;
}

uint32_t fdb_count(const struct fdb *fdb)
{
	return __atomic_load_n(&fdb->count, __ATOMIC_RELAXED);
}

uint32_t fdb_static_count(const struct fdb *fdb)
{
	return fdb->n_static;
}

uint32_t fdb_port_count(const struct fdb *fdb, uint16_t port)
{
	if (port >= FDB_PORTS_MAX)
		return 0;
	return __atomic_load_n(&fdb->port_count[port], __ATOMIC_RELAXED);
}

uint64_t fdb_moves(const struct fdb *fdb)
{
	return __atomic_load_n(&fdb->moves, __ATOMIC_RELAXED);
}

uint64_t fdb_refused(const struct fdb *fdb)
{
	return __atomic_load_n(&fdb->refused, __ATOMIC_RELAXED);
}

/* The number of buckets is a power of two. */
static unsigned bucket_bits_for(uint32_t max_entries)
{
	unsigned bits = BUCKET_BITS_MIN;

	while (((uint64_t)FDB_BUCKET_SLOTS << bits) < 2 * (uint64_t)max_entries)
		bits++;
	return bits;
}

/*
 * Large tables get large pages, if the system has any, because random look-ups also miss the TLB.
 */
static void *zalloc_lines(size_t bytes)
{
	size_t align = bytes < LARGE_PAGE ? CACHE_LINE : LARGE_PAGE;
	size_t rounded = (bytes + align - 1) / align * align;
	void *p = aligned_alloc(align, rounded);

	if (!p)
		return NULL;
	if (align == LARGE_PAGE)
		madvise(p, rounded, MADV_HUGEPAGE);
	return memset(p, 0, rounded);
}

/* Choose the length of a tick. All addresses that are seen in the same tick get the same stamp. */
static void choose_tick(struct fdb *fdb, unsigned age_s)
{
	unsigned tick_s = (age_s + AGE_TICKS - 1) / AGE_TICKS;

	/* Rounded down, so that a tick is not shorter than tick_s. */
	fdb->tick_rate = UINT32_MAX / tick_s;
	fdb->age_ticks = (age_s + tick_s - 1) / tick_s;
}

/* The number that undoes a multiplication by an odd number modulo 2^64 (Newton's method). */
static uint64_t inverse_of(uint64_t odd)
{
	uint64_t inverse = odd; /* right modulo 8; each step doubles the number of right bits */

	for (unsigned i = 0; i < 5; i++)
		inverse *= 2 - odd * inverse;
	return inverse;
}

static int choose_places(struct fdb *fdb)
{
	uint64_t random[2], odd;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -errno;
	odd = random[0] | 1;
	fdb->multiplier = odd << (FDB_PLACE_SHIFT - 1);
	fdb->inverse = inverse_of(odd);
	fdb->seed = random[1];
	return 0;
}

struct fdb *fdb_create(uint32_t max_entries, unsigned age_s)
{
	struct fdb *fdb;
	uint32_t buckets;
	int err = -ENOMEM;

	if (max_entries == 0 || max_entries > FDB_ENTRIES_MAX || age_s == 0 ||
	    age_s > FDB_AGE_MAX_S) {
		errno = EINVAL;
		return NULL;
	}
	fdb = zalloc_lines(sizeof(*fdb));
	if (!fdb)
		goto fail;
	fdb->bucket_bits = bucket_bits_for(max_entries);
	buckets = UINT32_C(1) << fdb->bucket_bits;
	fdb->max_entries = max_entries;
	choose_tick(fdb, age_s);
	fdb->level = cpu_level();
	fdb->bucket_mask = buckets - 1;
	fdb->bucket = zalloc_lines(buckets * sizeof(*fdb->bucket));
	fdb->lock = zalloc_lines(buckets / 2);
	if (!fdb->bucket || !fdb->lock)
		goto fail;
	err = choose_places(fdb);
	if (err)
		goto fail;
	return fdb;
fail:
	fdb_destroy(fdb);
	errno = -err;
	return NULL;
}

/*
 * Give large memory back in steps, because an mmap in another thread waits until a step has ended.
 */
static void give_back(void *p, size_t bytes)
{
	/* syscalls: madvise */
	for (size_t done = 0; p && done + LARGE_PAGE <= bytes; done += LARGE_PAGE)
		madvise((char *)p + done, LARGE_PAGE, MADV_DONTNEED);
}

void fdb_destroy(struct fdb *fdb)
{
	if (!fdb)
		return;
	give_back(fdb->bucket, (size_t)fdb_buckets(fdb) * sizeof(*fdb->bucket));
	free(fdb->lock);
	free(fdb->bucket);
	free(fdb);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The slow part of the address table: all functions that write to it. See fdb.h for the rules.
 *
 * All writes to a pair of buckets happen under its lock. Readers take no lock, so each slot
 * changes with one atomic store of a whole entry.
 *
 * The counters (all entries, entries of each port, ports with entries) are changed atomically, but
 * not together. So the numbers that fairness uses may be wrong by a few entries.
 */
#include "bridge/fdb.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#define PAIR_SLOTS (2 * FDB_BUCKET_SLOTS)
#define NO_SLOT    PAIR_SLOTS
#define LARGE_PAGE (2u << 20)

/*
 * Ticks in the ageing time. A stamp counts about twice as many ticks. So there are nearly as many
 * ticks again in which an old entry must be found.
 */
#define AGE_TICKS (FDB_STAMPS / 2)

_Static_assert(FDB_PORTS_MAX == 1 << FDB_STAMP_SHIFT && FDB_BELOW_MAC == UINT64_C(1) << 17,
    "port, stamp and a MAC without the bit of group addresses fill a slot");

/* The two buckets a MAC can be in. */
struct pair {
	uint64_t *slot; /* PAIR_SLOTS */
	uint8_t *lock;
};

static struct pair pair_of_bucket(const struct fdb *fdb, uint32_t bucket)
{
	uint32_t even = bucket & ~1u;

	return (struct pair){
	    .slot = (uint64_t *)&fdb->bucket[even],
	    .lock = &fdb->lock[even / 2],
	};
}

static bool pair_try_lock(const struct pair *pair)
{
	return !__atomic_exchange_n(pair->lock, 1, __ATOMIC_ACQUIRE);
}

static void pair_lock(const struct pair *pair)
{
	while (!pair_try_lock(pair))
		cpu_pause();
}

static void pair_unlock(const struct pair *pair)
{
	__atomic_store_n(pair->lock, 0, __ATOMIC_RELEASE);
}

static uint64_t entry_mac(uint64_t entry)
{
	return (entry & ~(FDB_BELOW_MAC - 1)) >> 16;
}

static uint16_t entry_port(uint64_t entry)
{
	return entry % FDB_PORTS_MAX;
}

static unsigned entry_stamp(uint64_t entry)
{
	return entry >> FDB_STAMP_SHIFT & (FDB_STAMPS - 1);
}

/* How many ticks ago was the entry confirmed? 0: in this tick, or by a clock that is ahead. */
static unsigned entry_age(const struct fdb *fdb, uint64_t entry, uint32_t now_s)
{
	unsigned age = (fdb_stamp(fdb, now_s) - entry_stamp(entry)) % FDB_STAMPS;

	return age < FDB_STAMPS - FDB_TICKS_AHEAD ? age : 0;
}

static uint64_t slot_read(const uint64_t *slot)
{
	return __atomic_load_n(slot, __ATOMIC_RELAXED);
}

static void slot_write(uint64_t *slot, uint64_t entry)
{
	__atomic_store_n(slot, entry, __ATOMIC_RELEASE);
}

static void count_add(struct fdb *fdb, uint16_t port)
{
	__atomic_add_fetch(&fdb->count, 1, __ATOMIC_RELAXED);
	if (__atomic_fetch_add(&fdb->port_count[port], 1, __ATOMIC_RELAXED) == 0)
		__atomic_add_fetch(&fdb->active_ports, 1, __ATOMIC_RELAXED);
}

static void count_remove(struct fdb *fdb, uint16_t port)
{
	__atomic_sub_fetch(&fdb->count, 1, __ATOMIC_RELAXED);
	if (__atomic_fetch_sub(&fdb->port_count[port], 1, __ATOMIC_RELAXED) == 1)
		__atomic_sub_fetch(&fdb->active_ports, 1, __ATOMIC_RELAXED);
}

static unsigned find_mac(const struct pair *pair, uint64_t mac)
{
	unsigned i;

	for (i = 0; i < PAIR_SLOTS; i++)
		if ((slot_read(&pair->slot[i]) ^ mac << 16) < FDB_BELOW_MAC)
			break;
	return i;
}

/* Slots of the MAC's first bucket come first, because look-ups read that bucket first. */
static unsigned find_empty(const struct pair *pair, uint32_t hash)
{
	unsigned first = (hash & 1) * FDB_BUCKET_SLOTS;

	for (unsigned k = 0; k < PAIR_SLOTS; k++)
		if (slot_read(&pair->slot[k ^ first]) == 0)
			return k ^ first;
	return NO_SLOT;
}

/* An entry that may be dropped to make room for a new one. */
struct victim {
	unsigned slot;
	uint32_t held; /* entries of its port in the whole table */
	bool own;      /* its port is the learner */
	unsigned age;
};

static bool goes_before(const struct victim *a, const struct victim *b)
{
	if (a->held != b->held)
		return a->held > b->held;
	if (a->own != b->own)
		return a->own;
	return a->age > b->age;
}

/* The entry to drop first. Its slot is NO_SLOT if both buckets are empty. */
static struct victim find_victim(
    const struct fdb *fdb, const struct pair *pair, uint16_t learner, uint32_t now_s)
{
	struct victim first = {.slot = NO_SLOT};

	for (unsigned i = 0; i < PAIR_SLOTS; i++) {
		uint64_t entry = slot_read(&pair->slot[i]);
		struct victim v;

		if (entry == 0)
			continue; /* an empty slot */
		v = (struct victim){
		    .slot = i,
		    .held = fdb_port_count(fdb, entry_port(entry)),
		    .own = entry_port(entry) == learner,
		    .age = entry_age(fdb, entry, now_s),
		};
		if (first.slot == NO_SLOT || goes_before(&v, &first))
			first = v;
	}
	return first;
}

/* The number of entries of each port if all ports with entries had the same number. */
static uint32_t fair_share(const struct fdb *fdb)
{
	uint32_t ports = __atomic_load_n(&fdb->active_ports, __ATOMIC_RELAXED);

	return MAX(fdb->max_entries / MAX(ports, 1u), 1u);
}

/* The slot for a new address of port: an empty slot, a victim's slot, or NO_SLOT. */
static unsigned find_room(
    const struct fdb *fdb, const struct pair *pair, uint32_t hash, uint16_t port, uint32_t now_s)
{
	unsigned empty = find_empty(pair, hash);
	struct victim victim;
	uint32_t mine;

	if (LIKELY(empty != NO_SLOT && fdb_count(fdb) < fdb->max_entries))
		return empty;

	mine = fdb_port_count(fdb, port);
	victim = find_victim(fdb, pair, port, now_s);
	/*
	 * No port with an entry in these buckets has more than its share. So other ports have used
	 * up the limit.
	 */
	if (empty != NO_SLOT && mine < fair_share(fdb) && victim.held <= fair_share(fdb))
		return empty;
	return victim.held > mine || victim.own ? victim.slot : NO_SLOT;
}

static void learn_new(struct fdb *fdb, struct pair *pair, uint64_t entry, uint32_t now_s)
{
	uint16_t port = entry_port(entry);
	unsigned i = find_room(fdb, pair, fdb_hash(fdb, entry_mac(entry)), port, now_s);
	uint64_t old;

	if (i == NO_SLOT) {
		__atomic_add_fetch(&fdb->refused, 1, __ATOMIC_RELAXED);
		return;
	}
	old = slot_read(&pair->slot[i]);
	count_add(fdb, port);
	if (old != 0)
		count_remove(fdb, entry_port(old));
	slot_write(&pair->slot[i], entry);
}

/* The MAC has an entry in this slot: confirm the entry, or change its port. */
static void learn_again(struct fdb *fdb, uint64_t *slot, uint64_t entry, uint32_t now_s)
{
	uint64_t old = slot_read(slot);

	if (entry_port(old) == entry_port(entry)) {
		/* If the clock of this core is a tick behind, the stamp must not become older. */
		if (entry_age(fdb, old, now_s) > 0)
			slot_write(slot, entry);
		return;
	}
	count_add(fdb, entry_port(entry));
	count_remove(fdb, entry_port(old));
	__atomic_add_fetch(&fdb->moves, 1, __ATOMIC_RELAXED);
	slot_write(slot, entry);
}

void fdb_learn(struct fdb *fdb, uint64_t mac, uint16_t port, uint32_t now_s)
{
	struct pair pair = pair_of_bucket(fdb, fdb_hash(fdb, mac));
	uint64_t entry = mac << 16 | fdb_ending(fdb, port, now_s);
	unsigned i;

	if (mac == 0 || mac_is_group(mac) || port >= FDB_PORTS_MAX)
		return;
	if (!pair_try_lock(&pair))
		return; /* another thread has it; the next frame is learned from instead */
	i = find_mac(&pair, mac);
	if (i == NO_SLOT)
		learn_new(fdb, &pair, entry, now_s);
	else
		learn_again(fdb, &pair.slot[i], entry, now_s);
	pair_unlock(&pair);
}

/* In fdb->flush[], for each port. */
#define FLUSH_NOW  1 /* this pass drops its entries */
#define FLUSH_NEXT 2 /* the next pass drops them */

/* Which entries purge_bucket() drops. */
struct purge {
	bool flush; /* entries of ports with FLUSH_NOW; else entries that are too old */
	uint32_t now_s;
};

static bool purge_matches(const struct fdb *fdb, uint64_t entry, const struct purge *purge)
{
	if (entry == 0)
		return false;
	if (purge->flush)
		return fdb->flush[entry_port(entry)] & FLUSH_NOW;
	return entry_age(fdb, entry, purge->now_s) > fdb->age_ticks;
}

/* Drop the entries of one bucket that match. The lock is taken only if there are any. */
static void purge_bucket(struct fdb *fdb, uint32_t bucket, const struct purge *purge)
{
	struct pair pair = pair_of_bucket(fdb, bucket);
	unsigned first = (bucket & 1) * FDB_BUCKET_SLOTS;

	for (unsigned i = first; i < first + FDB_BUCKET_SLOTS; i++) {
		uint64_t *slot = &pair.slot[i];

		if (LIKELY(!purge_matches(fdb, slot_read(slot), purge)))
			continue; /* nothing to drop */
		pair_lock(&pair);
		/* Look again: another thread may have confirmed or moved the entry. */
		if (purge_matches(fdb, slot_read(slot), purge)) {
			count_remove(fdb, entry_port(slot_read(slot)));
			slot_write(slot, 0);
		}
		pair_unlock(&pair);
	}
}

void fdb_age_some(struct fdb *fdb, uint32_t now_s, uint32_t max_buckets)
{
	const struct purge purge = {.now_s = now_s};

	max_buckets = MIN(max_buckets, fdb_buckets(fdb));
	for (uint32_t k = 0; k < max_buckets; k++) {
		purge_bucket(fdb, fdb->age_cursor, &purge);
		fdb->age_cursor = (fdb->age_cursor + 1) & fdb->bucket_mask;
	}
}

void fdb_flush_port(struct fdb *fdb, uint16_t port)
{
	if (fdb_port_count(fdb, port) == 0 || (fdb->flush[port] & FLUSH_NEXT))
		return;
	fdb->flush[port] |= FLUSH_NEXT;
	fdb->flush_waiting++;
}

/* The ports of the last pass are done. Begin a pass for the ports that wait. */
static void flush_begin_pass(struct fdb *fdb)
{
	for (unsigned port = 0; port < FDB_PORTS_MAX; port++)
		fdb->flush[port] = fdb->flush[port] & FLUSH_NEXT ? FLUSH_NOW : 0;
	fdb->flush_pass = fdb->flush_waiting > 0;
	fdb->flush_waiting = 0;
	fdb->flush_cursor = 0;
}

bool fdb_flush_some(struct fdb *fdb, uint32_t max_buckets)
{
	const struct purge purge = {.flush = true};

	if (!fdb->flush_pass && fdb->flush_waiting)
		flush_begin_pass(fdb);
	if (!fdb->flush_pass)
		return false;
	for (uint32_t k = 0; k < max_buckets && fdb->flush_cursor < fdb_buckets(fdb); k++)
		purge_bucket(fdb, fdb->flush_cursor++, &purge);
	if (fdb->flush_cursor == fdb_buckets(fdb))
		flush_begin_pass(fdb);
	return fdb->flush_pass;
}

bool fdb_flush_pending(const struct fdb *fdb, uint16_t port)
{
	return fdb->flush[port] != 0;
}

void fdb_foreach_from(
    const struct fdb *fdb, uint32_t first, uint32_t max_buckets, fdb_visit visit, void *arg)
{
	uint32_t n = fdb_buckets(fdb);

	first = MIN(first, n);
	n = first + MIN(max_buckets, n - first);
	for (uint32_t k = first * FDB_BUCKET_SLOTS; k < n * FDB_BUCKET_SLOTS; k++) {
		const struct fdb_bucket *bucket = &fdb->bucket[k / FDB_BUCKET_SLOTS];
		uint64_t entry = slot_read(&bucket->slot[k % FDB_BUCKET_SLOTS]);

		if (entry != 0)
			visit(entry_mac(entry), entry_port(entry), entry_stamp(entry), arg);
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

/* A power of two, and at least a pair. */
static uint32_t buckets_for(uint32_t max_entries)
{
	uint32_t buckets = 2;

	while ((uint64_t)buckets * FDB_BUCKET_SLOTS < 2 * (uint64_t)max_entries)
		buckets *= 2;
	return buckets;
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

static int choose_hash(struct fdb *fdb)
{
	uint64_t random[2];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -errno;
	fdb->multiplier = random[0] | 1;
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
	buckets = buckets_for(max_entries);
	fdb->max_entries = max_entries;
	choose_tick(fdb, age_s);
	fdb->level = cpu_level();
	fdb->bucket_mask = buckets - 1;
	fdb->bucket = zalloc_lines(buckets * sizeof(*fdb->bucket));
	fdb->lock = zalloc_lines(buckets / 2);
	if (!fdb->bucket || !fdb->lock)
		goto fail;
	err = choose_hash(fdb);
	if (err)
		goto fail;
	return fdb;
fail:
	fdb_destroy(fdb);
	errno = -err;
	return NULL;
}

void fdb_destroy(struct fdb *fdb)
{
	if (!fdb)
		return;
	free(fdb->lock);
	free(fdb->bucket);
	free(fdb);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The slow half of the learning table: everything that writes. See fdb.h for the rules.
 *
 * All writes to a pair of buckets happen under its lock. Readers take no lock, so each slot
 * changes with one atomic store of a whole entry, after its stamp. A reader may pair an entry
 * with the stamp of the slot's former one for a moment; all that can come of it is a refresh
 * too few or too many.
 *
 * The counters (all entries, of each port, and how many ports have any) are changed atomically,
 * but not together; fairness is decided on numbers that may be a few entries old.
 */
#include "bridge/fdb.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#define PAIR_SLOTS (2 * FDB_BUCKET_SLOTS)
#define NO_SLOT    PAIR_SLOTS
#define LARGE_PAGE (2u << 20)

_Static_assert(FDB_PORTS_MAX <= FDB_SLOT_USED, "ports fit below the used bit");

/* The two buckets a MAC can be in. */
struct pair {
	uint64_t *slot; /* PAIR_SLOTS */
	uint8_t *stamp; /* as many */
	uint8_t *lock;
};

static struct pair pair_of_bucket(const struct fdb *fdb, uint32_t bucket)
{
	uint32_t even = bucket & ~1u;

	return (struct pair){
	    .slot = (uint64_t *)&fdb->bucket[even],
	    .stamp = &fdb->stamp[(size_t)even * FDB_BUCKET_SLOTS],
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
		_mm_pause();
}

static void pair_unlock(const struct pair *pair)
{
	__atomic_store_n(pair->lock, 0, __ATOMIC_RELEASE);
}

static uint64_t entry_make(uint64_t mac, uint16_t port)
{
	return mac << 16 | FDB_SLOT_USED | port;
}

static uint16_t entry_port(uint64_t entry)
{
	return entry & (FDB_SLOT_USED - 1);
}

static uint64_t slot_read(const uint64_t *slot)
{
	return __atomic_load_n(slot, __ATOMIC_RELAXED);
}

static void slot_write(const struct pair *pair, unsigned i, uint64_t entry, uint8_t tick)
{
	__atomic_store_n(&pair->stamp[i], tick, __ATOMIC_RELAXED);
	__atomic_store_n(&pair->slot[i], entry, __ATOMIC_RELEASE);
}

static unsigned stamp_age(
    const struct fdb *fdb, const struct pair *pair, unsigned i, uint32_t now_s)
{
	return fdb_stamp_age(fdb, __atomic_load_n(&pair->stamp[i], __ATOMIC_RELAXED), now_s);
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
	uint64_t key = entry_make(mac, 0);
	unsigned i;

	for (i = 0; i < PAIR_SLOTS; i++)
		if ((slot_read(&pair->slot[i]) ^ key) < FDB_PORTS_MAX)
			break;
	return i;
}

/* Slots of the MAC's first bucket come first: that is the one looked up first. */
static unsigned find_empty(const struct pair *pair, uint32_t hash)
{
	unsigned first = (hash & 1) * FDB_BUCKET_SLOTS;

	for (unsigned k = 0; k < PAIR_SLOTS; k++)
		if (slot_read(&pair->slot[k ^ first]) == 0)
			return k ^ first;
	return NO_SLOT;
}

/* The entry that has to go first if one has to, for the sake of one of learner's. */
static unsigned find_victim(
    const struct fdb *fdb, const struct pair *pair, uint16_t learner, uint32_t now_s)
{
	unsigned victim = NO_SLOT;
	uint64_t worst = 0;

	for (unsigned i = 0; i < PAIR_SLOTS; i++) {
		uint64_t entry = slot_read(&pair->slot[i]), guilt;

		if (entry == 0)
			continue; /* empty */
		/* Its port's entries, then is it the learner's own, then age. */
		guilt = (uint64_t)fdb_port_count(fdb, entry_port(entry)) << 32;
		guilt |= (uint64_t)(entry_port(entry) == learner) << 31;
		guilt |= stamp_age(fdb, pair, i, now_s);
		if (victim == NO_SLOT || guilt > worst) {
			victim = i;
			worst = guilt;
		}
	}
	return victim;
}

/* What each port may hold when all that hold anything hold the same. */
static uint32_t fair_share(const struct fdb *fdb)
{
	uint32_t ports = __atomic_load_n(&fdb->active_ports, __ATOMIC_RELAXED);

	return MAX(fdb->max_entries / MAX(ports, 1u), 1u);
}

/* Room for an address of port in its two buckets: an empty slot, a victim's, or NO_SLOT. */
static unsigned find_room(
    const struct fdb *fdb, const struct pair *pair, uint32_t hash, uint16_t port, uint32_t now_s)
{
	unsigned empty = find_empty(pair, hash), victim;
	uint32_t mine, theirs = 0;
	uint16_t loser = FDB_NONE;

	if (LIKELY(empty != NO_SLOT && fdb_count(fdb) < fdb->max_entries))
		return empty;

	mine = fdb_port_count(fdb, port);
	victim = find_victim(fdb, pair, port, now_s);
	if (victim != NO_SLOT) {
		loser = entry_port(slot_read(&pair->slot[victim]));
		theirs = fdb_port_count(fdb, loser);
	}
	/* The limit is not this port's fault, nor that of anyone found here. */
	if (empty != NO_SLOT && mine < fair_share(fdb) && theirs <= fair_share(fdb))
		return empty;
	return theirs > mine || loser == port ? victim : NO_SLOT;
}

static void learn_new(
    struct fdb *fdb, struct pair *pair, uint64_t mac, uint16_t port, uint32_t now_s)
{
	unsigned i = find_room(fdb, pair, fdb_hash(fdb, mac), port, now_s);
	uint64_t old;

	if (i == NO_SLOT) {
		__atomic_add_fetch(&fdb->refused, 1, __ATOMIC_RELAXED);
		return;
	}
	old = slot_read(&pair->slot[i]);
	count_add(fdb, port);
	if (old != 0)
		count_remove(fdb, entry_port(old));
	slot_write(pair, i, entry_make(mac, port), fdb_tick(fdb, now_s));
}

/* The MAC has slot i: confirm it, or let it move. */
static void learn_again(
    struct fdb *fdb, struct pair *pair, unsigned i, uint64_t entry, uint32_t now_s)
{
	uint64_t old = slot_read(&pair->slot[i]);

	if (old == entry) {
		/* A core whose clock is a tick behind must not turn it back. */
		if (stamp_age(fdb, pair, i, now_s) > 0)
			__atomic_store_n(&pair->stamp[i], fdb_tick(fdb, now_s), __ATOMIC_RELAXED);
		return;
	}
	count_add(fdb, entry_port(entry));
	count_remove(fdb, entry_port(old));
	__atomic_add_fetch(&fdb->moves, 1, __ATOMIC_RELAXED);
	slot_write(pair, i, entry, fdb_tick(fdb, now_s));
}

void fdb_learn(struct fdb *fdb, uint64_t mac, uint16_t port, uint32_t now_s)
{
	struct pair pair = pair_of_bucket(fdb, fdb_hash(fdb, mac));
	unsigned i;

	if (mac == 0 || mac_is_group(mac) || port >= FDB_PORTS_MAX)
		return;
	if (!pair_try_lock(&pair))
		return; /* the next frame will do */
	i = find_mac(&pair, mac);
	if (i == NO_SLOT)
		learn_new(fdb, &pair, mac, port, now_s);
	else
		learn_again(fdb, &pair, i, entry_make(mac, port), now_s);
	pair_unlock(&pair);
}

/* Which entries fdb_sweep() drops. */
struct sweep {
	bool by_port;
	uint16_t port;
	uint32_t now_s;
};

static bool sweep_matches(
    const struct fdb *fdb, const struct pair *pair, unsigned i, const struct sweep *sweep)
{
	uint64_t entry = slot_read(&pair->slot[i]);

	if (entry == 0)
		return false;
	if (sweep->by_port)
		return entry_port(entry) == sweep->port;
	return stamp_age(fdb, pair, i, sweep->now_s) > fdb->age_ticks;
}

/* Drop what matches from one bucket. The lock is taken only if something does. */
static void sweep_bucket(struct fdb *fdb, uint32_t bucket, const struct sweep *sweep)
{
	struct pair pair = pair_of_bucket(fdb, bucket);
	unsigned first = (bucket & 1) * FDB_BUCKET_SLOTS;

	for (unsigned i = first; i < first + FDB_BUCKET_SLOTS; i++) {
		if (LIKELY(!sweep_matches(fdb, &pair, i, sweep)))
			continue; /* nothing to drop */
		pair_lock(&pair);
		/* Look again: it may have been confirmed, or moved away. */
		if (sweep_matches(fdb, &pair, i, sweep)) {
			count_remove(fdb, entry_port(slot_read(&pair.slot[i])));
			__atomic_store_n(&pair.slot[i], 0, __ATOMIC_RELEASE);
		}
		pair_unlock(&pair);
	}
}

void fdb_age_some(struct fdb *fdb, uint32_t now_s, uint32_t max_buckets)
{
	const struct sweep sweep = {.now_s = now_s};

	max_buckets = MIN(max_buckets, fdb_buckets(fdb));
	for (uint32_t k = 0; k < max_buckets; k++) {
		sweep_bucket(fdb, fdb->age_cursor, &sweep);
		fdb->age_cursor = (fdb->age_cursor + 1) & fdb->bucket_mask;
	}
}

void fdb_flush_port(struct fdb *fdb, uint16_t port)
{
	const struct sweep sweep = {.by_port = true, .port = port};

	for (uint32_t bucket = 0; bucket < fdb_buckets(fdb); bucket++)
		sweep_bucket(fdb, bucket, &sweep);
}

void fdb_foreach(const struct fdb *fdb, fdb_visit visit, void *arg)
{
	for (uint32_t k = 0; k < fdb_buckets(fdb) * FDB_BUCKET_SLOTS; k++) {
		const struct fdb_bucket *bucket = &fdb->bucket[k / FDB_BUCKET_SLOTS];
		uint64_t entry = slot_read(&bucket->slot[k % FDB_BUCKET_SLOTS]);

		if (entry != 0)
			visit(entry >> 16, entry_port(entry),
			    __atomic_load_n(&fdb->stamp[k], __ATOMIC_RELAXED), arg);
	}
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

/* A power of two, and a pair at least. */
static uint32_t buckets_for(uint32_t max_entries)
{
	uint32_t buckets = 2;

	while ((uint64_t)buckets * FDB_BUCKET_SLOTS < 2 * (uint64_t)max_entries)
		buckets *= 2;
	return buckets;
}

/* Large tables in large pages, if the system has any: a look-up at random misses the TLB, too. */
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

/* Who was seen at a tick's end has the same stamp as who was seen at its begin. */
static void choose_tick(struct fdb *fdb, unsigned age_s)
{
	while (age_s >> fdb->tick_shift >= 64)
		fdb->tick_shift++;
	fdb->age_ticks = (age_s + (1ull << fdb->tick_shift) - 1) >> fdb->tick_shift;
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

	if (max_entries == 0 || max_entries > FDB_ENTRIES_MAX) {
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
	fdb->stamp = zalloc_lines((size_t)buckets * FDB_BUCKET_SLOTS * sizeof(*fdb->stamp));
	fdb->lock = zalloc_lines(buckets / 2);
	if (!fdb->bucket || !fdb->stamp || !fdb->lock)
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
	free(fdb->stamp);
	free(fdb->bucket);
	free(fdb);
}

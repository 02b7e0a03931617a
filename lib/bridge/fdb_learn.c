/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Here entries are added: learned addresses by any worker, static entries by the control thread. A
 * spot is where an address is or would be: a pair of buckets, and the address's key in it. With the
 * lock of the pair held, find_room() chooses a slot by the rules of fairness in fdb.h. If the lock
 * is taken, a worker learns nothing. It never waits.
 */
#include <errno.h>

#include "bridge/fdb.h"
#include "bridge/fdb_private.h"

#define NO_SLOT PAIR_SLOTS

/* Where an address is, or would be. */
struct spot {
	struct pair pair;
	uint64_t key;   /* see fdb_key() */
	unsigned first; /* slot of the pair with which the home bucket begins */
};

static struct spot spot_of(const struct fdb *fdb, uint64_t address)
{
	uint64_t place = fdb_place(fdb, address);
	uint32_t home = fdb_home(fdb, place);

	return (struct spot){
	    .pair = pair_of_bucket(fdb, home),
	    .key = fdb_key(fdb, place),
	    .first = (home & 1) * FDB_BUCKET_SLOTS,
	};
}

/* The entry of this spot for slot i of the pair, with this ending. */
static uint64_t entry_in(const struct spot *spot, unsigned i, uint64_t ending)
{
	bool aside = (i ^ spot->first) & FDB_BUCKET_SLOTS;

	return spot->key | (aside ? FDB_ASIDE : 0) | ending;
}

static unsigned find_address(const struct spot *spot)
{
	unsigned i;

	for (i = 0; i < PAIR_SLOTS; i++)
		if (same_key(slot_read(&spot->pair.slot[i]), entry_in(spot, i, 0)))
			break;
	return i;
}

/* Slots of the home bucket come first, because look-ups read that bucket first. */
static unsigned find_empty(const struct spot *spot)
{
	const struct pair *pair = &spot->pair;
	unsigned first = spot->first;

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

/*
 * Of *first and the entries of n slots: the entry to drop first. Static entries stay. True: *first
 * has changed.
 */
static bool find_victim(const struct fdb *fdb, const uint64_t slot[], unsigned n, uint16_t learner,
    uint32_t now_s, struct victim *first)
{
	bool changed = false;

	for (unsigned i = 0; i < n; i++) {
		uint64_t entry = slot_read(&slot[i]);
		struct victim v;

		if (entry == 0 || (entry & FDB_STATIC))
			continue; /* nothing that can be dropped */
		v = (struct victim){
		    .slot = i,
		    .held = fdb_port_count(fdb, entry_port(entry)),
		    .own = entry_port(entry) == learner,
		    .age = entry_age(fdb, entry, now_s),
		};
		if (first->slot == NO_SLOT || goes_before(&v, first)) {
			*first = v;
			changed = true;
		}
	}
	return changed;
}

/* The number of entries of each port if all ports with entries had the same number. */
static uint32_t fair_share(const struct fdb *fdb)
{
	uint32_t ports = __atomic_load_n(&fdb->active_ports, __ATOMIC_RELAXED);

	return MAX(fdb->max_entries / MAX(ports, 1u), 1u);
}

/* May a port with `mine` entries push out this victim? */
static bool may_push_out(const struct victim *victim, uint32_t mine)
{
	return victim->slot != NO_SLOT && (victim->held > mine || victim->own);
}

/* Drop the victim in this bucket, unless it has changed meanwhile or its lock is taken. */
static bool drop_victim(struct fdb *fdb, uint32_t bucket, unsigned slot, uint32_t held)
{
	struct pair pair = pair_of_bucket(fdb, bucket);
	uint64_t *at = &fdb->bucket[bucket].slot[slot], entry;
	bool good;

	if (!pair_try_lock(&pair))
		return false;
	entry = slot_read(at);
	good =
	    entry != 0 && !(entry & FDB_STATIC) && fdb_port_count(fdb, entry_port(entry)) >= held;
	if (good) {
		count_remove(fdb, entry_port(entry));
		slot_write(at, 0);
	}
	pair_unlock(&pair);
	return good;
}

/*
 * Make room for an entry of port by dropping an entry in other buckets. The lock of the learner's
 * pair is held; other locks are only tried, so nobody waits for both.
 */
static bool drop_elsewhere(struct fdb *fdb, uint16_t port, uint32_t mine, uint32_t now_s)
{
	struct victim first = {.slot = NO_SLOT};
	uint32_t bucket = 0, at;

	at = __atomic_fetch_add(&fdb->search_cursor, FDB_SEARCH, __ATOMIC_RELAXED);
	for (unsigned k = 0; k < FDB_SEARCH; k++) {
		uint32_t here = (at + k) & fdb->bucket_mask;

		if (find_victim(fdb, fdb->bucket[here].slot, FDB_BUCKET_SLOTS, port, now_s, &first))
			bucket = here;
	}
	/* A port with less than its share need not give up an entry of its own. */
	if (first.own && mine < fair_share(fdb))
		return false;
	return may_push_out(&first, mine) && drop_victim(fdb, bucket, first.slot, first.held);
}

/* The slot for a new address of port: an empty slot, a victim's slot, or NO_SLOT. */
static unsigned find_room(struct fdb *fdb, const struct spot *spot, uint16_t port, uint32_t now_s)
{
	struct victim victim = {.slot = NO_SLOT};
	unsigned empty = find_empty(spot);
	uint32_t mine;

	if (LIKELY(empty != NO_SLOT && fdb_count(fdb) < fdb->max_entries))
		return empty;

	mine = fdb_port_count(fdb, port);
	find_victim(fdb, spot->pair.slot, PAIR_SLOTS, port, now_s, &victim);
	if (empty != NO_SLOT && victim.slot == NO_SLOT && drop_elsewhere(fdb, port, mine, now_s))
		return empty;
	/*
	 * No port with an entry in these buckets has more than its share. So other ports have used
	 * up the limit.
	 */
	if (empty != NO_SLOT && mine < fair_share(fdb) && victim.held <= fair_share(fdb))
		return empty;
	return may_push_out(&victim, mine) ? victim.slot : NO_SLOT;
}

static void learn_new(
    struct fdb *fdb, const struct spot *spot, uint64_t ending, uint16_t port, uint32_t now_s)
{
	unsigned i = find_room(fdb, spot, port, now_s);
	uint64_t old;

	if (i == NO_SLOT) {
		__atomic_add_fetch(&fdb->refused, 1, __ATOMIC_RELAXED);
		return;
	}
	old = slot_read(&spot->pair.slot[i]);
	count_add(fdb, port);
	if (old != 0)
		count_remove(fdb, entry_port(old));
	slot_write(&spot->pair.slot[i], entry_in(spot, i, ending));
}

/* The address has an entry in this slot: confirm the entry, or change its port. */
static void learn_again(struct fdb *fdb, uint64_t *slot, uint64_t entry, uint32_t now_s)
{
	uint64_t old = slot_read(slot);

	if (old & FDB_STATIC)
		return;
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

static bool can_have_entry(uint64_t address, uint16_t port)
{
	return fdb_is_station(address) && port < FDB_PORTS_MAX;
}

void fdb_learn(struct fdb *fdb, uint64_t address, uint16_t port, uint32_t now_s)
{
	struct spot spot = spot_of(fdb, address);
	uint64_t ending = fdb_ending(fdb, port, now_s);
	unsigned i;

	if (!can_have_entry(address, port))
		return;
	i = find_address(&spot);
	if (i != NO_SLOT && (slot_read(&spot.pair.slot[i]) & FDB_STATIC))
		return; /* without the lock: this is so for each frame from the address */
	if (!pair_try_lock(&spot.pair))
		return; /* another thread has it; the next frame is learned from instead */
	i = find_address(&spot);
	if (i == NO_SLOT)
		learn_new(fdb, &spot, ending, port, now_s);
	else
		learn_again(fdb, &spot.pair.slot[i], entry_in(&spot, i, ending), now_s);
	pair_unlock(&spot.pair);
}

/* The slot for a static entry. Any other entry gives way. */
static unsigned find_static_room(const struct fdb *fdb, const struct spot *spot)
{
	struct victim victim = {.slot = NO_SLOT};
	unsigned i = find_address(spot);

	if (i == NO_SLOT)
		i = find_empty(spot);
	if (i != NO_SLOT)
		return i;
	find_victim(fdb, spot->pair.slot, PAIR_SLOTS, FDB_NONE, 0, &victim);
	return victim.slot;
}

static int static_set(struct fdb *fdb, const struct spot *spot, uint16_t port)
{
	unsigned i = find_static_room(fdb, spot);
	uint64_t old;

	if (i == NO_SLOT)
		return -ENOSPC;
	old = slot_read(&spot->pair.slot[i]);
	if (old & FDB_STATIC)
		return entry_port(old) == port ? 0 : -EEXIST;
	if (old != 0)
		count_remove(fdb, entry_port(old));
	fdb->n_static++;
	slot_write(&spot->pair.slot[i], entry_in(spot, i, FDB_STATIC | port));
	return 0;
}

int fdb_static_set(struct fdb *fdb, uint64_t address, uint16_t port)
{
	struct spot spot = spot_of(fdb, address);
	int err;

	if (!can_have_entry(address, port))
		return -EINVAL;
	pair_lock(&spot.pair);
	err = static_set(fdb, &spot, port);
	pair_unlock(&spot.pair);
	return err;
}

int fdb_static_clear(struct fdb *fdb, uint64_t address, uint16_t port)
{
	struct spot spot = spot_of(fdb, address);
	int err = -ENOENT;
	unsigned i;

	pair_lock(&spot.pair);
	i = find_address(&spot);
	if (i != NO_SLOT &&
	    slot_read(&spot.pair.slot[i]) == entry_in(&spot, i, FDB_STATIC | port)) {
		slot_write(&spot.pair.slot[i], 0);
		fdb->n_static--;
		err = 0;
	}
	pair_unlock(&spot.pair);
	return err;
}

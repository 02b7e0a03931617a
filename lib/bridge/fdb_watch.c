/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/fdb_watch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bridge/fdb_private.h"

#define STAMP ((FDB_STAMPS - 1) << FDB_STAMP_SHIFT)

struct fdb_watch {
	const struct fdb *fdb;
	bool silent;     /* the first round is under way */
	uint32_t bucket; /* the next one; even */
	uint64_t *seen;  /* the slots of the table, as last seen, without stamps */
	size_t size;     /* of seen, in bytes */
};

/* What is known of a pair of buckets, and what is in it. */
struct comparison {
	const struct fdb *fdb;
	uint32_t bucket;
	uint64_t then[PAIR_SLOTS], now[PAIR_SLOTS];
};

/* Memory that is mapped is cleared when it is used first, which is in parts. */
struct fdb_watch *fdb_watch_create(const struct fdb *fdb, bool is_new)
{
	struct fdb_watch *watch = malloc(sizeof(*watch));
	size_t size = (size_t)fdb_buckets(fdb) * sizeof(struct fdb_bucket);
	void *seen = watch ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				 -1, 0) /* syscalls: mmap */
			   : MAP_FAILED;

	if (seen == MAP_FAILED) {
		free(watch);
		return NULL;
	}
	*watch = (struct fdb_watch){.fdb = fdb, .silent = !is_new, .seen = seen, .size = size};
	return watch;
}

void fdb_watch_destroy(struct fdb_watch *watch)
{
	if (!watch)
		return;
	munmap(watch->seen, watch->size); /* syscalls: munmap */
	free(watch);
}

/* Two entries of a pair with the same number are of the same address. */
static uint64_t address_number(unsigned slot, uint64_t entry)
{
	unsigned home = slot / FDB_BUCKET_SLOTS ^ !!(entry & FDB_ASIDE);

	return entry >> FDB_REST_SHIFT << 1 | home;
}

/* The entry of the same address as that of this slot; 0: there is none. */
static uint64_t find_same(const uint64_t entries[], unsigned slot, uint64_t entry)
{
	uint64_t number = address_number(slot, entry);

	for (unsigned i = 0; i < PAIR_SLOTS; i++)
		if (entries[i] && address_number(i, entries[i]) == number)
			return entries[i];
	return 0;
}

static void tell(const struct comparison *c, enum fdb_change change, unsigned slot, uint64_t entry,
    fdb_watch_fn fn, void *arg)
{
	struct fdb_entry apart = fdb_take_apart(c->fdb, c->bucket + slot / FDB_BUCKET_SLOTS, entry);

	fn(change, &apart, arg);
}

/* Returns the number of changes. */
static unsigned compare(const struct comparison *c, fdb_watch_fn fn, void *arg)
{
	unsigned changes = 0;

	for (unsigned i = 0; i < PAIR_SLOTS; i++) {
		uint64_t entry = c->then[i];

		if (!entry || find_same(c->now, i, entry))
			continue; /* nothing was here, or it still is */
		tell(c, FDB_FORGOTTEN, i, entry, fn, arg);
		changes++;
	}
	for (unsigned i = 0; i < PAIR_SLOTS; i++) {
		uint64_t entry = c->now[i], old = entry ? find_same(c->then, i, entry) : 0;

		if (!entry || (old && entry_port(old) == entry_port(entry)))
			continue; /* nothing is here, or it is as it was */
		tell(c, old ? FDB_MOVED : FDB_LEARNED, i, entry, fn, arg);
		changes++;
	}
	return changes;
}

/* Compare the next two buckets. */
static unsigned compare_next(struct fdb_watch *watch, fdb_watch_fn fn, void *arg)
{
	uint64_t *seen = &watch->seen[(size_t)watch->bucket * FDB_BUCKET_SLOTS];
	struct pair pair = pair_of_bucket(watch->fdb, watch->bucket);
	struct comparison c = {.fdb = watch->fdb, .bucket = watch->bucket};
	uint64_t differ = 0;

	for (unsigned i = 0; i < PAIR_SLOTS; i++) {
		c.now[i] = slot_read(&pair.slot[i]) & ~STAMP;
		differ |= c.now[i] ^ seen[i];
	}
	if (!differ)
		return 0;
	memcpy(c.then, seen, sizeof(c.then));
	memcpy(seen, c.now, sizeof(c.now));
	return watch->silent ? 0 : compare(&c, fn, arg);
}

bool fdb_watch_some(
    struct fdb_watch *watch, uint32_t max_buckets, unsigned max_changes, fdb_watch_fn fn, void *arg)
{
	uint32_t end = fdb_buckets(watch->fdb);
	unsigned changes = 0;

	for (uint32_t n = 0; n < max_buckets && changes < max_changes; n += 2) {
		changes += compare_next(watch, fn, arg);
		watch->bucket += 2;
		if (watch->bucket < end)
			continue; /* the round goes on */
		watch->bucket = 0;
		watch->silent = false;
		return true;
	}
	return false;
}

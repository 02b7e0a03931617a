/* SPDX-License-Identifier: BSD-3-Clause */
/* Here entries are dropped because they are too old, or because their port is flushed. */
#include "bridge/fdb.h"
#include "bridge/fdb_private.h"

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
	if (entry == 0 || (entry & FDB_STATIC))
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

bool fdb_flush_waits(const struct fdb *fdb)
{
	return fdb->flush_pass || fdb->flush_waiting;
}

bool fdb_flush_pending(const struct fdb *fdb, uint16_t port)
{
	return fdb->flush[port] != 0;
}

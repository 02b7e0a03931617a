/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds what has changed in an address table. A watch has a copy of the table, without stamps, and
 * compares the table with it, some buckets at a time. So threads that learn addresses do not know
 * of it, and pay nothing. A change that is undone before the watch comes by is not seen.
 *
 * An address can be in two buckets, which are neighbours. They are compared together. So an address
 * that changes its place has not changed.
 *
 * Threads: one thread uses a watch. The table may change meanwhile.
 */
#pragma once

#include "bridge/fdb.h"

struct fdb_watch;

enum fdb_change {
	FDB_LEARNED,
	FDB_MOVED,     /* to another port */
	FDB_FORGOTTEN, /* the entry was dropped, for whatever reason */
};

/* entry: as it is now; FDB_FORGOTTEN: as it was. Its stamp has no meaning. */
typedef void (*fdb_watch_fn)(enum fdb_change change, const struct fdb_entry *entry, void *arg);

/*
 * Watch a table. The watch may be destroyed after the table, but not used. is_new: nothing was
 * learned yet. Otherwise the first round over the table reports nothing. It takes 8 bytes for each
 * slot of the table. NULL: no memory.
 */
struct fdb_watch *fdb_watch_create(const struct fdb *fdb, bool is_new);
void fdb_watch_destroy(struct fdb_watch *watch);

/*
 * Compare about max_buckets buckets, beginning where the last call ended, and call fn for each
 * change. It ends early after max_changes changes, or some more. True: this was the end of a round.
 */
bool fdb_watch_some(struct fdb_watch *watch, uint32_t max_buckets, unsigned max_changes,
    fdb_watch_fn fn, void *arg);

/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/bridge_table.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/errand.h"
#include "bridge/fdb.h"
#include "control/bridge_config.h"

/* The errand has so long to begin and to end. It may stand behind many others. */
#define WAIT_MS 5000

/* It belongs to the control thread and to the errand. The one that comes second frees it. */
struct bridge_table {
	struct bridge_config config;
	int64_t until_ms;
	bool begun;      /* there is an errand */
	struct fdb *fdb; /* these two when `left` is true */
	int err;
	atomic_bool left; /* the errand has ended, or the control thread has given it up */
};

/* A table that is being freed. */
struct unused {
	struct fdb *fdb;
	uint32_t entries;
};

/*
 * Addresses of the tables that errands are making or freeing, and of the tables that nobody has
 * taken. Only the control thread adds to the sum. Errands may run longer than there is a switch.
 */
static _Atomic(uint32_t) loose_entries;

static bool may_add(uint32_t entries)
{
	return atomic_load(&loose_entries) + entries <= BRIDGES_ENTRIES_MAX;
}

/* Free a table whose addresses are in the sum. */
static void destroy(struct fdb *fdb, uint32_t entries)
{
	fdb_destroy(fdb);
	atomic_fetch_sub(&loose_entries, entries);
}

static void make(void *arg)
{
	struct bridge_table *table = arg;

	table->fdb = fdb_create(table->config.fdb_entries, table->config.fdb_age_s);
	table->err = table->fdb ? 0 : -errno;
	if (atomic_exchange(&table->left, true)) {
		destroy(table->fdb, table->config.fdb_entries);
		free(table);
	}
}

/* If there is room for it now, begin the errand. 0 or -ENOMEM. */
static int begin(struct bridge_table *table)
{
	uint32_t entries = table->config.fdb_entries;

	if (table->begun || !may_add(entries))
		return 0;
	atomic_fetch_add(&loose_entries, entries);
	if (errand_run(make, table) < 0) {
		atomic_fetch_sub(&loose_entries, entries);
		return -ENOMEM;
	}
	table->begun = true;
	return 0;
}

struct bridge_table *bridge_table_begin(const struct bridge_config *config)
{
	struct bridge_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->config = *config;
	table->until_ms = clock_ms() + WAIT_MS;
	if (begin(table) == 0)
		return table;
	free(table);
	return NULL;
}

bool bridge_table_is_for(const struct bridge_table *table, const struct bridge_config *config)
{
	return strcmp(table->config.name, config->name) == 0 &&
	    table->config.fdb_entries == config->fdb_entries &&
	    table->config.fdb_age_s == config->fdb_age_s;
}

int bridge_table_take(struct bridge_table *table, struct fdb **ret_fdb)
{
	int err = begin(table);

	if (!err && !atomic_load(&table->left))
		err = clock_ms() < table->until_ms ? -EAGAIN : -ETIMEDOUT;
	if (err == -EAGAIN)
		return err;
	if (err) {
		bridge_table_give_up(table);
		return err;
	}
	*ret_fdb = table->fdb;
	err = table->err;
	atomic_fetch_sub(&loose_entries, table->config.fdb_entries);
	free(table);
	return err;
}

static void free_unused(void *arg)
{
	struct unused *unused = arg;

	destroy(unused->fdb, unused->entries);
	free(unused);
}

/* Let an errand free a table whose addresses are in the sum. */
static void destroy_soon(struct fdb *fdb, uint32_t entries)
{
	struct unused *unused = malloc(sizeof(*unused));

	if (unused) {
		*unused = (struct unused){.fdb = fdb, .entries = entries};
		if (errand_run(free_unused, unused) == 0)
			return;
		free(unused);
	}
	destroy(fdb, entries);
}

void bridge_table_give_up(struct bridge_table *table)
{
	if (!table || (table->begun && !atomic_exchange(&table->left, true)))
		return;
	if (table->begun)
		destroy_soon(table->fdb, table->config.fdb_entries);
	free(table);
}

void bridge_table_free(struct fdb *fdb, uint32_t entries)
{
	bool soon = may_add(entries);

	atomic_fetch_add(&loose_entries, entries);
	if (soon)
		destroy_soon(fdb, entries);
	else
		destroy(fdb, entries);
}

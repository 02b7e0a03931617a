/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/bridge_table.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/errand.h"
#include "bridge/fdb.h"
#include "control/bridge_config.h"

/* It belongs to the control thread and to the errand. The one that comes second frees it. */
struct bridge_table {
	struct bridge_config config;
	struct fdb *fdb; /* these two when `left` is true */
	int err;
	atomic_bool left; /* the errand has ended, or the control thread has given it up */
};

/* A table that is being freed. */
struct unused {
	struct fdb *fdb;
	uint32_t entries;
};

/* Addresses of the tables that errands are freeing. They may run longer than there is a switch. */
static _Atomic(uint32_t) unused_entries;

static void table_free(struct bridge_table *table)
{
	fdb_destroy(table->fdb);
	free(table);
}

static void make(void *arg)
{
	struct bridge_table *table = arg;

	table->fdb = fdb_create(table->config.fdb_entries, table->config.fdb_age_s);
	table->err = table->fdb ? 0 : -errno;
	if (atomic_exchange(&table->left, true))
		table_free(table);
}

struct bridge_table *bridge_table_begin(const struct bridge_config *config)
{
	struct bridge_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->config = *config;
	if (errand_run(make, table) == 0)
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
	int err;

	if (!atomic_load(&table->left))
		return -EAGAIN;
	*ret_fdb = table->fdb;
	err = table->err;
	free(table);
	return err;
}

void bridge_table_give_up(struct bridge_table *table)
{
	if (!table || !atomic_exchange(&table->left, true))
		return;
	bridge_table_free(table->fdb, table->config.fdb_entries);
	free(table);
}

static void free_unused(void *arg)
{
	struct unused *unused = arg;

	fdb_destroy(unused->fdb);
	atomic_fetch_sub(&unused_entries, unused->entries);
	free(unused);
}

void bridge_table_free(struct fdb *fdb, uint32_t entries)
{
	struct unused *unused = NULL;

	/* Only this thread adds to the sum. */
	if (atomic_load(&unused_entries) + entries <= BRIDGES_ENTRIES_MAX)
		unused = malloc(sizeof(*unused));
	if (unused) {
		*unused = (struct unused){.fdb = fdb, .entries = entries};
		atomic_fetch_add(&unused_entries, entries);
		if (errand_run(free_unused, unused) == 0)
			return;
		atomic_fetch_sub(&unused_entries, entries);
		free(unused);
	}
	fdb_destroy(fdb);
}

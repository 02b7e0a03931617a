/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address tables that errands (base/errand.h) make and free, because the kernel may take a tenth of
 * a second for the memory of a large table.
 *
 * Threads: the control thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bridge_config;
struct bridge_table;
struct fdb;

/*
 * An errand makes a table for this bridge. It begins when the tables that errands make and free
 * have no more than BRIDGES_ENTRIES_MAX addresses with it. NULL: no memory.
 */
struct bridge_table *bridge_table_begin(const struct bridge_config *config);

/* Is this the table of such a bridge? */
bool bridge_table_is_for(const struct bridge_table *table, const struct bridge_config *config);

/*
 * -EAGAIN: the errand has not ended. Otherwise table is freed, and the result is 0 with the table
 * in *ret_fdb; an error of fdb_create(); or -ETIMEDOUT, because the errand took too long.
 */
int bridge_table_take(struct bridge_table *table, struct fdb **ret_fdb);

/* Nobody will take it; the errand frees what it makes. NULL is allowed. */
void bridge_table_give_up(struct bridge_table *table);

/*
 * Let an errand free a table, which no thread uses any more. If the tables that errands make and
 * free would have more than BRIDGES_ENTRIES_MAX addresses with it, the control thread frees it.
 */
void bridge_table_free(struct fdb *fdb, uint32_t entries);

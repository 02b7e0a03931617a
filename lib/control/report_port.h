/* SPDX-License-Identifier: BSD-3-Clause */
/* What the report says about the addresses behind a port. Control thread only. */
#pragma once

#include <jansson.h>

struct fdb;
struct vswitch;

/*
 * The addresses of all ports, read from the table once. To save time of the control thread, a large
 * table is not read to its end, and of many addresses behind a port not all are listed. NULL: no
 * memory, so nothing will be listed.
 */
struct address_lists *address_lists_create(const struct vswitch *sw);
void address_lists_destroy(struct address_lists *lists);

/* Add to the object of a port: its addresses, the seconds since they were seen, their number. */
void report_addresses(
    json_t *port, const struct fdb *fdb, const struct address_lists *lists, unsigned index);

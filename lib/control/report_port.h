/* SPDX-License-Identifier: BSD-3-Clause */
/* What the report says about the addresses behind a port. Control thread only. */
#pragma once

#include <jansson.h>

struct fdb;
struct vswitch;

/*
 * Read the addresses of all ports from the address table, in one pass. Of a large table only a part
 * is read, and of a port with many addresses only some are listed, because the control thread has
 * little time. NULL: no memory; then no addresses are listed.
 */
struct address_lists *address_lists_create(const struct vswitch *sw);
void address_lists_destroy(struct address_lists *lists);

/* Add to the object of a port: its addresses, the seconds since they were seen, their number. */
void report_addresses(
    json_t *port, const struct fdb *fdb, const struct address_lists *lists, unsigned index);

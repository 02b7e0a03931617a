/* SPDX-License-Identifier: BSD-3-Clause */
/* What the report says of a port besides its counters. Control thread only. */
#pragma once

#include <jansson.h>

struct fdb;
struct vhost_device;
struct vport;
struct vswitch;

/* Of a ring, into its queue's object: is it active and enabled, and its size. */
void report_ring(json_t *queue, const struct vhost_device *dev, unsigned index);

/* What has happened to it lately, likewise, if that is recorded. */
void report_events(json_t *queue, const struct vhost_device *dev, unsigned index);

/* Of the front-end that is connected: process, since when, features, MTU, memory. */
void report_frontend(json_t *port, const struct vport *vp);

/*
 * The addresses of all ports, read from the table once. A large table is not read to its end, and
 * of many addresses behind a port not all are listed: the control thread has other things to do.
 * NULL: no memory, and nothing will be listed.
 */
struct address_lists *address_lists_create(const struct vswitch *sw);
void address_lists_destroy(struct address_lists *lists);

/* Those of a port with the seconds since they were heard, and how many there are. */
void report_addresses(
    json_t *port, const struct fdb *fdb, const struct address_lists *lists, unsigned index);

/* SPDX-License-Identifier: BSD-3-Clause */
/* What the switch has counted and knows, for people and for programs. Control thread only. */
#pragma once

#include <jansson.h>
#include <stdio.h>

struct vswitch;

/*
 * All counters as one object; the caller releases it. NULL: no memory. The reader's view of
 * running counters: exact once traffic has stopped.
 */
json_t *report_json(const struct vswitch *sw);

/* The same as a table of ports, drops spelled out below each. */
void report_text(const json_t *report, FILE *out);

/* Write the table to a descriptor that nobody may be reading: what is not taken in ms is lost. */
int report_print(const json_t *report, int fd, unsigned ms);

/* Can a report be written to path? Errors are logged. */
int report_check(const char *path);

/*
 * Write the report to path, replacing it in one step. No symbolic link is followed. Errors are
 * logged.
 */
int report_write(const json_t *report, const char *path);

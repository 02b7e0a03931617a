/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports of the counters and the state, for people and programs. Control thread only. */
#pragma once

#include <jansson.h>
#include <stdio.h>

struct vswitch;

/*
 * Counters and state as one object, which the caller releases. NULL: no memory. While traffic runs,
 * counters change during the reading. Without traffic the report is exact.
 */
json_t *report_json(const struct vswitch *sw);

/* Print the report as a table of ports. Below each port its drops are explained. */
void report_text(const json_t *report, FILE *out);

/*
 * Write the table to fd. If the reader of fd is slow, the part of the table that is not written
 * within ms milliseconds is lost.
 */
int report_print(const json_t *report, int fd, unsigned ms);

/* Can a report be written to path? Errors are logged. */
int report_check(const char *path);

/*
 * Write the report to path. An old file is replaced in one step. No symbolic link is followed.
 * Errors are logged.
 */
int report_write(const json_t *report, const char *path);

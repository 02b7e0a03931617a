/* SPDX-License-Identifier: BSD-3-Clause */
/* What the switch has counted, for people and for programs. Control thread only. */
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
void report_text(const struct vswitch *sw, FILE *out);

/* Write report_json to path, replacing it in one step. Errors are logged. */
int report_write(const struct vswitch *sw, const char *path);

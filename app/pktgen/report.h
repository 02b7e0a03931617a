/* SPDX-License-Identifier: BSD-3-Clause */
/* The output of vswitch-pktgen: a progress line, text, and JSON. */
#pragma once

#include <jansson.h>

#include "options.h"
#include "traffic/search.h"

/*
 * For struct traffic: rewrite one line on the terminal. arg is the options. False after SIGINT or
 * SIGTERM.
 */
bool report_progress(void *arg, const struct trial_result *so_far);
void report_progress_end(const struct options *o);

/*
 * Print a result; or return it as JSON, which also has each stream, or each port of a replay.
 * invalid: why the latencies say nothing, or NULL.
 */
void report_trial(const struct options *o, const struct traffic *t, const struct trial_result *r,
    const char *invalid);
json_t *report_trial_json(const struct options *o, const struct traffic *t,
    const struct trial_result *r, const char *invalid);

/* Write root to the file of --json, if it was given, and release it. 0 or -errno. */
int report_write(const struct options *o, json_t *root);

/* Request a stop; a signal handler. */
void report_stop(int signal);

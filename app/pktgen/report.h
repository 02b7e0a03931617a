/* SPDX-License-Identifier: BSD-3-Clause */
/* What vswitch-pktgen says: a line that lives while it works, text for people, JSON for machines.
 */
#pragma once

#include <jansson.h>

#include "options.h"
#include "traffic/search.h"

/* For struct traffic: one line on a terminal, rewritten; arg is the options. Stops on SIGINT. */
bool report_progress(void *arg, const struct trial_result *so_far);
void report_progress_end(const struct options *o);

/* The same result both ways; in JSON also for each stream, or for each port of a replay. */
void report_trial(const struct options *o, const struct traffic *t, const struct trial_result *r);
json_t *report_trial_json(const struct traffic *t, const struct trial_result *r);

/* Write root to the place --json names, if there is one, and release it. 0 or -errno. */
int report_write(const struct options *o, json_t *root);

/* Ask for a stop; from a signal handler. */
void report_stop(int signal);

/* SPDX-License-Identifier: BSD-3-Clause */
/* What a run was: what was negotiated, what was checked of every frame, what the rates mean. */
#pragma once

#include <jansson.h>

#include "options.h"
#include "traffic/trial.h"

/* The names of features with blanks between, as in the switch's log. */
void facts_names(uint64_t mask, char *text, size_t size);

/* For each port, in the order of the command line. */
json_t *facts_negotiated(const struct options *o, const struct traffic *t);

/* What is known of every frame that arrives: of the shortest frame. */
json_t *facts_checked(const struct traffic *t);

/* Print what is not known of every frame; nothing if all is known. */
void facts_print_unchecked(const struct traffic *t);

/* Over which directions the rates are summed: words. */
const char *facts_directions(const struct options *o);

/* Print the calls that were asked for and made; nothing if none was asked for. */
void facts_print_calls(const struct traffic *t);

/*
 * Why the latencies of a trial tell nothing about the path; NULL: they do. switched: how often the
 * thread lost its CPU.
 */
const char *facts_invalid(const struct trial_result *r, uint64_t switched);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Make the switch what a configuration says, or tell what that would change. The work is done in
 * slices, because it takes long if there are many ports.
 *
 * Threads: the control thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "manage/error.h"

struct apply;
struct manage;

/* The fault has no place in the configuration. */
#define APPLY_NO_PLACE SIZE_MAX

struct apply_request {
	const char *about;    /* begins the message; it stays */
	const json_t *config; /* checked; it is kept */
	bool dry_run;
	/* Sockets may be in any directory, because the file says so, not a client. */
	bool any_socket;
	bool at_once; /* there is no event loop yet, so there is nothing to wait for */
};

struct apply_outcome {
	json_t *changes; /* the answer of config.apply; NULL: nothing has changed, see error */
	struct manage_error error;
	const char *list; /* "ports" or "bridges": where the fault is */
	size_t index;     /* in this list; or APPLY_NO_PLACE */
};

/* NULL: no memory. */
struct apply *apply_create(const struct manage *manage, const struct apply_request *request);
void apply_destroy(struct apply *apply);

/*
 * Work for about so many nanoseconds. True: there is more to do. False: it has ended, and
 * apply_outcome() tells how.
 */
bool apply_work(struct apply *apply, int64_t ns);

/* The outcome, once. The caller owns the changes, or the data of the error. */
struct apply_outcome apply_outcome(struct apply *apply);

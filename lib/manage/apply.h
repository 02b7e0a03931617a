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
#include <stdint.h>

#include "manage/apply_outcome.h"

struct apply;
struct manage;

struct apply_request {
	const char *about;    /* begins the message; it stays */
	const json_t *config; /* checked; it is kept */
	bool dry_run;
	/* Sockets may be in any directory, because the file says so, not a client. */
	bool any_socket;
	bool at_once; /* there is no event loop yet, so there is nothing to wait for */
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

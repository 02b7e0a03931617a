/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes that take several turns of the event loop: a configuration that is applied, from a client
 * or from the file; a bridge that is added; and a configuration that is written. Requests for other
 * changes wait, in order, for the end of the first two. A request that reads or writes the
 * file also waits for the end of the writing.
 *
 * Threads: the control thread. The file is written by an errand.
 */
#pragma once

#include "manage/rpc.h"

struct config_file;
struct manage;

/* 0 or -ENOMEM. */
int change_create(struct manage *manage);
/* What has been begun ends where it is. All sessions have been closed. */
void change_destroy(struct manage *manage);

/*
 * For a handler, before it looks at the switch: is another change under way, so that this one has
 * to wait? Then the handler returns NULL, and is called again later.
 */
bool change_waits(const struct rpc_call *call);

/*
 * For a handler that change_waits() let go: the change takes longer. The handler returns NULL. It
 * is called again about a millisecond later, and no other change begins before that.
 */
void change_goes_on(const struct rpc_call *call);

/* For a handler that returns the result: apply a configuration, in slices. Returns NULL. */
json_t *change_apply(const struct rpc_call *call, const json_t *config, bool dry_run);

/* For a handler that returns the result: write the running configuration. Returns NULL. */
json_t *change_save(const struct rpc_call *call);

/*
 * Apply the file of the start, at once; it comes from config_file_read(). 0; or -EINVAL: a log line
 * says why.
 */
int change_load(struct manage *manage, const struct config_file *file);

/* Read the file and apply it, in slices, after the changes that are under way. Log lines tell. */
void change_reload(struct manage *manage);

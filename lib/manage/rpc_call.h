/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A request as the function behind its method sees it, and the functions that rpc.h needs.
 *
 * Threads: the control thread.
 */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "manage/error.h"
#include "manage/schema.h"

struct rpc_session;
struct rpc_ticket;

/* The process at the other end of a session. All zero: it is not known. */
struct rpc_peer {
	pid_t pid;
	uid_t uid;
};

struct rpc_call {
	void *arg;                   /* from struct rpc_config */
	struct rpc_session *session; /* NULL: it has been closed since the request was put off */
	const struct schema_method *method;
	const json_t *params; /* checked (check.h), with all defaults */
	struct manage_error *error;
	struct rpc_ticket *ticket; /* NULL: the request was not put off before */
};

/*
 * Carry out a method. Returns the result, or NULL with *call->error filled, or NULL after
 * rpc_later().
 */
typedef json_t *(*rpc_handler)(const struct rpc_call *call);

struct rpc_method {
	const char *name; /* as in the schema; NULL at the end */
	rpc_handler handle;
};

struct rpc_config {
	const struct schema *schema;
	const struct rpc_method *methods;
	void *arg; /* for handlers */
	/* A session has output that was not caused by its own input. It may not be closed here. */
	void (*output)(void *opaque);
	/*
	 * A method that changes the switch has succeeded with these parameters. changed may be
	 * NULL.
	 */
	void (*changed)(void *arg, const struct rpc_peer *peer, const struct schema_method *method,
	    const json_t *params);
};

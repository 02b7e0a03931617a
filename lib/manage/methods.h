/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The functions behind the methods of the schema. Each takes checked parameters, and does a bounded
 * amount of work: a front-end may wait meanwhile.
 *
 * Threads: the control thread.
 */
#pragma once

#include "manage/manage.h"
#include "manage/rpc.h"

struct manage {
	struct manage_config config;
	bool ending; /* a client has asked for it */
	struct rpc_server *server;
	int64_t started_ms;
};

struct switch_port;

extern const struct rpc_method manage_methods[];

/* X(function): their `arg` is a struct manage */
#define MANAGE_HANDLERS(X) \
	X(method_version) \
	X(method_switch_show) \
	X(method_port_add) \
	X(method_port_del) \
	X(method_port_list) \
	X(method_port_show) \
	X(method_port_stats) \
	X(method_fdb_list) \
	X(method_worker_list) \
	X(method_log_set) \
	X(method_schema_get) \
	X(method_subscribe) \
	X(method_unsubscribe) \
	X(method_shutdown)

#define X(function) json_t *function(const struct rpc_call *call);
MANAGE_HANDLERS(X)
#undef X

/* The port that this parameter names. NULL: there is none, and the error says so. */
struct switch_port *manage_find_port(const struct rpc_call *call, const char *field);

/* What port.show tells of a port. */
json_t *manage_port(const struct switch_port *sp);

/* A name that may be no UTF-8, because it is a path: then it is shown with question marks. */
json_t *manage_text(const char *text);

/* The answer of a list. Takes the reference to entries. */
json_t *manage_list(json_t *entries, json_t *next);

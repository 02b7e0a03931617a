/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON-RPC (rpc.h) on a Unix stream socket. Nothing here waits for a client. Clients wait in the
 * same queue as front-ends (vhost/work_queue.h), and a visit ends after RPC_VISIT_STEPS steps or
 * RPC_VISIT_NS. A step is at most one request, and requests about many ports take longer. Clients
 * together get half of the time: after visits that took a millisecond, none is visited for as long.
 *
 * There are at most RPC_CLIENTS_MAX clients. If one more connects, the client that has been silent
 * for longest is disconnected, subscribers last, if it has been silent for RPC_SILENT_MS; otherwise
 * the new one waits. If all clients together hold more than RPC_HELD_MAX bytes of memory,
 * by lines that have no end or answers that they do not read, the client that holds most is
 * disconnected. So is a client that takes none of its output for RPC_STUCK_MS.
 *
 * RPC_ACCEPT_BURST clients may connect at once, and then one in RPC_ACCEPT_MS. Nothing is read from
 * clients while RPC_CLOSING_MAX of the descriptors that clients passed have not been closed.
 *
 * Threads: the control thread.
 */
#pragma once

#include "manage/rpc.h"

#define RPC_CLIENTS_MAX  64
#define RPC_VISIT_STEPS  16
#define RPC_VISIT_NS     UINT64_C(2000000)
#define RPC_SILENT_MS    1000
#define RPC_STUCK_MS     30000
#define RPC_HELD_MAX     (16u << 20)
#define RPC_ACCEPT_BURST INT64_C(64)
#define RPC_ACCEPT_MS    INT64_C(10)

struct event_base;
struct log_limit;
struct rpc_server;

/*
 * Listen at path with mode 0660. config.output is set here. Errors are logged in one line and
 * returned, as by listener_open().
 */
int rpc_server_create(struct event_base *base, const char *path, const struct rpc_config *config,
    struct rpc_server **ret_server);

/* Disconnect all clients, after one try to send what waits, and remove the socket. */
void rpc_server_destroy(struct rpc_server *server);

struct rpc *rpc_server_rpc(const struct rpc_server *server);

/* The limit of log lines about what clients change: connections do not use it up. */
struct log_limit *rpc_server_change_limit(struct rpc_server *server);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON-RPC 2.0 (https://www.jsonrpc.org/specification) as bytes in and bytes out. Sockets are in
 * rpc_server.h.
 *
 * Each line is one JSON document: a request, a notification or a batch. Each answer is one line.
 * Parameters are named. Requests of a session are answered one after the other, in their order.
 *
 * All work is done in steps (rpc_session_work()), so that its caller decides how much is done at a
 * time. A step reads one line, or answers one request. Limits:
 *
 *	a line		RPC_LINE_MAX bytes; RPC_DEPTH_MAX arrays and objects within each other;
 *			RPC_VALUES_MAX values
 *	an id		a text has RPC_ID_MAX bytes
 *	a batch		RPC_BATCH_MAX requests; no more are answered after RPC_ANSWER_MAX bytes of
 *			answers
 *	output		no request is answered while more than RPC_OUTPUT_STOP bytes of output wait
 *	events		none is added if RPC_EVENTS_MAX bytes of output wait. The events are lost
 *			then, until all output was taken. An "overrun" event says how many were lost
 *
 * Threads: the control thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "manage/events.h"
#include "manage/rpc_call.h"

#define RPC_LINE_MAX    (256u << 10)
#define RPC_ID_MAX      128
#define RPC_DEPTH_MAX   16
#define RPC_VALUES_MAX  32768
#define RPC_BATCH_MAX   128
#define RPC_ANSWER_MAX  (2u << 20)
#define RPC_OUTPUT_STOP (64u << 10)
#define RPC_EVENTS_MAX  (128u << 10)

struct rpc;

/* What all sessions share. config is copied. 0 or -ENOMEM. */
int rpc_create(const struct rpc_config *config, struct rpc **ret_rpc);
/* All sessions have been closed. */
void rpc_destroy(struct rpc *rpc);

/* NULL: the method has no function. For tests. */
rpc_handler rpc_handler_of(const struct rpc *rpc, const char *method);

/* 0 or -ENOMEM. opaque: for config.output. */
int rpc_session_open(struct rpc *rpc, void *opaque, struct rpc_session **ret_session);
void rpc_session_close(struct rpc_session *session);

/* For config.changed. */
void rpc_session_set_peer(struct rpc_session *session, const struct rpc_peer *peer);

/*
 * For a handler: the answer comes later, by rpc_answer() or rpc_again(). Until then the session
 * reads and answers nothing else. NULL: no memory.
 */
struct rpc_ticket *rpc_later(const struct rpc_call *call);

/* The work for the request begins: its session is not disconnected because it is silent. */
void rpc_begin(struct rpc_ticket *ticket);

/* Is a request of this session answered later? Does somebody work for it? */
bool rpc_session_waits(const struct rpc_session *session);
bool rpc_session_is_worked_for(const struct rpc_session *session);

/* Has the session been closed, so that rpc_again() would forget the request? */
bool rpc_is_forgotten(const struct rpc_ticket *ticket);

/* Answer, and free the ticket. Takes the reference to result; NULL: *error says why. */
void rpc_answer(struct rpc_ticket *ticket, json_t *result, struct manage_error *error);

/*
 * Call the handler again. It answers, or puts the request off again. If the session has been
 * closed, the request is forgotten; this may be done after rpc_destroy(), too.
 */
void rpc_again(struct rpc_ticket *ticket);

/* How many bytes of input it takes now. 0: first there is work to do, or output to take. */
size_t rpc_session_room(const struct rpc_session *session);

/* Give it n bytes, at most rpc_session_room(). 0 or -ENOMEM. */
int rpc_session_input(struct rpc_session *session, const char *bytes, size_t n);

/* Do one step. False: there is nothing to do until it has more input, or its output was taken. */
bool rpc_session_work(struct rpc_session *session);

/* Output that waits; *ret_n may be 0. */
const char *rpc_session_output(const struct rpc_session *session, size_t *ret_n);
/* n bytes of it were taken. */
void rpc_session_taken(struct rpc_session *session, size_t n);

/* How many bytes of memory it takes at most, for what waits to be answered or to be read. */
size_t rpc_session_held(const struct rpc_session *session);

/* How many requests were answered, notifications included. */
uint64_t rpc_session_requests(const struct rpc_session *session);

/* Which events the session gets: bit 1 << event for each. */
void rpc_session_subscribe(struct rpc_session *session, unsigned events);
bool rpc_session_subscribed(const struct rpc_session *session);

/* Does any session get this event? If not, there is no need to make it. */
bool rpc_wanted(const struct rpc *rpc, enum manage_event event);

/* Send an event to the sessions that want it. Takes the reference to params; NULL is allowed. */
void rpc_publish(struct rpc *rpc, enum manage_event event, json_t *params);

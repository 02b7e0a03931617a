/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A request that takes long is put off: it gets a ticket, and its session stands still. The ticket
 * outlives the session, because somebody works for it. But what was not begun is forgotten when the
 * session is closed, so that clients that are disconnected leave no requests behind. A session that
 * stands still is not read from, so the end of its client is not seen meanwhile.
 */
#include "manage/rpc.h"

#include <stdlib.h>

#include "manage/rpc_session.h"

struct rpc_ticket *rpc_later(const struct rpc_call *call)
{
	struct rpc_ticket *t = call->ticket ? call->ticket : calloc(1, sizeof(*t));

	if (t && !call->ticket) {
		t->rpc = call->session->rpc;
		t->session = call->session;
		t->peer = call->session->peer;
		t->method = call->method;
		t->params = json_incref((json_t *)(uintptr_t)call->params);
		call->session->ticket = t;
	}
	if (t)
		t->later = true;
	else
		manage_fail(call->error, MANAGE_INTERNAL, "out of memory");
	return t;
}

static void ticket_free(struct rpc_ticket *t)
{
	json_decref(t->params);
	json_decref(t->id);
	free(t);
}

/* The session goes on. `one` is the answer; NULL: nobody waits for it. */
static void go_on(struct rpc_session *s, json_t *one)
{
	s->ticket = NULL;
	if (s->batch)
		rpc_add_to_batch(s, one);
	else
		rpc_say(s, one);
	if (s->rpc->config.output)
		s->rpc->config.output(s->opaque);
}

void rpc_answer(struct rpc_ticket *t, json_t *result, struct manage_error *error)
{
	if (result)
		rpc_tell_changed(t->rpc, &t->peer, t->method, t->params);
	if (t->session && t->id) {
		go_on(t->session, rpc_answer_json(t->id, result, error));
	} else {
		if (t->session)
			go_on(t->session, NULL);
		json_decref(result ? result : error->data);
	}
	ticket_free(t);
}

void rpc_begin(struct rpc_ticket *t)
{
	t->begun = true;
}

bool rpc_is_forgotten(const struct rpc_ticket *t)
{
	return !t->session;
}

void rpc_again(struct rpc_ticket *t)
{
	struct manage_error error = {.code = MANAGE_INTERNAL, .message = "out of memory"};
	struct rpc_call call;
	json_t *result;

	/* What all sessions share may be gone, too. */
	if (!t->session) {
		ticket_free(t);
		return;
	}
	call = (struct rpc_call){.arg = t->rpc->config.arg,
	    .session = t->session,
	    .method = t->method,
	    .params = t->params,
	    .error = &error,
	    .ticket = t};
	t->later = false;
	result = rpc_handler_of(t->rpc, t->method->name)(&call);
	if (!t->later)
		rpc_answer(t, result, &error);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What rpc.c and rpc_later.c share; for them only.
 *
 * Threads: the control thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "manage/buffer.h"
#include "manage/rpc_call.h"

/* An object of jansson with one member, in bytes of the heap. */
#define VALUE_BYTES 256u

struct rpc {
	struct rpc_config config;
	TAILQ_HEAD(, rpc_session) sessions;
};

struct rpc_ticket {
	struct rpc *rpc;
	struct rpc_session *session; /* NULL: it has been closed */
	struct rpc_peer peer;
	const struct schema_method *method;
	json_t *params; /* NULL: the session has been closed before it was begun */
	json_t *id;     /* NULL: nobody waits for the answer */
	bool later;     /* it was put off, perhaps once more */
	bool begun;     /* somebody works for it */
};

struct rpc_session {
	struct rpc *rpc;
	void *opaque;
	TAILQ_ENTRY(rpc_session) next;
	struct rpc_peer peer;
	struct rpc_ticket *ticket; /* NULL: no request is put off */
	struct buffer in, out;
	size_t scanned; /* so many bytes of input have no end of line */
	bool skipping;  /* the line was too long: its rest is ignored */
	json_t *batch;  /* NULL: none is being answered */
	size_t batch_at;
	size_t batch_bytes;    /* of memory that it, or a request that is put off, takes at most */
	struct buffer answers; /* to the batch, so far */
	uint64_t requests;
	unsigned events; /* bit 1 << event */
	uint64_t lost;   /* events, since all output was taken */
};

/* Tell config.changed, if the method changes the switch. */
void rpc_tell_changed(const struct rpc *rpc, const struct rpc_peer *peer,
    const struct schema_method *method, const json_t *params);

/* The answer to a request. Takes the reference to result; NULL: *error says why. */
json_t *rpc_answer_json(const json_t *id, json_t *result, struct manage_error *error);

/* Put an answer into the output. Takes the reference; NULL: there is no answer. */
void rpc_say(struct rpc_session *session, json_t *json);

/* The same for the answer to a request of the batch. */
void rpc_add_to_batch(struct rpc_session *session, json_t *one);

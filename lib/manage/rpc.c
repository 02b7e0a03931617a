/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Input is collected until there is a whole line. A line is scanned before it is parsed, because
 * the parser recurses, and allocates memory for each value. A single request is answered at once.
 * A batch is kept, and each step answers one of its requests. The answers are collected separately,
 * because events may be sent meanwhile.
 *
 * If a line is too long, it is answered with an error, and the rest of it is ignored.
 */
#include "manage/rpc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "manage/check.h"
#include "manage/rpc_session.h"

int rpc_create(const struct rpc_config *config, struct rpc **ret_rpc)
{
	struct rpc *rpc = calloc(1, sizeof(*rpc));

	if (!rpc)
		return -ENOMEM;
	rpc->config = *config;
	TAILQ_INIT(&rpc->sessions);
	*ret_rpc = rpc;
	return 0;
}

void rpc_destroy(struct rpc *rpc)
{
	free(rpc);
}

rpc_handler rpc_handler_of(const struct rpc *rpc, const char *method)
{
	const struct rpc_method *m = rpc->config.methods;

	while (m->name && strcmp(m->name, method) != 0)
		m++;
	return m->handle;
}

int rpc_session_open(struct rpc *rpc, void *opaque, struct rpc_session **ret_session)
{
	struct rpc_session *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->rpc = rpc;
	s->opaque = opaque;
	TAILQ_INSERT_TAIL(&rpc->sessions, s, next);
	*ret_session = s;
	return 0;
}

void rpc_session_close(struct rpc_session *s)
{
	if (!s)
		return;
	TAILQ_REMOVE(&s->rpc->sessions, s, next);
	if (s->ticket) {
		s->ticket->session = NULL;
		json_decref(s->ticket->id);
		s->ticket->id = NULL;
		if (!s->ticket->begun) {
			json_decref(s->ticket->params);
			s->ticket->params = NULL;
		}
	}
	json_decref(s->batch);
	buffer_free(&s->in);
	buffer_free(&s->out);
	buffer_free(&s->answers);
	free(s);
}

/* Without memory a client gets no answer; other clients and the switch go on. */
static void add_json(struct buffer *to, const json_t *json, const char *end)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	if (text && buffer_add(to, text, strlen(text)) == 0)
		buffer_add(to, end, strlen(end));
	free(text);
}

static json_t *error_json(struct manage_error *error)
{
	json_t *out = json_pack("{s:i, s:s}", "code", (int)error->code, "message", error->message);

	if (error->data)
		json_object_set_new(out, "data", error->data);
	return out;
}

json_t *rpc_answer_json(const json_t *id, json_t *result, struct manage_error *error)
{
	json_t *copy = id ? json_deep_copy(id) : json_null();

	return json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "id", copy,
	    result ? "result" : "error", result ? result : error_json(error));
}

_Static_assert(RPC_ID_MAX == 128, "as the error says");

static bool id_is_right(const json_t *id)
{
	return json_is_number(id) || json_is_null(id) ||
	    (json_is_string(id) && json_string_length(id) <= RPC_ID_MAX);
}

/* NULL: it is no request. */
static const char *method_name(const json_t *request, struct manage_error *error)
{
	const json_t *version = json_object_get(request, "jsonrpc");
	const json_t *id = json_object_get(request, "id");
	const json_t *name = json_object_get(request, "method");

	if (!json_is_object(request))
		manage_fail_field(error, MANAGE_REQUEST, "request", "request", request,
		    "an object with \"jsonrpc\", \"id\", \"method\" and \"params\"");
	else if (!json_is_string(version) || strcmp(json_string_value(version), "2.0") != 0)
		manage_fail_field(error, MANAGE_REQUEST, "request", "jsonrpc", version, "\"2.0\"");
	else if (id && !id_is_right(id))
		manage_fail_field(error, MANAGE_REQUEST, "request", "id", id,
		    "a number, null or a text of at most 128 bytes");
	else if (!json_is_string(name))
		manage_fail_field(error, MANAGE_REQUEST, "request", "method", name, "a text");
	else
		return json_string_value(name);
	return NULL;
}

#define METHODS_MAX 128

static json_t *unknown_method(
    const struct schema *schema, const char *name, struct manage_error *error)
{
	const char *names[METHODS_MAX], *nearest;
	unsigned n = 0;

	for (const struct schema_method *m = schema->methods; m->name && n < METHODS_MAX; m++)
		names[n++] = m->name;
	nearest = schema_nearest(name, names, n);
	return manage_fail_unknown(error, MANAGE_METHOD, "method", name,
	    nearest ? nearest : "a method that schema.get names", nearest != NULL);
}

void rpc_tell_changed(const struct rpc *rpc, const struct rpc_peer *peer,
    const struct schema_method *method, const json_t *params)
{
	if (method->changes && rpc->config.changed)
		rpc->config.changed(rpc->config.arg, peer, method, params);
}

static json_t *call(struct rpc_session *s, const json_t *request, struct manage_error *error)
{
	const struct rpc_config *c = &s->rpc->config;
	const char *name = method_name(request, error);
	const struct schema_method *method = schema_method(c->schema, name);
	rpc_handler handle = method ? rpc_handler_of(s->rpc, name) : NULL;
	struct rpc_call call = {.arg = c->arg, .session = s, .method = method, .error = error};
	json_t *params, *result = NULL;

	if (!name)
		return NULL;
	if (!handle)
		return unknown_method(c->schema, name, error);
	params = check_params(c->schema, method, json_object_get(request, "params"), error);
	call.params = params;
	if (params)
		result = handle(&call);
	if (result)
		rpc_tell_changed(s->rpc, &s->peer, method, params);
	json_decref(params);
	return result;
}

/*
 * The answer to a request, or to what should be one. NULL: it is a notification, or it is answered
 * later.
 */
static json_t *answer(struct rpc_session *s, const json_t *request)
{
	struct manage_error error = {.code = MANAGE_INTERNAL, .message = "out of memory"};
	const json_t *id = json_object_get(request, "id");
	json_t *result = call(s, request, &error);

	s->requests++;
	if (s->ticket) {
		s->ticket->id = id ? json_deep_copy(id) : NULL;
		return NULL;
	}
	if (!result && error.code == MANAGE_REQUEST)
		return rpc_answer_json(id && id_is_right(id) ? id : NULL, NULL, &error);
	if (!id) {
		json_decref(result ? result : error.data);
		return NULL;
	}
	return rpc_answer_json(id, result, &error);
}

void rpc_say(struct rpc_session *s, json_t *json)
{
	if (json)
		add_json(&s->out, json, "\n");
	json_decref(json);
}

static void end_batch(struct rpc_session *s)
{
	if (s->answers.n && buffer_add(&s->answers, "]\n", 2) == 0)
		buffer_add(&s->out, buffer_begin(&s->answers), s->answers.n);
	buffer_free(&s->answers);
	json_decref(s->batch);
	s->batch = NULL;
}

void rpc_add_to_batch(struct rpc_session *s, json_t *one)
{
	if (one) {
		buffer_add(&s->answers, s->answers.n ? "," : "[", 1);
		add_json(&s->answers, one, "");
	}
	json_decref(one);
	if (!s->ticket && s->batch_at == json_array_size(s->batch))
		end_batch(s);
}

static void answer_next(struct rpc_session *s)
{
	const json_t *request = json_array_get(s->batch, s->batch_at++);
	struct manage_error error;
	json_t *one;

	if (s->answers.n < RPC_ANSWER_MAX) {
		one = answer(s, request);
	} else {
		manage_fail(&error, MANAGE_TOO_LARGE,
		    "batch: the answers have more than %u bytes already", RPC_ANSWER_MAX);
		one = rpc_answer_json(json_object_get(request, "id"), NULL, &error);
	}
	rpc_add_to_batch(s, one);
}

/* Takes the reference. */
static void begin_batch(struct rpc_session *s, json_t *batch, unsigned values)
{
	size_t n = json_array_size(batch);
	struct manage_error error;

	if (n > 0 && n <= RPC_BATCH_MAX) {
		s->batch = batch;
		s->batch_at = 0;
		s->batch_bytes = (size_t)values * VALUE_BYTES;
		return;
	}
	if (n == 0)
		manage_fail(&error, MANAGE_REQUEST, "batch: it is empty");
	else
		manage_fail(&error, MANAGE_TOO_LARGE,
		    "batch: it has %zu requests; at most %u are allowed", n, RPC_BATCH_MAX);
	json_decref(batch);
	rpc_say(s, rpc_answer_json(NULL, NULL, &error));
}

/* Scan a line. A line that is no JSON may pass; the parser will see. */
static bool is_small(const char *line, size_t n, unsigned *ret_values, struct manage_error *error)
{
	unsigned depth = 0, deepest = 0, values = 1;
	bool in_string = false;

	for (size_t i = 0; i < n; i++) {
		char c = line[i];

		if (in_string) {
			i += c == '\\';
			in_string = c != '"';
			continue; /* what is in a string has no meaning */
		}
		in_string = c == '"';
		depth += c == '[' || c == '{';
		depth -= depth && (c == ']' || c == '}');
		deepest = MAX(deepest, depth);
		values += c == ',' || c == '[' || c == '{';
	}
	*ret_values = values;
	if (deepest > RPC_DEPTH_MAX)
		manage_fail(error, MANAGE_TOO_LARGE,
		    "request: more than %u arrays and objects are within each other",
		    RPC_DEPTH_MAX);
	else if (values > RPC_VALUES_MAX)
		manage_fail(
		    error, MANAGE_TOO_LARGE, "request: it has more than %u values", RPC_VALUES_MAX);
	return deepest <= RPC_DEPTH_MAX && values <= RPC_VALUES_MAX;
}

static json_t *parse(const char *line, size_t n, unsigned *ret_values, struct manage_error *error)
{
	json_error_t fault;
	json_t *json;

	if (!is_small(line, n, ret_values, error))
		return NULL;
	json = json_loadb(line, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault);
	if (!json)
		manage_fail(
		    error, MANAGE_PARSE, "request: %s at byte %d", fault.text, fault.position);
	return json;
}

/* A line has no null byte at its end, and other lines may follow. */
static bool is_blank(const char *line, size_t n)
{
	size_t i = 0;

	while (i < n && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r'))
		i++;
	return i == n;
}

static void take_line(struct rpc_session *s, const char *line, size_t n)
{
	struct manage_error error;
	unsigned values;
	json_t *json;

	if (is_blank(line, n))
		return;
	json = parse(line, n, &values, &error);
	if (!json) {
		rpc_say(s, rpc_answer_json(NULL, NULL, &error));
	} else if (json_is_array(json)) {
		begin_batch(s, json, values);
	} else {
		rpc_say(s, answer(s, json));
		s->batch_bytes = (size_t)values * VALUE_BYTES;
		json_decref(json);
	}
}

static void refuse_line(struct rpc_session *s)
{
	struct manage_error error;

	manage_fail(
	    &error, MANAGE_TOO_LARGE, "request: the line has more than %u bytes", RPC_LINE_MAX);
	rpc_say(s, rpc_answer_json(NULL, NULL, &error));
	s->skipping = true;
}

/* Is there a whole line? */
static const char *find_end(struct rpc_session *s)
{
	const char *begin = buffer_begin(&s->in), *end = NULL;

	if (s->in.n > s->scanned)
		end = memchr(begin + s->scanned, '\n', s->in.n - s->scanned);
	s->scanned = end ? (size_t)(end - begin) : s->in.n;
	return end;
}

bool rpc_session_work(struct rpc_session *s)
{
	const char *begin, *end;

	if (s->ticket || s->out.n > RPC_OUTPUT_STOP)
		return false;
	if (s->batch) {
		answer_next(s);
		return true;
	}
	begin = buffer_begin(&s->in);
	end = find_end(s);
	if (!end && !s->skipping && s->in.n > RPC_LINE_MAX)
		refuse_line(s);
	if (end && !s->skipping)
		take_line(s, begin, (size_t)(end - begin));
	if (!end && !s->skipping)
		return false;
	if (end)
		s->skipping = false;
	buffer_take(&s->in, end ? (size_t)(end + 1 - begin) : s->in.n);
	s->scanned = 0;
	return end != NULL;
}

size_t rpc_session_room(const struct rpc_session *s)
{
	bool whole_line = s->scanned < s->in.n;

	if (s->ticket || s->batch || s->out.n > RPC_OUTPUT_STOP || whole_line)
		return 0;
	return RPC_LINE_MAX + 1 - MIN(s->in.n, RPC_LINE_MAX);
}

int rpc_session_input(struct rpc_session *s, const char *bytes, size_t n)
{
	return buffer_add(&s->in, bytes, n);
}

const char *rpc_session_output(const struct rpc_session *s, size_t *ret_n)
{
	*ret_n = s->out.n;
	return buffer_begin(&s->out);
}

size_t rpc_session_held(const struct rpc_session *s)
{
	return s->in.room + s->out.room + s->answers.room +
	    (s->batch || s->ticket ? s->batch_bytes : 0);
}

void rpc_session_set_peer(struct rpc_session *s, const struct rpc_peer *peer)
{
	s->peer = *peer;
}

bool rpc_session_waits(const struct rpc_session *s)
{
	return s->ticket != NULL;
}

bool rpc_session_is_worked_for(const struct rpc_session *s)
{
	return s->ticket && s->ticket->begun;
}

uint64_t rpc_session_requests(const struct rpc_session *s)
{
	return s->requests;
}

static const char *const event_names[] = {
#define X(id, name, when) [MANAGE_EVENT_##id] = (name),
    MANAGE_EVENTS(X)
#undef X
};

/* The line of an event; NULL: no memory. Takes the reference to params. */
static char *event_line(enum manage_event event, json_t *params)
{
	json_t *json = params ? params : json_object();
	char *text;

	json_object_set_new(json, "event", json_string(event_names[event]));
	json_object_set_new(json, "time", json_integer(clock_read(CLOCK_REALTIME) / 1000000));
	json = json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", "event", "params", json);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	return text;
}

static void add_event(struct rpc_session *s, const char *line)
{
	size_t n = strlen(line);

	if (s->lost || s->out.n + n > RPC_EVENTS_MAX) {
		s->lost++;
		return;
	}
	if (buffer_add(&s->out, line, n) == 0)
		buffer_add(&s->out, "\n", 1);
}

static void tell_lost(struct rpc_session *s)
{
	char *line =
	    event_line(MANAGE_EVENT_OVERRUN, json_pack("{s:I}", "lost", (json_int_t)s->lost));

	s->lost = 0;
	if (line)
		add_event(s, line);
	free(line);
}

void rpc_session_taken(struct rpc_session *s, size_t n)
{
	buffer_take(&s->out, n);
	if (s->out.n == 0 && s->lost)
		tell_lost(s);
}

void rpc_session_subscribe(struct rpc_session *s, unsigned events)
{
	s->events = events;
	if (!events)
		s->lost = 0;
}

bool rpc_session_subscribed(const struct rpc_session *s)
{
	return s->events != 0;
}

bool rpc_wanted(const struct rpc *rpc, enum manage_event event)
{
	const struct rpc_session *s;

	for (s = TAILQ_FIRST(&rpc->sessions); s; s = TAILQ_NEXT(s, next))
		if (s->events >> event & 1)
			return true;
	return false;
}

void rpc_publish(struct rpc *rpc, enum manage_event event, json_t *params)
{
	char *line = event_line(event, params);
	struct rpc_session *s;

	for (s = TAILQ_FIRST(&rpc->sessions); s; s = TAILQ_NEXT(s, next)) {
		if (!line || !(s->events >> event & 1))
			continue; /* it did not ask for it */
		add_event(s, line);
		if (rpc->config.output)
			rpc->config.output(s->opaque);
	}
	free(line);
}

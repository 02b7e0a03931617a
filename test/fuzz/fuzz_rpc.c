/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session of JSON-RPC with any bytes, in any pieces, by a client that reads when it likes, while
 * events come. Each line of output is JSON, memory is bounded, and the session always takes input
 * again after its output was taken.
 */
#include <jansson.h>
#include <stdio.h>

#include "input.h"
#include "manage/check.h"
#include "manage/rpc.h"

#define STEPS    64
#define LINE_MAX 600

static json_t *handle_list(const struct rpc_call *call)
{
	static char text[17000];

	(void)call;
	memset(text, 'a', sizeof(text) - 1);
	return json_pack("{s:[s], s:n}", "entries", text, "next");
}

static json_t *handle_echo(const struct rpc_call *call)
{
	return json_deep_copy(call->params);
}

static json_t *handle_refuse(const struct rpc_call *call)
{
	return manage_fail_field(
	    call->error, MANAGE_REFUSED, call->method->name, "field", call->params, "what it was");
}

static json_t *handle_subscribe(const struct rpc_call *call)
{
	rpc_session_subscribe(call->session, json_object_size(call->params) ? 2 : 3);
	return json_object();
}

static const struct rpc_method handlers[] = {{"fdb.list", handle_list}, {"port.show", handle_echo},
    {"log.set", handle_refuse}, {"subscribe", handle_subscribe}, {0}};

/* Words that make lines which are nearly requests. */
static const char *const words[] = {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"port.show\",",
    "\"params\":{\"name\":\"", "\"}}\n", "fdb.list",
    "{\"jsonrpc\":\"2.0\",\"method\":\"subscribe\"}\n", "[", "]", "{", "}", ",", "\"", "\\", ":",
    "\n", "\"params\":",
    "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"fdb.list\",\"params\":{\"limit\":16}}\n",
    "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"log.set\",\"params\":{\"level\":\"debug\"}}\n",
    "\"events\":[\"port.up\"]", "null", "-1", "1e5", "true"};

/* The client reads a line. */
static void take(struct rpc_session *s)
{
	size_t n;
	const char *out = rpc_session_output(s, &n);
	const char *end = n ? memchr(out, '\n', n) : NULL;
	json_t *json;

	promise(n < RPC_ANSWER_MAX + 2 * (1 << 20));
	if (end) {
		json = json_loadb(out, (size_t)(end - out), 0, NULL);
		promise(json != NULL);
		json_decref(json);
		rpc_session_taken(s, (size_t)(end + 1 - out));
	}
}

static void give(struct rpc_session *s, const char *bytes, size_t n)
{
	while (n) {
		size_t room = rpc_session_room(s), part = n < room ? n : room;
		unsigned steps = 0;

		promise(room <= RPC_LINE_MAX + 1);
		if (part)
			promise(rpc_session_input(s, bytes, part) == 0);
		bytes += part;
		n -= part;
		while (rpc_session_work(s))
			promise(steps++ < 2 * LINE_MAX);
		if (part == 0)
			take(s);
	}
}

static void one_step(struct rpc *rpc, struct rpc_session *s, struct input *in)
{
	char bytes[LINE_MAX];
	size_t n;

	switch (input_below(in, 8)) {
	case 0:
		n = input_u16(in) % sizeof(bytes);
		input_bytes(in, bytes, n);
		give(s, bytes, n);
		break;
	case 1:
		rpc_publish(rpc, input_below(in, 2), json_pack("{s:i}", "n", 1));
		break;
	case 2:
		take(s);
		break;
	default:
		n = input_below(in, sizeof(words) / sizeof(words[0]));
		give(s, words[n], strlen(words[n]));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct rpc_config config = {.schema = &schema_switch, .methods = handlers};
	struct input in = {data, size};
	struct rpc_session *s;
	struct rpc *rpc;
	size_t n;

	promise(rpc_create(&config, &rpc) == 0);
	promise(rpc_session_open(rpc, NULL, &s) == 0);
	for (unsigned i = 0; i < 4 * STEPS && in.left; i++)
		one_step(rpc, s, &in);
	/* A client that reads everything is served. */
	do {
		take(s);
		while (rpc_session_work(s))
			;
		rpc_session_output(s, &n);
	} while (n);
	promise(rpc_session_room(s) > 0);
	rpc_session_close(s);
	rpc_destroy(rpc);
	return 0;
}

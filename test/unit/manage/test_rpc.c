/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON-RPC as bytes in and bytes out: answers, batches, notifications, limits, events. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "manage/rpc.h"
#include "small_schema.h"

static unsigned shown, outputs;

static json_t *handle_show(const struct rpc_call *call)
{
	assert_ptr_equal(call->arg, &shown);
	shown++;
	return json_pack("{s:O}", "name", json_object_get(call->params, "name"));
}

static json_t *handle_list(const struct rpc_call *call)
{
	json_t *entries = json_array();

	(void)call;
	for (unsigned i = 0; i < 2000; i++)
		json_array_append_new(entries, json_pack("{s:s}", "name", "aaaaaaaa"));
	return json_pack("{s:o, s:n}", "entries", entries, "next");
}

static json_t *handle_fail(const struct rpc_call *call)
{
	return manage_fail(call->error, MANAGE_REFUSED, "not \x1b[31mnow");
}

static json_t *handle_watch(const struct rpc_call *call)
{
	rpc_session_subscribe(call->session, (1u << MANAGE_EVENTS_N) - 1);
	return json_object();
}

static struct rpc_ticket *ticket;
static unsigned slow_calls, slow_changes;

/* It is put off twice, and a test ends it. */
static json_t *handle_slow(const struct rpc_call *call)
{
	assert_ptr_equal(call->ticket, slow_calls++ ? ticket : NULL);
	ticket = rpc_later(call);
	assert_non_null(ticket);
	return NULL;
}

static void on_changed(void *arg, const struct rpc_peer *peer, const struct schema_method *method,
    const json_t *params)
{
	assert_non_null(params);
	assert_ptr_equal(arg, &shown);
	assert_string_equal(method->name, "slow");
	assert_int_equal(peer->pid, 77);
	slow_changes++;
}

static const struct rpc_method handlers[] = {{"thing.show", handle_show},
    {"thing.list", handle_list}, {"fail", handle_fail}, {"watch", handle_watch},
    {"slow", handle_slow}, {0}};

static void on_output(void *opaque)
{
	assert_ptr_equal(opaque, &outputs);
	outputs++;
}

static struct rpc *rpc;
static struct rpc_session *session;

static int setup(void **state)
{
	const struct rpc_config config = {.schema = &small_schema,
	    .methods = handlers,
	    .arg = &shown,
	    .output = on_output,
	    .changed = on_changed};

	(void)state;
	shown = outputs = slow_calls = slow_changes = 0;
	assert_int_equal(rpc_create(&config, &rpc), 0);
	assert_int_equal(rpc_session_open(rpc, &outputs, &session), 0);
	rpc_session_set_peer(session, &(struct rpc_peer){.pid = 77});
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rpc_session_close(session);
	rpc_destroy(rpc);
	return 0;
}

static void work(void)
{
	while (rpc_session_work(session))
		;
}

/* Give it bytes as a socket would: as many at a time as it takes. */
static void give(const char *bytes, size_t n)
{
	while (n) {
		size_t part = MIN(rpc_session_room(session), n);

		assert_true(part > 0);
		assert_int_equal(rpc_session_input(session, bytes, part), 0);
		bytes += part;
		n -= part;
		work();
	}
}

/* The next line of output; NULL: there is none. The caller releases it. */
static json_t *next_line(void)
{
	size_t n;
	const char *out = rpc_session_output(session, &n), *end;
	json_t *json;

	if (n == 0)
		return NULL;
	end = memchr(out, '\n', n);
	assert_non_null(end);
	json = json_loadb(out, (size_t)(end - out), 0, NULL);
	assert_non_null(json);
	rpc_session_taken(session, (size_t)(end - out) + 1);
	work();
	return json;
}

static void assert_line(const char *expected)
{
	json_t *line = next_line(), *right = json_loads(expected, 0, NULL);

	assert_non_null(line);
	if (!json_equal(line, right))
		fail_msg("%s instead of %s", json_dumps(line, 0), expected);
	json_decref(line);
	json_decref(right);
}

/* The next line is an error with this code, and with the id null. */
static void assert_fault(json_int_t code)
{
	json_t *line = next_line(), *error = json_object_get(line, "error");

	assert_true(json_is_null(json_object_get(line, "id")));
	assert_int_equal(json_integer_value(json_object_get(error, "code")), code);
	assert_non_null(json_string_value(json_object_get(error, "message")));
	json_decref(line);
}

static void say(const char *line)
{
	give(line, strlen(line));
	give("\n", 1);
}

#define CALL(id, method, params) \
	"{\"jsonrpc\": \"2.0\", \"id\": " id ", \"method\": \"" method "\", \"params\": " params "}"
#define NOTIFY(method, params) \
	"{\"jsonrpc\": \"2.0\", \"method\": \"" method "\", \"params\": " params "}"
#define SHOWN(id) "{\"jsonrpc\": \"2.0\", \"id\": " id ", \"result\": {\"name\": \"a\"}}"

static void a_request_is_answered(void **state)
{
	(void)state;
	say(CALL("7", "thing.show", "{\"name\": \"a\"}"));
	assert_line(SHOWN("7"));
	say(CALL("\"x\"", "thing.show", "{\"name\": \"a\"}") "\r");
	assert_line(SHOWN("\"x\""));
	say(CALL("null", "thing.show", "{\"name\": \"a\"}"));
	assert_line(SHOWN("null"));
	assert_null(next_line());
	assert_int_equal(rpc_session_requests(session), 3);
}

static void several_lines_may_come_at_once_and_in_pieces(void **state)
{
	static const char two[] = CALL("1", "thing.show", "{\"name\": \"a\"}") "\n\n  \n" CALL(
	    "2", "thing.show", "{\"name\": \"a\"}") "\n";

	(void)state;
	give(two, strlen(two));
	assert_line(SHOWN("1"));
	assert_line(SHOWN("2"));
	for (const char *c = two; *c; c++)
		give(c, 1);
	assert_line(SHOWN("1"));
	assert_line(SHOWN("2"));
	assert_null(next_line());
}

/* 512 is the room of the buffer: nothing behind them may be read. Each must cost little. */
static void lines_may_be_empty(void **state)
{
	static char lines[RPC_LINE_MAX];
	int64_t start = clock_read(CLOCK_PROCESS_CPUTIME_ID);

	(void)state;
	memset(lines, '\n', sizeof(lines));
	give(lines, 512);
	give(lines, sizeof(lines));
	give(" \t\r\n", 4);
	assert_null(next_line());
	assert_true(clock_read(CLOCK_PROCESS_CPUTIME_ID) - start < INT64_C(1000000000));
	say("\v");
	assert_fault(MANAGE_PARSE);
}

static void a_notification_is_not_answered(void **state)
{
	(void)state;
	say(NOTIFY("thing.show", "{\"name\": \"a\"}"));
	assert_int_equal(shown, 1);
	say(NOTIFY("thing.show", "{\"name\": 5}"));
	say(NOTIFY("no.such", "{}"));
	say(NOTIFY("fail", "{}"));
	assert_null(next_line());
}

static void an_error_has_a_code_and_data(void **state)
{
	(void)state;
	say(CALL("1", "fail", "{}"));
	assert_line("{\"jsonrpc\": \"2.0\", \"id\": 1, \"error\": {\"code\": -32003, "
		    "\"message\": \"not ?[31mnow\"}}");
	say(CALL("1", "thing.show", "{\"name\": 5}"));
	assert_line("{\"jsonrpc\": \"2.0\", \"id\": 1, \"error\": {\"code\": -32602, \"message\": "
		    "\"thing.show: name: 5 is not a text of 1 to 8 bytes\", \"data\": {\"field\": "
		    "\"name\", \"value\": 5, \"expected\": \"a text of 1 to 8 bytes\"}}}");
	say(CALL("1", "thing.shwo", "{}"));
	assert_line("{\"jsonrpc\": \"2.0\", \"id\": 1, \"error\": {\"code\": -32601, \"message\": "
		    "\"method: \\\"thing.shwo\\\" is not known; did you mean thing.show?\", "
		    "\"data\": {\"field\": \"thing.shwo\", \"value\": null, \"expected\": "
		    "\"thing.show\"}}}");
	/* It is in the schema, but has no function. */
	say(CALL("2", "thing.set", "{\"name\": \"a\"}"));
	json_decref(next_line());
}

static void what_is_no_request_is_told(void **state)
{
	static const char *const parse[] = {"{", "}", "nonsense", "{\"a\": 1, \"a\": 2}", "[1, 2",
	    "\xff\xfe", "{\"a\": \"\\u0000\"}", "\"\\ud800\"", "1e999", "99999999999999999999",
	    "{} {}"};
	static const char *const request[] = {"{}", "7", "null", "\"x\"", "[]", "[1]",
	    "{\"jsonrpc\": \"1.0\", \"id\": 1, \"method\": \"fail\"}",
	    "{\"jsonrpc\": \"2.0\", \"id\": null, \"method\": 7}",
	    "{\"jsonrpc\": \"2.0\", \"id\": [], \"method\": \"fail\"}", "{\"jsonrpc\": \"2.0\"}"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(parse); i++) {
		say(parse[i]);
		assert_fault(MANAGE_PARSE);
	}
	give("{\0}\n", 4);
	assert_fault(MANAGE_PARSE);
	for (unsigned i = 0; i < ARRAY_SIZE(request); i++) {
		json_t *line;

		say(request[i]);
		line = next_line();
		assert_non_null(line);
		if (json_is_array(line)) {
			json_t *only = json_incref(json_array_get(line, 0));

			json_decref(line);
			line = only;
		}
		assert_int_equal(
		    json_integer_value(json_object_get(json_object_get(line, "error"), "code")),
		    MANAGE_REQUEST);
		json_decref(line);
	}
	assert_null(next_line());
	say(CALL("1", "thing.show", "{\"name\": \"a\"}"));
	assert_line(SHOWN("1"));
}

/* An id is kept while its request waits. */
static void an_id_has_a_limit(void **state)
{
	char line[512];

	(void)state;
	for (int n = RPC_ID_MAX; n <= RPC_ID_MAX + 1; n++) {
		snprintf(line, sizeof(line),
		    "{\"jsonrpc\": \"2.0\", \"id\": \"%0*d\", \"method\": \"fail\"}", n, 7);
		say(line);
		if (n == RPC_ID_MAX)
			json_decref(next_line());
		else
			assert_fault(MANAGE_REQUEST);
	}
	assert_null(next_line());
	assert_int_equal(rpc_session_requests(session), 2);
}

static void a_batch_has_one_answer(void **state)
{
	(void)state;
	say("[" CALL("1", "thing.show", "{\"name\": \"a\"}") ", " NOTIFY("fail", "{}") ", " CALL(
	    "2", "fail", "{}") "]");
	assert_line("[" SHOWN("1") ", {\"jsonrpc\": \"2.0\", \"id\": 2, \"error\": {\"code\": "
				   "-32003, \"message\": \"not ?[31mnow\"}}]");
	say("[" NOTIFY("fail", "{}") ", " NOTIFY("fail", "{}") "]");
	assert_null(next_line());
	assert_int_equal(rpc_session_requests(session), 5);
}

static void a_batch_has_a_limit(void **state)
{
	char line[8192];
	int n = sprintf(line, "[0");

	(void)state;
	for (unsigned i = 1; i < RPC_BATCH_MAX + 1; i++)
		n += sprintf(line + n, ",0");
	sprintf(line + n, "]");
	say(line);
	assert_fault(MANAGE_TOO_LARGE);
	assert_null(next_line());
	assert_int_equal(rpc_session_requests(session), 0);
}

static void the_answers_to_a_batch_have_a_limit(void **state)
{
	json_t *batch = json_array(), *answers;
	char *line;
	unsigned results = 0;

	(void)state;
	for (unsigned i = 0; i < RPC_BATCH_MAX; i++)
		json_array_append_new(batch,
		    json_pack(
			"{s:s, s:i, s:s}", "jsonrpc", "2.0", "id", i, "method", "thing.list"));
	line = json_dumps(batch, 0);
	say(line);
	answers = next_line();
	assert_int_equal(json_array_size(answers), RPC_BATCH_MAX);
	for (unsigned i = 0; i < RPC_BATCH_MAX; i++) {
		json_t *one = json_array_get(answers, i);
		json_t *error = json_object_get(one, "error");

		assert_int_equal(json_integer_value(json_object_get(one, "id")), i);
		results += error == NULL;
		if (error)
			assert_int_equal(
			    json_integer_value(json_object_get(error, "code")), MANAGE_TOO_LARGE);
	}
	/* One answer has some 40 kB. */
	assert_in_range(results, 20, 80);
	json_decref(answers);
	json_decref(batch);
	free(line);
}

static void a_line_that_is_too_long_is_ignored(void **state)
{
	static const char shortest[] = CALL("1", "thing.show", "{\"name\": \"a\"}");
	const size_t room = RPC_LINE_MAX * (size_t)3;
	char *line = malloc(room);

	(void)state;
	assert_non_null(line);
	memset(line, ' ', room);
	give(line, RPC_LINE_MAX);
	assert_null(next_line());
	give(line, room - RPC_LINE_MAX);
	assert_fault(MANAGE_TOO_LARGE);
	assert_null(next_line());
	give("\n", 1);
	/* The longest line that is allowed. */
	memcpy(line, shortest, strlen(shortest));
	line[RPC_LINE_MAX] = '\n';
	give(line, RPC_LINE_MAX + 1);
	assert_line(SHOWN("1"));
	free(line);
}

static void nesting_and_values_have_limits(void **state)
{
	char *line = malloc(RPC_LINE_MAX);
	unsigned n = 0;

	(void)state;
	assert_non_null(line);
	say("[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]");
	assert_fault(MANAGE_TOO_LARGE);
	say("{\"a\": \"[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[\", \"b\": [[]]}");
	assert_fault(MANAGE_REQUEST);
	n += (unsigned)sprintf(line, "{\"a\": [0");
	while (n < RPC_LINE_MAX - 8)
		n += (unsigned)sprintf(line + n, ",0");
	sprintf(line + n, "]}");
	say(line);
	assert_fault(MANAGE_TOO_LARGE);
	memset(line, '[', RPC_LINE_MAX - 1);
	line[RPC_LINE_MAX - 1] = '\0';
	say(line);
	assert_fault(MANAGE_TOO_LARGE);
	free(line);
}

static void a_client_that_does_not_read_is_not_read_from(void **state)
{
	static const char line[] = CALL("1", "thing.list", "{}") "\n";
	unsigned n = 0;
	size_t waits;

	(void)state;
	while (rpc_session_room(session) >= strlen(line)) {
		assert_int_equal(rpc_session_input(session, line, strlen(line)), 0);
		work();
		assert_true(n++ < 10);
	}
	rpc_session_output(session, &waits);
	assert_in_range(waits, RPC_OUTPUT_STOP, 2 * RPC_OUTPUT_STOP);
	assert_false(rpc_session_work(session));
	rpc_session_taken(session, waits);
	assert_true(rpc_session_room(session) > 0);
	/* Lines that are there already wait, too. */
	for (n = 0; n < 8; n++)
		assert_int_equal(rpc_session_input(session, line, strlen(line)), 0);
	for (n = 0; n < 4; n++) {
		work();
		rpc_session_output(session, &waits);
		assert_in_range(waits, RPC_OUTPUT_STOP, 2 * RPC_OUTPUT_STOP);
		rpc_session_taken(session, waits);
	}
	assert_false(rpc_session_work(session));
}

static void publish(void)
{
	rpc_publish(rpc, MANAGE_EVENT_PORT_UP, json_pack("{s:s}", "port", "a"));
}

static void events_go_to_subscribers(void **state)
{
	json_t *line;

	(void)state;
	publish();
	assert_null(next_line());
	assert_false(rpc_wanted(rpc, MANAGE_EVENT_PORT_UP));
	rpc_session_subscribe(session, 1u << MANAGE_EVENT_PORT_UP);
	assert_true(rpc_wanted(rpc, MANAGE_EVENT_PORT_UP));
	rpc_publish(rpc, MANAGE_EVENT_PORT_DOWN, NULL);
	assert_int_equal(outputs, 0);
	publish();
	assert_int_equal(outputs, 1);
	line = next_line();
	assert_null(json_object_get(line, "id"));
	assert_string_equal(json_string_value(json_object_get(line, "method")), "event");
	assert_string_equal(
	    json_string_value(json_object_get(json_object_get(line, "params"), "event")),
	    "port.up");
	assert_string_equal(
	    json_string_value(json_object_get(json_object_get(line, "params"), "port")), "a");
	json_decref(line);
	rpc_session_subscribe(session, 0);
	publish();
	assert_null(next_line());
}

static void a_slow_subscriber_is_told_that_it_lost_events(void **state)
{
	unsigned got = 0;
	json_t *line;
	size_t waits;
	json_int_t lost = -1;

	(void)state;
	say(CALL("1", "watch", "{}"));
	json_decref(next_line());
	for (unsigned i = 0; i < 10000; i++)
		publish();
	rpc_session_output(session, &waits);
	assert_in_range(waits, RPC_EVENTS_MAX / 2, RPC_EVENTS_MAX);
	/* There is room again, but events that were lost come first. */
	for (unsigned i = 0; i < 3; i++, got++)
		json_decref(next_line());
	rpc_publish(rpc, MANAGE_EVENT_PORT_UP, json_pack("{s:s}", "port", "late"));
	while ((line = next_line())) {
		json_t *params = json_object_get(line, "params");
		const char *port = json_string_value(json_object_get(params, "port"));

		assert_true(!port || strcmp(port, "late") != 0);

		if (strcmp(json_string_value(json_object_get(params, "event")), "overrun") == 0)
			lost = json_integer_value(json_object_get(params, "lost"));
		else
			assert_int_equal(lost, -1);
		got++;
		json_decref(line);
	}
	assert_int_equal(got - 1 + lost, 10001);
	publish();
	line = next_line();
	assert_non_null(line);
	json_decref(line);
}

#define SLOW(id) CALL(id, "slow", "{}")
#define DONE(id) "{\"jsonrpc\": \"2.0\", \"id\": " id ", \"result\": {}}"

static void a_request_is_answered_later(void **state)
{
	static const char two[] = SLOW("1") "\n" CALL("2", "thing.show", "{\"name\": \"a\"}") "\n";
	struct manage_error error;

	(void)state;
	give(two, strlen(two));
	assert_true(rpc_session_waits(session));
	assert_null(next_line());
	assert_int_equal(rpc_session_room(session), 0);
	rpc_again(ticket);
	assert_int_equal(slow_calls, 2);
	assert_int_equal(slow_changes, 0);
	rpc_answer(ticket, json_object(), NULL);
	assert_int_equal(slow_changes, 1);
	assert_int_equal(outputs, 1);
	assert_false(rpc_session_waits(session));
	assert_line(DONE("1"));
	work();
	assert_line("{\"jsonrpc\": \"2.0\", \"id\": 2, \"result\": {\"name\": \"a\"}}");
	slow_calls = 0;
	say(SLOW("3"));
	manage_fail(&error, MANAGE_REFUSED, "no");
	rpc_answer(ticket, NULL, &error);
	assert_line("{\"jsonrpc\": \"2.0\", \"id\": 3, "
		    "\"error\": {\"code\": -32003, \"message\": \"no\"}}");
	assert_int_equal(slow_changes, 1);
	slow_calls = 0;
	say(NOTIFY("slow", "{}"));
	rpc_answer(ticket, json_object(), NULL);
	assert_null(next_line());
	assert_int_equal(slow_changes, 2);
}

static void a_batch_waits_for_what_is_answered_later(void **state)
{
	(void)state;
	say("[" CALL("1", "thing.show", "{\"name\": \"a\"}") ", " SLOW("2") "]");
	assert_null(next_line());
	rpc_answer(ticket, json_object(), NULL);
	assert_line(
	    "[{\"jsonrpc\": \"2.0\", \"id\": 1, \"result\": {\"name\": \"a\"}}, " DONE("2") "]");
	slow_calls = 0;
	say("[" SLOW("3") ", " CALL("4", "thing.show", "{\"name\": \"a\"}") "]");
	assert_null(next_line());
	rpc_answer(ticket, json_object(), NULL);
	work();
	assert_line(
	    "[" DONE("3") ", {\"jsonrpc\": \"2.0\", \"id\": 4, \"result\": {\"name\": \"a\"}}]");
}

/* valgrind and the address sanitizer see what is left behind. */
static void a_session_may_end_before_its_answer(void **state)
{
	(void)state;
	say(SLOW("1"));
	rpc_begin(ticket);
	rpc_session_close(session);
	rpc_answer(ticket, json_object(), NULL);
	assert_int_equal(slow_changes, 1);
	slow_calls = 0;
	assert_int_equal(rpc_session_open(rpc, &outputs, &session), 0);
	say(SLOW("2"));
	rpc_session_close(session);
	rpc_again(ticket);
	assert_int_equal(slow_calls, 1);
	assert_int_equal(slow_changes, 1);
	assert_int_equal(rpc_session_open(rpc, &outputs, &session), 0);
}

/* The address sanitizer sees a use of what was freed. */
static void a_request_may_be_forgotten_after_the_end(void **state)
{
	say(SLOW("1"));
	rpc_session_close(session);
	rpc_destroy(rpc);
	rpc_again(ticket);
	assert_int_equal(slow_calls, 1);
	assert_int_equal(setup(state), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(a_request_is_answered),
	    TEST(several_lines_may_come_at_once_and_in_pieces),
	    TEST(lines_may_be_empty),
	    TEST(a_notification_is_not_answered),
	    TEST(an_error_has_a_code_and_data),
	    TEST(what_is_no_request_is_told),
	    TEST(an_id_has_a_limit),
	    TEST(a_batch_has_one_answer),
	    TEST(a_batch_has_a_limit),
	    TEST(the_answers_to_a_batch_have_a_limit),
	    TEST(a_line_that_is_too_long_is_ignored),
	    TEST(nesting_and_values_have_limits),
	    TEST(a_client_that_does_not_read_is_not_read_from),
	    TEST(events_go_to_subscribers),
	    TEST(a_slow_subscriber_is_told_that_it_lost_events),
	    TEST(a_request_is_answered_later),
	    TEST(a_batch_waits_for_what_is_answered_later),
	    TEST(a_session_may_end_before_its_answer),
	    TEST(a_request_may_be_forgotten_after_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Of a connection that did not answer, nothing is expected any more: it is closed, and the next
 * command opens a new one. A connection that the switch has closed between two commands is noticed
 * before it is used, so the command is not lost.
 */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "command.h"
#include "show.h"
#include "talk.h"
#include "text.h"

/* What is taken of a list. No list of a switch has a larger "next". */
#define LIST_NEXT_MAX      ((json_int_t)1 << 24)
#define LIST_BYTES_MAX     (UINT64_C(4) << 30)
#define COMPLETE_BYTES_MAX (UINT64_C(8) << 20)

static void complain(const char *text)
{
	fputs("vswitchctl: ", stderr);
	text_print(text, stderr);
}

/* The words again, a caret under the wrong one, and what was expected. */
enum client_status client_usage(int n, char *const words[], const struct usage_fault *fault)
{
	unsigned column = 0;

	if (fault->word < 0) {
		complain(fault->expected);
		fputc('\n', stderr);
		return CLIENT_USAGE;
	}
	fputs("vswitchctl:", stderr);
	for (int i = 0; i < n; i++) {
		fputc(' ', stderr);
		text_print(words[i], stderr);
		column += i < fault->word ? text_width(words[i]) + 1 : 0;
	}
	fprintf(stderr, "\n%*s^\nexpected: ", (int)(column + strlen("vswitchctl: ")), "");
	text_print(fault->expected, stderr);
	fputc('\n', stderr);
	return CLIENT_USAGE;
}

static enum client_status no_switch(const char *path, int error)
{
	if (error == EINTR) {
		fputs("vswitchctl: interrupted\n", stderr);
		return CLIENT_NO_ANSWER;
	}
	if (error == EAGAIN) {
		complain("the switch at ");
		text_print(path, stderr);
		fputs(" does not answer\n", stderr);
		return CLIENT_NO_ANSWER;
	}
	complain("no switch at ");
	text_print(path, stderr);
	fprintf(stderr, ": %s\n", error_text(error));
	return CLIENT_NO_SWITCH;
}

static const char *why_no_answer(int error)
{
	switch (error) {
	case 0:
		return "the connection has ended";
	case EAGAIN:
		return "none came in time";
	case EINTR:
		return "interrupted";
	case EPROTO:
		return "what came is not JSON";
	case EMSGSIZE:
		return "a line is longer than 16 MiB";
	case EOVERFLOW:
		return "the list has no end, or is too long";
	default:
		return error_text(error);
	}
}

/* The switch may have carried out the method. */
static enum client_status no_answer(const char *path, int error, const char *method)
{
	complain("no answer from the switch at ");
	text_print(path, stderr);
	fprintf(stderr, ": %s; it is not known whether it did %s\n", why_no_answer(error), method);
	return CLIENT_NO_ANSWER;
}

static enum client_status refused(const json_t *error)
{
	const char *message = json_string_value(json_object_get(error, "message"));

	complain(message ? message : "the switch refused it");
	fputc('\n', stderr);
	return CLIENT_REFUSED;
}

/* Connect, if there is no connection that the switch still has. 0 or errno. */
static int connected(struct client *c)
{
	bool lost = c->talk && !talk_alive(c->talk);

	if (lost)
		client_close(c);
	if (!c->talk)
		c->talk = talk_open(c->path);
	if (!c->talk)
		return errno;
	if (lost)
		fputs("vswitchctl: the switch had closed the connection; this is a new one\n",
		    stderr);
	return 0;
}

void client_close(struct client *c)
{
	talk_close(c->talk);
	c->talk = NULL;
}

/*
 * Is there more? Then the parameters say where to go on. A switch that is wrong or hostile could
 * let a client ask for ever: negative errno.
 */
static int go_on(json_t *params, const json_t *result)
{
	json_t *next = json_object_get(result, "next");
	json_int_t from = json_integer_value(json_object_get(params, "from"));

	if (!json_is_integer(next))
		return 0;
	if (json_integer_value(next) <= from || json_integer_value(next) > LIST_NEXT_MAX)
		return -EOVERFLOW;
	json_object_set(params, "from", next);
	return 1;
}

/*
 * The whole of a list that comes in parts, and of which no more than some bytes are kept. As
 * talk_call().
 */
static json_t *call_all(
    struct talk *talk, const char *method, json_t *params, uint64_t bytes_max, json_t **ret_error)
{
	uint64_t end = talk_received(talk) + bytes_max;
	json_t *whole = talk_call(talk, method, params, ret_error), *result;
	int more;

	while ((more = go_on(params, whole)) > 0 && talk_received(talk) < end) {
		result = talk_call(talk, method, params, ret_error);
		if (!result) {
			json_decref(whole);
			return NULL;
		}
		json_array_extend(
		    json_object_get(whole, "entries"), json_object_get(result, "entries"));
		json_object_set(whole, "next", json_object_get(result, "next"));
		json_decref(result);
	}
	if (more == 0)
		return whole;
	json_decref(whole);
	errno = EOVERFLOW;
	return NULL;
}

json_t *client_ask(struct client *c, const char *method)
{
	json_t *params = json_object(), *error = NULL, *result = NULL;

	if (connected(c) == 0)
		result = call_all(c->talk, method, params, COMPLETE_BYTES_MAX, &error);
	if (!result && !error)
		client_close(c);
	json_decref(error);
	json_decref(params);
	return result;
}

/* A table is printed while its parts come. As talk_call(). */
static json_t *call_table(struct talk *talk, const struct command *command, json_t **ret_error)
{
	const struct schema_method *method = command->method;
	struct show_table table;
	json_t *result;
	int more;

	show_begin(&table, schema_object(&schema_switch, method->object), stdout);
	do {
		result = talk_call(talk, method->name, command->params, ret_error);
		if (!result)
			return NULL;
		show_entries(&table, json_object_get(result, "entries"));
		more = go_on(command->params, result);
		if (more)
			json_decref(result);
	} while (more > 0);
	errno = -more;
	return more ? NULL : result;
}

/* There is no result. Takes the reference to the error; NULL: errno says why. */
static enum client_status failed(struct client *c, json_t *error, const char *method)
{
	enum client_status status;

	if (error) {
		status = refused(error);
		json_decref(error);
		return status;
	}
	status = no_answer(c->path, errno, method);
	client_close(c);
	return status;
}

/* Is the result printed as JSON? It is if it can be given to another command, in a file. */
static bool is_json(const struct client *c, const struct schema_method *m)
{
	return c->json || m->gives == SCHEMA_GIVES_SCHEMA ||
	    (m->gives == SCHEMA_GIVES_OBJECT && command_is_document(&schema_switch, m->object));
}

static enum client_status call(struct client *c, const struct command *command)
{
	const struct schema_method *method = command->method;
	bool json = is_json(c, method);
	bool table = method->gives == SCHEMA_GIVES_LIST && !json;
	json_t *error = NULL, *result;

	result = table ? call_table(c->talk, command, &error)
		       : call_all(c->talk, method->name, command->params, LIST_BYTES_MAX, &error);
	if (!result)
		return failed(c, error, method->name);
	if (json)
		text_print_json(result, JSON_INDENT(2), stdout);
	else if (method->gives == SCHEMA_GIVES_OBJECT)
		show_object(
		    &schema_switch, schema_object(&schema_switch, method->object), result, stdout);
	json_decref(result);
	return CLIENT_DONE;
}

static void print_event(const struct client *c, const json_t *event)
{
	const json_t *lost = json_object_get(event, "lost");

	if (!c->json) {
		show_event(event, stdout);
		return;
	}
	text_print_json(event, JSON_COMPACT, stdout);
	fflush(stdout);
	if (lost)
		fprintf(stderr, "vswitchctl: " SHOW_OVERRUN "\n", json_integer_value(lost));
}

/* The connection is of no use afterwards. */
static enum client_status monitor(struct client *c, const struct command *command)
{
	const char *method = command->method->name;
	json_t *refusal, *event, *result = talk_call(c->talk, method, command->params, &refusal);
	int error;

	if (!result)
		return failed(c, refusal, method);
	json_decref(result);
	while ((event = talk_event(c->talk))) {
		print_event(c, event);
		json_decref(event);
	}
	error = errno;
	client_close(c);
	if (error == EINTR)
		return CLIENT_DONE;
	complain("the switch at ");
	text_print(c->path, stderr);
	fprintf(stderr, " has gone: %s\n", error ? error_text(error) : "the connection has ended");
	return CLIENT_NO_SWITCH;
}

enum client_status client_method(struct client *c, int n, char *const words[], bool monitors)
{
	struct command command = {0};
	struct usage_fault fault;
	enum client_status status;
	int error;

	if (command_parse(&schema_switch, n, words, &command, &fault) < 0) {
		json_decref(command.params);
		return client_usage(n, words, &fault);
	}
	error = connected(c);
	if (error)
		status = no_switch(c->path, error);
	else
		status = monitors ? monitor(c, &command) : call(c, &command);
	json_decref(command.params);
	return status;
}

int client_options(struct client *c, int n, char *const words[])
{
	int i = 0;

	for (; i < n; i++) {
		if (strcmp(words[i], "--") == 0)
			continue; /* words follow, or options of a command that is completed */
		if (strcmp(words[i], "-j") == 0 || strcmp(words[i], "--json") == 0)
			c->json = true;
		else if (strncmp(words[i], "--socket=", 9) == 0)
			c->path = words[i] + 9;
		else if (i + 1 < n && (!strcmp(words[i], "-s") || !strcmp(words[i], "--socket")))
			c->path = words[++i];
		else
			break;
	}
	return i;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* vswitchctl: ask a running vswitchd. Words become a request, the result becomes a table. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "command.h"
#include "help.h"
#include "manage/schema_json.h"
#include "show.h"
#include "talk.h"

enum { STATUS_DONE, STATUS_REFUSED, STATUS_USAGE, STATUS_NO_SWITCH, STATUS_NO_ANSWER };

struct options {
	const char *path;
	bool json;
};

/* The words again, a caret under the wrong one, and what was expected. */
static int usage(int n, char *const words[], const struct usage_fault *fault)
{
	unsigned column = 0;

	if (fault->word < 0) {
		fputs("vswitchctl: ", stderr);
		show_text(fault->expected, stderr);
		fputc('\n', stderr);
		return STATUS_USAGE;
	}
	fputs("vswitchctl:", stderr);
	for (int i = 0; i < n; i++) {
		fputc(' ', stderr);
		show_text(words[i], stderr);
		for (const char *c = words[i]; i < fault->word && *c; c++)
			column += ((unsigned char)*c & 0xc0) != 0x80;
		column += i < fault->word;
	}
	fprintf(stderr, "\n%*s^\nexpected: ", (int)(column + strlen("vswitchctl: ")), "");
	show_text(fault->expected, stderr);
	fputc('\n', stderr);
	return STATUS_USAGE;
}

static int no_switch(const char *path, int error)
{
	if (error == EAGAIN) {
		fprintf(stderr, "vswitchctl: the switch at %s does not answer\n", path);
		return STATUS_NO_ANSWER;
	}
	fprintf(stderr, "vswitchctl: no switch at %s: %s\n", path,
	    error ? error_text(error) : "the connection has ended");
	return STATUS_NO_SWITCH;
}

/* The switch may have carried out the method. */
static int no_answer(const char *path, int error, const char *method)
{
	const char *why = error ? error_text(error) : "the connection has ended";

	if (error == EAGAIN)
		why = "none came in time";
	fprintf(stderr,
	    "vswitchctl: no answer from the switch at %s: %s; it is not known whether it did %s\n",
	    path, why, method);
	return STATUS_NO_ANSWER;
}

static int refused(const json_t *error)
{
	fputs("vswitchctl: ", stderr);
	show_text(json_string_value(json_object_get(error, "message")), stderr);
	fputc('\n', stderr);
	return STATUS_REFUSED;
}

static void print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
}

/* Is there more? Then the parameters say where to go on. */
static bool go_on(json_t *params, const json_t *result)
{
	json_t *next = json_object_get(result, "next");

	if (!json_is_integer(next))
		return false;
	json_object_set(params, "from", next);
	return true;
}

static void show_result(
    const struct schema_method *method, const json_t *result, bool first, bool json)
{
	const struct schema_object *object = schema_object(&schema_switch, method->object);

	if (json || method->gives == SCHEMA_GIVES_SCHEMA)
		print_json(result);
	else if (method->gives == SCHEMA_GIVES_LIST)
		show_list(
		    &schema_switch, object, json_object_get(result, "entries"), first, stdout);
	else if (method->gives == SCHEMA_GIVES_OBJECT)
		show_object(&schema_switch, object, result, stdout);
}

/* A long list comes in parts; as JSON it is printed as a whole. */
static int call(const struct options *o, struct talk *talk, const struct command *command)
{
	json_t *whole = NULL, *result, *error;
	bool first = true, more;
	int status = STATUS_DONE;

	do {
		result = talk_call(talk, command->method->name, command->params, &error);
		if (!result) {
			status = error ? refused(error)
				       : no_answer(o->path, errno, command->method->name);
			break;
		}
		more = go_on(command->params, result);
		if (o->json && whole)
			json_array_extend(
			    json_object_get(whole, "entries"), json_object_get(result, "entries"));
		else if (o->json)
			whole = json_incref(result);
		else
			show_result(command->method, result, first, false);
		json_decref(result);
		first = false;
	} while (more);
	json_decref(error);
	if (whole && json_object_get(whole, "next"))
		json_object_set_new(whole, "next", json_null());
	if (whole && status == STATUS_DONE)
		show_result(command->method, whole, true, true);
	json_decref(whole);
	return status;
}

static int monitor(const struct options *o, struct talk *talk)
{
	json_t *params = json_object(), *error, *event;
	json_t *result = talk_call(talk, "subscribe", params, &error);
	int status = STATUS_DONE;

	if (!result)
		status = error ? refused(error) : no_answer(o->path, errno, "subscribe");
	json_decref(params);
	json_decref(result);
	json_decref(error);
	if (status)
		return status;
	while ((event = talk_event(talk))) {
		if (o->json) {
			json_dumpf(event, stdout, JSON_COMPACT);
			putchar('\n');
			fflush(stdout);
		} else {
			show_event(event, stdout);
		}
		json_decref(event);
	}
	return no_switch(o->path, errno);
}

static int run(const struct options *o, int n, char *const words[])
{
	struct command command = {0};
	struct usage_fault fault;
	bool monitors = strcmp(words[0], "monitor") == 0;
	struct talk *talk;
	int status = STATUS_DONE;

	if (monitors && n > 1) {
		fault = (struct usage_fault){1, "no more words"};
		return usage(n, words, &fault);
	}
	if (!monitors && command_parse(&schema_switch, n, words, &command, &fault) < 0)
		status = usage(n, words, &fault);
	if (status) {
		json_decref(command.params);
		return status;
	}
	talk = talk_open(o->path);
	if (!talk)
		status = no_switch(o->path, errno);
	else
		status = monitors ? monitor(o, talk) : call(o, talk, &command);
	json_decref(command.params);
	talk_close(talk);
	return status;
}

static int help(int n, char *const words[])
{
	struct usage_fault fault = {0, "a command, such as: help port list"};

	if (help_print(&schema_switch, n, words, stdout) == 0)
		return STATUS_DONE;
	return usage(n, words, &fault);
}

/*
 * Commands that need no switch. -1: it is none. "complete" and "describe" are for scripts: the
 * first one for completion, the second one for scripts/reference-doc.
 */
static int local(const struct options *o, int n, char *const words[])
{
	struct usage_fault fault = {1, "bash"};

	if (n == 0 || strcmp(words[0], "help") == 0)
		return help(MAX(n - 1, 0), words + MIN(n, 1));
	if (strcmp(words[0], "describe") == 0) {
		json_t *json = schema_to_json(&schema_switch);

		print_json(json);
		json_decref(json);
		return STATUS_DONE;
	}
	if (strcmp(words[0], "complete") == 0) {
		int skip = n > 1 && strcmp(words[1], "--") == 0 ? 2 : 1;

		help_complete(&schema_switch, o->path, n - skip, words + skip, stdout);
		return STATUS_DONE;
	}
	if (strcmp(words[0], "completion") != 0)
		return -1;
	if (n != 2 || strcmp(words[1], "bash") != 0)
		return usage(n, words, &fault);
	help_bash(stdout);
	return STATUS_DONE;
}

int main(int argc, char *argv[])
{
	static const struct option longopts[] = {{"json", no_argument, NULL, 'j'},
	    {"socket", required_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'}, {0}};
	struct options o = {.path = talk_default_path()};
	int c, status;

	while ((c = getopt_long(argc, argv, "+js:hV", longopts, NULL)) != -1) {
		switch (c) {
		case 'j':
			o.json = true;
			break;
		case 's':
			o.path = optarg;
			break;
		case 'h':
			return help(0, NULL);
		case 'V':
			puts("vswitchctl " VSWITCHD_VERSION);
			return STATUS_DONE;
		default:
			fputs("vswitchctl: see vswitchctl --help\n", stderr);
			return STATUS_USAGE;
		}
	}
	status = local(&o, argc - optind, argv + optind);
	return status >= 0 ? status : run(&o, argc - optind, argv + optind);
}

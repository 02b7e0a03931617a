/* SPDX-License-Identifier: BSD-3-Clause */
#include "run.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "command.h"
#include "complete.h"
#include "help.h"
#include "manage/schema_json.h"
#include "text.h"

static enum client_status help(const struct client *c, int n, char *const words[])
{
	struct usage_fault fault;

	if (help_print(&schema_switch, n - 1, words + 1, c->shell, stdout, &fault) == 0)
		return CLIENT_DONE;
	fault.word++;
	return client_usage(n, words, &fault);
}

static enum client_status completion(int n, char *const words[])
{
	bool bash = n > 1 && strcmp(words[1], "bash") == 0;
	struct usage_fault fault;

	if (n != 2 || !bash) {
		candidates_fault_at(&fault, bash ? 2 : 1, bash ? "no more words" : "bash");
		return client_usage(n, words, &fault);
	}
	complete_bash(stdout);
	return CLIENT_DONE;
}

/* "complete" and "describe" are for scripts: for completion, and for scripts/reference-doc. */
static bool for_scripts(struct client *c, int n, char *const words[])
{
	json_t *json;

	if (strcmp(words[0], "complete") == 0) {
		complete_print(c, n - 1, words + 1, stdout);
		return true;
	}
	if (strcmp(words[0], "describe") != 0)
		return false;
	json = schema_to_json(&schema_switch);
	text_print_json(json, JSON_INDENT(2), stdout);
	json_decref(json);
	return true;
}

static bool asks_for_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* The words of a command, and an option at the end. */
static enum client_status help_at_end(const struct client *c, int n, char *const words[])
{
	struct usage_fault fault;

	if (help_print(&schema_switch, n - 1, words, c->shell, stdout, &fault) == 0)
		return CLIENT_DONE;
	return client_usage(n, words, &fault);
}

enum client_status run_words(struct client *c, int n, char *const words[])
{
	enum command_local local = command_local(&schema_switch, words[0]);

	if (asks_for_help(words[n - 1]) && strcmp(words[0], "complete") != 0)
		return help_at_end(c, n, words);
	if (local == COMMAND_HELP)
		return help(c, n, words);
	if (local == COMMAND_COMPLETION)
		return completion(n, words);
	if (for_scripts(c, n, words))
		return CLIENT_DONE;
	return client_method(c, n, words, local == COMMAND_MONITOR);
}

enum client_status run_word(struct client *c, const char *word)
{
	char text[SCHEMA_NAME_MAX];
	char *const words[] = {text, NULL};

	snprintf(text, sizeof(text), "%s", word);
	return run_words(c, 1, words);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a configuration file. What is read passes the checks of requests, means the same as
 * JSON, and a fault has a place and a message.
 */
#include <jansson.h>

#include "input.h"
#include "manage/check.h"
#include "manage/yaml.h"

static const char *const colours[] = {"red", "green", NULL};

static const struct schema_field inner_fields[] = {
    {.name = "inner", .type = SCHEMA_OBJECT, .object = "inner", .about = "itself"},
    {.name = "size", .type = SCHEMA_UINT, .max = 9999, .about = "size"},
    {0},
};

static const struct schema_field fields[] = {
    {.name = "name", .type = SCHEMA_STRING, .min = 1, .max = 8, .about = "name"},
    {.name = "on", .type = SCHEMA_BOOL, .about = "whether"},
    {.name = "count", .type = SCHEMA_UINT, .max = SCHEMA_UINT_MAX, .about = "how many"},
    {.name = "file", .type = SCHEMA_PATH, .about = "a file"},
    {.name = "mac", .type = SCHEMA_MAC, .about = "an address"},
    {.name = "trunk", .type = SCHEMA_VLANS, .about = "VLANs"},
    {.name = "colours",
	.type = SCHEMA_WORD,
	.flags = SCHEMA_LIST,
	.words = colours,
	.about = "colours"},
    {.name = "inner",
	.type = SCHEMA_OBJECT,
	.flags = SCHEMA_LIST,
	.object = "inner",
	.about = "objects"},
    {0},
};

static const struct schema_object objects[] = {
    {"thing", "A thing", fields},
    {"inner", "Its parts", inner_fields},
    {0},
};

static const struct schema_method methods[] = {
    {"thing.add", "thing", SCHEMA_TAKES_NEW, NULL, SCHEMA_GIVES_NOTHING, .about = "Add"},
    {0},
};

static const struct schema schema = {objects, methods};

/* JSON may have characters in a text that YAML does not allow. */
static bool is_plain(const char *text)
{
	while (*text >= ' ' && *text <= '~')
		text++;
	return *text == '\0';
}

/* It passes as a request, and its JSON text is YAML with the same meaning. */
static void assert_right(json_t *json)
{
	struct manage_error error = {0};
	struct yaml_fault fault;
	json_t *params = check_params(&schema, methods, json, &error), *again;
	char *text = json_dumps(json, JSON_COMPACT);

	promise(params != NULL && text != NULL);
	if (is_plain(text)) {
		again = yaml_read(&schema, objects, text, strlen(text), &fault);
		promise(again != NULL && json_equal(again, json));
		json_decref(again);
	}
	json_decref(params);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yaml_fault fault;
	json_t *json = yaml_read(&schema, objects, (const char *)data, size, &fault);

	promise(json || (fault.message[0] && fault.line && fault.column));
	if (json)
		assert_right(json);
	json_decref(json);
	return 0;
}

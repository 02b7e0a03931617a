/* SPDX-License-Identifier: BSD-3-Clause */
/* A schema with every type and every kind of method. */
#pragma once

#include "manage/schema.h"

static const char *const colours[] = {"red", "green", NULL};

static const struct schema_field part_fields[] = {
    {.name = "size", .type = SCHEMA_UINT, .max = 9, .about = "size"},
    {0},
};

static const struct schema_field thing_fields[] = {
    {.name = "name",
	.type = SCHEMA_STRING,
	.flags = SCHEMA_KEY,
	.min = 1,
	.max = 8,
	.about = "name"},
    {.name = "on", .type = SCHEMA_BOOL, .preset = "true", .about = "whether it is on"},
    {.name = "count",
	.type = SCHEMA_UINT,
	.min = 2,
	.max = 16,
	.unit = "bytes",
	.flags = SCHEMA_REQUIRED,
	.about = "how many"},
    {.name = "file_name", .type = SCHEMA_PATH, .flags = SCHEMA_CREATE, .about = "a file"},
    {.name = "mac", .type = SCHEMA_MAC, .about = "an address"},
    {.name = "trunk", .type = SCHEMA_VLANS, .about = "VLANs"},
    {.name = "colour", .type = SCHEMA_WORD, .words = colours, .about = "a colour"},
    {.name = "colours",
	.type = SCHEMA_WORD,
	.flags = SCHEMA_LIST,
	.list_max = 3,
	.words = colours,
	.about = "some colours"},
    {.name = "parts",
	.type = SCHEMA_OBJECT,
	.flags = SCHEMA_LIST,
	.object = "part",
	.about = "its parts"},
    {.name = "alias", .type = SCHEMA_STRING, .flags = SCHEMA_NULL, .about = "another name"},
    {.name = "frames",
	.type = SCHEMA_UINT,
	.max = SCHEMA_UINT_MAX,
	.flags = SCHEMA_READ_ONLY | SCHEMA_NULL,
	.about = "frames so far"},
    {0},
};

static const struct schema_object small_objects[] = {
    {"thing", "A thing", thing_fields},
    {"part", "A part of a thing", part_fields},
    {0},
};

static const struct schema_field exist_ok[] = {
    {.name = "exist_ok", .type = SCHEMA_BOOL, .preset = "false", .about = "it may exist"},
    {0},
};

static const struct schema_method small_methods[] = {
    {"thing.add", "thing", SCHEMA_TAKES_NEW, exist_ok, SCHEMA_GIVES_OBJECT, .about = "Add a thing"},
    {"thing.set", "thing", SCHEMA_TAKES_CHANGES, NULL, SCHEMA_GIVES_NOTHING,
	.about = "Change a thing"},
    {"thing.show", "thing", SCHEMA_TAKES_KEY, NULL, SCHEMA_GIVES_OBJECT, .about = "Show a thing"},
    {"thing.list", "thing", SCHEMA_TAKES_NONE, NULL, SCHEMA_GIVES_LIST, .about = "List things"},
    {"fail", NULL, SCHEMA_TAKES_NONE, NULL, SCHEMA_GIVES_NOTHING, .about = "Fail"},
    {"watch", NULL, SCHEMA_TAKES_NONE, NULL, SCHEMA_GIVES_NOTHING,
	.about = "Subscribe to all events"},
    {"slow", NULL, SCHEMA_TAKES_NONE, NULL, SCHEMA_GIVES_NOTHING, .about = "Take long",
	.changes = true},
    {0},
};

static const struct schema small_schema = {small_objects, small_methods};

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables as JSON Schema (draft 2020-12). "$defs" has the objects. "methods" has for each method
 * a description, the schema of its parameters and of its result. "errors" and "events" name what
 * there is. Units and flags that JSON Schema does not have are members that begin with "x-".
 *
 * Threads: functions without state.
 */
#pragma once

#include <jansson.h>

#include "manage/schema.h"

/* A new object; NULL: no memory. */
json_t *schema_to_json(const struct schema *schema);

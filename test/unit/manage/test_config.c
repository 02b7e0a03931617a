/* SPDX-License-Identifier: BSD-3-Clause */
/* What has to be done so that one list of objects becomes another. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "manage/config.h"
#include "small_schema.h"

#define DEFAULTS "{\"on\": true, \"count\": 2}"

/* The changes as words: "add a; replace b file_name; " */
static void becomes(const char *now, const char *then, const char *expected)
{
	json_t *before = json_loads(now, 0, NULL), *after = json_loads(then, 0, NULL);
	json_t *defaults = json_loads(DEFAULTS, 0, NULL);
	struct manage_error error = {0};
	struct config_changes changes;
	char text[512] = "";
	size_t n = 0;

	assert_true(before && after && defaults);
	assert_int_equal(config_compare(schema_object(&small_schema, "thing"), before, after,
			     defaults, "test", &changes, &error),
	    0);
	for (size_t i = 0; i < changes.n; i++) {
		const struct config_change *c = &changes.change[i];

		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s %s%s%s; ",
		    config_action_name(c->action), c->name, c->because ? " " : "",
		    c->because ? c->because : "");
	}
	assert_string_equal(text, expected);
	free(changes.change);
	json_decref(before);
	json_decref(after);
	json_decref(defaults);
}

#define A      "{\"name\": \"a\", \"count\": 3}"
#define A_SAME "{\"count\": 3, \"on\": true, \"name\": \"a\"}"
#define A_OFF  "{\"name\": \"a\", \"count\": 3, \"on\": false}"
#define A_FILE "{\"name\": \"a\", \"on\": false, \"file_name\": \"/x\"}"
#define B      "{\"name\": \"b\", \"frames\": 7}"

static void what_differs_is_found(void **state)
{
	(void)state;
	becomes("[]", "[]", "");
	becomes("[" A "]", "[" A_SAME "]", "");
	becomes("[" A_SAME "]", "[" A "]", "");
	becomes("[]", "[" A "," B "]", "add a; add b; ");
	becomes("[" A "," B "]", "[]", "del a; del b; ");
	becomes("[" A "," B "]", "[" B "]", "del a; ");
	becomes("[" A "]", "[" A_OFF "]", "set a on; ");
	becomes("[" A_OFF "]", "[" A "]", "set a on; ");
	becomes("[" A "]", "[" A_FILE "]", "replace a file_name; ");
	becomes("[" A_FILE "," B "]", "[{\"name\": \"c\"}," A "]",
	    "del b; add c; replace a file_name; ");
	/* What only the switch tells does not count. */
	becomes("[" B "]", "[{\"name\": \"b\"}]", "");
}

static void a_key_is_there_once(void **state)
{
	json_t *none = json_array(), *twice = json_loads("[" A "," B "," A_OFF "]", 0, NULL);
	struct config_changes changes;
	struct manage_error error = {0};

	(void)state;
	assert_int_equal(config_compare(schema_object(&small_schema, "thing"), none, twice, NULL,
			     "test", &changes, &error),
	    -EEXIST);
	assert_string_equal(error.message, "test: name: \"a\" is not there once");
	json_decref(error.data);
	json_decref(none);
	json_decref(twice);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_differs_is_found),
	    cmocka_unit_test(a_key_is_there_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

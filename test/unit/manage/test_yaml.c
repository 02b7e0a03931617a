/* SPDX-License-Identifier: BSD-3-Clause */
/* YAML by the tables: what scalars mean, and where a fault is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "manage/yaml.h"
#include "small_schema.h"

static json_t *read_text(const char *text, size_t n, struct yaml_fault *fault)
{
	/* A copy of this size, so that a sanitizer sees a read beyond it. */
	char *exact = malloc(n + !n);
	json_t *json;

	assert_non_null(exact);
	memcpy(exact, text, n);
	json = yaml_read(&small_schema, schema_object(&small_schema, "thing"), exact, n, fault);
	free(exact);
	return json;
}

static void means(const char *text, const char *expected)
{
	struct yaml_fault fault;
	json_t *json = read_text(text, strlen(text), &fault);
	json_t *right = json_loads(expected, 0, NULL);

	assert_non_null(right);
	if (!json)
		fail_msg("%s: %u:%u: %s", text, fault.line, fault.column, fault.message);
	if (!json_equal(json, right))
		fail_msg("%s means %s", text, json_dumps(json, 0));
	json_decref(json);
	json_decref(right);
}

static void faulty(const char *text, unsigned line, unsigned column, const char *message)
{
	struct yaml_fault fault;
	json_t *json = read_text(text, strlen(text), &fault);

	if (json)
		fail_msg("%s passed", text);
	if (fault.line != line || fault.column != column || !strstr(fault.message, message))
		fail_msg("%s: %u:%u: %s", text, fault.line, fault.column, fault.message);
}

static void scalars_have_the_types_of_their_fields(void **state)
{
	(void)state;
	means("name: no", "{\"name\": \"no\"}");
	means("name: 010", "{\"name\": \"010\"}");
	means("name: 1e3", "{\"name\": \"1e3\"}");
	means("name: null", "{\"name\": \"null\"}");
	means("name: \"~\"", "{\"name\": \"~\"}");
	means("count: 010", "{\"count\": 10}");
	means("on: no", "{\"on\": false}");
	means("on: yes", "{\"on\": true}");
	means("on: \"true\"", "{\"on\": true}");
	means("mac: 52:54:00:00:00:01", "{\"mac\": \"52:54:00:00:00:01\"}");
	means("mac: 11:22:33:44:55:06", "{\"mac\": \"11:22:33:44:55:06\"}");
	means("trunk: 10", "{\"trunk\": \"10\"}");
	means("trunk: 10,20-29", "{\"trunk\": \"10,20-29\"}");
}

static void objects_and_lists(void **state)
{
	(void)state;
	means("", "{}");
	means("# only a comment\n", "{}");
	means("{}", "{}");
	means("---\nname: a\n...\n", "{\"name\": \"a\"}");
	means("\xef\xbb\xbfname: \"%a\"\n", "{\"name\": \"%a\"}");
	means("{\"name\": \"a\", \"on\": true, \"parts\": [{\"size\": 3}, {}]}",
	    "{\"name\": \"a\", \"on\": true, \"parts\": [{\"size\": 3}, {}]}");
	means("name: a\nfile-name: /b\ncolours: [red, green]\nparts:\n  - size: 1\n  - {size: 2}\n",
	    "{\"name\": \"a\", \"file_name\": \"/b\", \"colours\": [\"red\", \"green\"], "
	    "\"parts\": [{\"size\": 1}, {\"size\": 2}]}");
}

static void faults_have_a_place(void **state)
{
	(void)state;
	faulty("name: a\nnmae: b\n", 2, 1, "thing has no \"nmae\"; did you mean name?");
	faulty("name: a\non: true\nname: b\n", 3, 1, "name is there twice");
	faulty("file_name: /a\nfile-name: /b\n", 2, 1, "file_name is there twice");
	faulty("name: a\ncount: 1\n", 2, 8, "count: \"1\" is not a number of bytes, 2 to 16");
	faulty("count: 0x10", 1, 8, "is not a number");
	faulty("count: -2", 1, 8, "is not a number");
	faulty("count: 99999999999999999999", 1, 8, "is not a number");
	faulty("count: \"\"", 1, 8, "is not a number");
	faulty("on: maybe", 1, 5, "is not true or false");
	faulty(
	    "parts:\n  - size: 1\n  - sice: 2\n", 3, 5, "part has no \"sice\"; did you mean size?");
	faulty("parts:\n  - size: 10\n", 2, 11, "size: \"10\" is not a number");
	faulty("colours: red", 1, 10, "must be a list");
	faulty("colours: [red, red, red, red]", 1, 26, "colours: more than 3 are not possible");
	faulty("colours: [red, blue]", 1, 16, "\"blue\" is not one of red, green");
	faulty("name: [a]", 1, 7, "name: here must be a text");
	faulty("parts: [3]", 1, 9, "parts: here must be");
	faulty("frames: 3", 1, 1, "thing has no \"frames\"");
	faulty("- name: a", 1, 1, "here must be names with values");
	faulty("just words", 1, 1, "here must be names with values");
	faulty("[a]: b", 1, 1, "here must be a name");
	faulty("name: a\n  on: true\n", 2, 5, "mapping values");
	faulty("name: \"a\n", 2, 1, "");
	faulty("\tname: a", 1, 1, "not with tabs");
	faulty("on: true\nparts:\n \t- size: 1", 3, 2, "not with tabs");
	faulty("on: true\nname: \xc3\xa4\xff", 2, 8, "UTF-8");
	faulty("name: &x a\n", 1, 7, "anchors");
	faulty("name: *x\n", 1, 7, "anchors");
	faulty("name: !!str a\n", 1, 7, "anchors");
	faulty("name: a\n---\nname: b\n", 2, 1, "second document");
	faulty("%YAML 1.1\n---\nname: a\n", 1, 1, "begins with %");
	faulty("\xef\xbb\xbf%TAG !a! b\n---\nname: a\n", 1, 2, "begins with %");
	faulty("name: a\n...\n%TAG !a! b\n---\n", 3, 1, "begins with %");
	faulty("# a\r%TAG !a! b\n---\n", 1, 5, "begins with %");
	faulty("# a\xe2\x80\xa8%TAG !a! b\n---\n", 1, 5, "begins with %");
	faulty("\xff\xfe%", 1, 1, "UTF-16");
	faulty("name: \"a\\0b\"", 1, 7, "is not a text");
	faulty("name: \"a\\nb\"", 1, 7, "is not a text without control characters");
	faulty("\"na\\0me\": b", 1, 1, "here must be a name");
}

/* Each of them would be compared with all before. */
static void many_directives_cost_little(void **state)
{
	static const char line[] = "%TAG !aaaaa! x\n";
	static char text[YAML_BYTES_MAX];
	int64_t start = clock_read(CLOCK_PROCESS_CPUTIME_ID);
	struct yaml_fault fault;
	size_t n = 0;

	(void)state;
	for (unsigned i = 0; n + sizeof(line) < sizeof(text); i++) {
		memcpy(text + n, line, sizeof(line));
		for (unsigned k = 0; k < 5; k++)
			text[n + 6 + k] = (char)('a' + (i >> (4 * k)) % 16);
		n += strlen(line);
	}
	assert_null(read_text(text, n, &fault));
	assert_true(clock_read(CLOCK_PROCESS_CPUTIME_ID) - start < INT64_C(1000000000));
}

static void any_part_of_a_file_is_read_or_refused(void **state)
{
	static const char text[] =
	    "name: a\nparts:\n  - size: 1\n  - {size: 2}\ncolours: [red, \"green\"]\nmac: "
	    "'52:54:00:00:00:01'\n";

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		struct yaml_fault fault;
		json_t *json = read_text(text, n, &fault);

		assert_true(json || fault.message[0]);
		json_decref(json);
	}
}

static void large_and_deep_files_are_refused(void **state)
{
	char *text = malloc(YAML_BYTES_MAX + 1);
	struct yaml_fault fault;

	(void)state;
	assert_non_null(text);
	memset(text, '[', YAML_BYTES_MAX + 1);
	assert_null(read_text(text, YAML_BYTES_MAX + 1, &fault));
	assert_null(read_text(text, YAML_BYTES_MAX, &fault));
	memcpy(text, "parts: ", 7);
	assert_null(read_text(text, YAML_BYTES_MAX, &fault));
	memset(text + 7, '{', YAML_BYTES_MAX - 7);
	assert_null(read_text(text, YAML_BYTES_MAX, &fault));
	free(text);
}

static void located(
    const char *text, size_t index, const char *field, unsigned line, unsigned column)
{
	struct yaml_fault at;

	yaml_locate(text, strlen(text), "parts", index, field, &at);
	if (at.line != line || at.column != column)
		fail_msg("%zu, %s: %u:%u", index, field ? field : "", at.line, at.column);
}

static void places_are_found_again(void **state)
{
	static const char text[] = "name: a\n"
				   "colours: [red, green]\n"
				   "parts:\n"
				   "  - size: 1\n"
				   "    other: {a: [1, 2]}\n"
				   "  - {other: 2, size: 3}\n";

	(void)state;
	located(text, 0, "size", 4, 11);
	located(text, 1, "size", 6, 22);
	located(text, 1, "other", 6, 13);
	located(text, 1, "absent", 6, 5);
	located(text, 1, NULL, 6, 5);
	located(text, 2, "size", 4, 3);
	located("name: a", 0, "size", 1, 1);
	located("parts: 3", 0, "size", 1, 8);
	located("", 0, "size", 1, 1);
	located("parts: [", 0, "size", 1, 8);
}

/* What is written is read as the same. */
static void written(const char *json, const char *expected)
{
	json_t *object = json_loads(json, 0, NULL), *again;
	struct yaml_fault fault;
	size_t n;
	char *text;

	assert_non_null(object);
	text = yaml_write(object, &n);
	assert_non_null(text);
	assert_int_equal(strlen(text), n);
	if (expected)
		assert_string_equal(text, expected);
	again = read_text(text, n, &fault);
	if (!again)
		fail_msg("%s: %u:%u: %s", text, fault.line, fault.column, fault.message);
	assert_true(json_equal(object, again));
	json_decref(object);
	json_decref(again);
	free(text);
}

static void objects_are_written_so_that_they_can_be_read(void **state)
{
	(void)state;
	written("{\"name\": \"a: #b\", \"on\": false, \"count\": 7, \"parts\": [{\"size\": 1}, "
		"{\"size\": 2}, "
		"{}], \"colours\": [\"red\", \"green\"]}",
	    "name: \"a: #b\"\n"
	    "on: false\n"
	    "count: 7\n"
	    "parts:\n"
	    "  - size: 1\n"
	    "  - size: 2\n"
	    "  - {}\n"
	    "colours:\n"
	    "  - \"red\"\n"
	    "  - \"green\"\n");
	written("{}", "");
	written("{\"parts\": [], \"colours\": []}", "parts: []\ncolours: []\n");
	written("{\"name\": \"\\u00e4\\u20ac\"}", "name: \"\\U000000e4\\U000020ac\"\n");
	written("{\"file_name\": \"/\\ufffe\\uffff\\u2028\\ufeff\\\\\\\"'%-&*!\"}", NULL);
	written("{\"name\": \"no\", \"file_name\": \"/ \"}", NULL);
	written("{\"name\": \" - \"}", NULL);
	written("{\"name\": \"\\ud83d\\ude00\"}", "name: \"\\U0001f600\"\n");
	written("{\"name\": \"\\udbff\\udfff\"}", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(scalars_have_the_types_of_their_fields),
	    cmocka_unit_test(objects_and_lists),
	    cmocka_unit_test(faults_have_a_place),
	    cmocka_unit_test(many_directives_cost_little),
	    cmocka_unit_test(any_part_of_a_file_is_read_or_refused),
	    cmocka_unit_test(large_and_deep_files_are_refused),
	    cmocka_unit_test(places_are_found_again),
	    cmocka_unit_test(objects_are_written_so_that_they_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

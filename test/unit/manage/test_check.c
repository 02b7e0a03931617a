/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters against a table: what passes, and what each fault is told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "manage/check.h"
#include "small_schema.h"

static unsigned texts; /* made for errors */

const char *__real_schema_expected(const struct schema_field *field, char *text, size_t room);
const char *__wrap_schema_expected(const struct schema_field *field, char *text, size_t room);

const char *__wrap_schema_expected(const struct schema_field *field, char *text, size_t room)
{
	texts++;
	return __real_schema_expected(field, text, room);
}

static json_t *check(const char *method, const char *text, struct manage_error *ret_error)
{
	json_t *params = json_loads(text, JSON_DECODE_ANY, NULL), *out;

	assert_non_null(params);
	*ret_error = (struct manage_error){0};
	out = check_params(&small_schema, schema_method(&small_schema, method), params, ret_error);
	json_decref(params);
	return out;
}

static void passes(const char *method, const char *text, const char *expected)
{
	struct manage_error error;
	json_t *out = check(method, text, &error), *right = json_loads(expected, 0, NULL);

	if (!out)
		fail_msg("%s %s: %s", method, text, error.message);
	if (!json_equal(out, right))
		fail_msg("%s %s became %s", method, text, json_dumps(out, 0));
	json_decref(out);
	json_decref(right);
}

/* field and expected are what the data say; expected may be a part of it. */
static void fails(const char *method, const char *text, const char *field, const char *expected)
{
	struct manage_error error;
	json_t *out = check(method, text, &error);

	if (out)
		fail_msg("%s %s passed", method, text);
	assert_int_equal(error.code, MANAGE_PARAMS);
	assert_string_equal(json_string_value(json_object_get(error.data, "field")), field);
	if (!strstr(json_string_value(json_object_get(error.data, "expected")), expected))
		fail_msg("%s %s: expected %s", method, text,
		    json_string_value(json_object_get(error.data, "expected")));
	if (!strstr(error.message, field))
		fail_msg("'%s' does not name %s", error.message, field);
	json_decref(error.data);
}

#define NEW(more) "{\"name\": \"a\", \"count\": 2" more "}"

static void each_type_passes_and_fails(void **state)
{
	(void)state;
	passes("thing.set", "{\"name\": \"a\", \"on\": false}", "{\"name\": \"a\", \"on\": false}");
	fails("thing.set", "{\"name\": \"a\", \"on\": 1}", "on", "true or false");
	fails("thing.set", "{\"name\": \"\"}", "name", "1 to 8 bytes");
	fails("thing.set", "{\"name\": \"ninechars\"}", "name", "1 to 8 bytes");
	fails("thing.set", "{\"name\": 7}", "name", "a text");
	fails("thing.set", NEW(", \"alias\": null"), "alias", "a text");
	fails("thing.set", NEW(", \"alias\": \"a\\nb\""), "alias", "without control");
	fails("thing.set", NEW(", \"alias\": \"\\u007f\""), "alias", "without control");
	fails("thing.set", NEW(", \"alias\": \"\\u009b\""), "alias", "without control");
	fails(
	    "thing.add", NEW(", \"file_name\": \"/a\\u001b[31m\""), "file_name", "without control");
	passes("thing.set", NEW(", \"alias\": \"\\u00e9\\u00a0\\u20ac\""),
	    NEW(", \"alias\": \"\\u00e9\\u00a0\\u20ac\""));
	fails("thing.set", NEW(", \"mac\": \"52:54:00:00:00:0g\""), "mac", "MAC address");
	fails("thing.set", NEW(", \"mac\": \"52:54:00:00:00:011\""), "mac", "MAC address");
	fails("thing.set", NEW(", \"colour\": \"blue\""), "colour", "one of red, green");
	fails("thing.set", NEW(", \"colours\": \"red\""), "colours", "a list");
	fails("thing.set", NEW(", \"colours\": [\"red\", 1]"), "colours", "red, green");
	fails("thing.add", NEW(", \"file_name\": \"here\""), "file_name", "begins with /");
	passes("thing.set",
	    NEW(", \"mac\": \"52:54:00:aB:00:01\", \"trunk\": \"1\", \"colours\": []"),
	    NEW(", \"mac\": \"52:54:00:aB:00:01\", \"trunk\": \"1\", \"colours\": []"));
	passes("thing.set", NEW(", \"parts\": [{\"size\": 9}, {}]"),
	    NEW(", \"parts\": [{\"size\": 9}, {}]"));
	fails("thing.set", NEW(", \"parts\": [{\"size\": 10}]"), "size", "0 to 9");
	fails("thing.set", NEW(", \"parts\": [{\"sice\": 1}]"), "sice", "size");
}

static void numbers_have_a_range(void **state)
{
	static const char *const wrong[] = {"1", "17", "-1", "2.0", "\"2\"", "true", "null",
	    "9223372036854775807", "-9223372036854775808", "[2]"};
	char text[128];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(text, sizeof(text), "{\"name\": \"a\", \"count\": %s}", wrong[i]);
		fails("thing.set", text, "count", "a number of bytes, 2 to 16");
	}
	passes("thing.set", "{\"name\": \"a\", \"count\": 16}", "{\"name\": \"a\", \"count\": 16}");
}

static void vlan_lists_are_read(void **state)
{
	static const char *const right[] = {"1", "4094", "1-4094", "10,20-29", "3,2,1", "5-5"};
	static const char *const wrong[] = {"", "0", "4095", "1-4095", "2-1", "1,", ",1", "1--2",
	    "a", "1 ,2", "1,1", "1-3,2", "00001", "1-", "-1", "99999999999999999999"};
	uint64_t map[CHECK_VLANS / 64] = {0};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(right); i++)
		if (!check_vlans(right[i], NULL))
			fail_msg("'%s' was refused", right[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		if (check_vlans(wrong[i], NULL))
			fail_msg("'%s' passed", wrong[i]);
	assert_true(check_vlans("1,63-64,4094", map));
	assert_int_equal(map[0], UINT64_C(1) << 63 | 2);
	assert_int_equal(map[1], 1);
	assert_int_equal(map[63], UINT64_C(1) << 62);
}

static void mac_addresses_are_read(void **state)
{
	uint64_t mac;

	(void)state;
	assert_true(check_mac("52:54:00:00:AB:0f", &mac));
	assert_int_equal(mac, UINT64_C(0x0fab00005452));
	assert_false(check_mac("52-54-00-00-00-01", &mac));
	assert_false(check_mac("52:54:00:00:00", &mac));
	assert_false(check_mac("", &mac));
}

static void methods_take_what_they_are_for(void **state)
{
	(void)state;
	passes("thing.add", NEW(""), NEW(", \"on\": true, \"exist_ok\": false"));
	passes("thing.add", NEW(", \"exist_ok\": true, \"file_name\": \"/a\""),
	    NEW(", \"on\": true, \"exist_ok\": true, \"file_name\": \"/a\""));
	fails("thing.add", "{\"name\": \"a\"}", "count", "a number");
	fails("thing.set", "{\"count\": 2}", "name", "a text");
	fails("thing.set", NEW(", \"file_name\": \"/a\""), "file_name", "one of");
	fails("thing.add", NEW(", \"frames\": 1"), "frames", "one of");
	fails("thing.show", NEW(""), "count", "name");
	fails("thing.list", "{\"name\": \"a\"}", "name", "nothing");
	passes("thing.list", "{}", "{}");
}

static void names_are_forgiving_and_checked(void **state)
{
	(void)state;
	passes("thing.add", NEW(", \"file-name\": \"/a\", \"exist-ok\": true"),
	    NEW(", \"on\": true, \"exist_ok\": true, \"file_name\": \"/a\""));
	fails("thing.add", NEW(", \"file-name\": \"/a\", \"file_name\": \"/b\""), "file_name",
	    "once");
	fails("thing.add", NEW(", \"conut\": 3"), "conut", "count");
	fails("thing.add", NEW(", \"xyzxyz\": 3"), "xyzxyz", "one of name, on, count");
	fails("thing.add", "[1]", "params", "an object");
	fails("thing.add", "7", "params", "an object");
}

static void large_values_are_not_repeated(void **state)
{
	static char text[70000];
	struct manage_error error;
	const char *value;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "{\"name\": \"a\", \"mac\": \"", 22);
	memcpy(text + sizeof(text) - 3, "\"}", 3);
	assert_null(check("thing.set", text, &error));
	value = json_string_value(json_object_get(error.data, "value"));
	assert_in_range(strlen(value), 1, 64);
	json_decref(error.data);
	/* The name of an unknown parameter, too. */
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "{\"", 2);
	memcpy(text + sizeof(text) - 6, "\": 1}", 6);
	assert_null(check("thing.set", text, &error));
	value = json_string_value(json_object_get(error.data, "field"));
	assert_in_range(strlen(value), 1, 64);
	json_decref(error.data);
}

static void results_are_checked(void **state)
{
	static const struct {
		const char *method, *result;
		bool right;
	} cases[] = {
	    {"thing.show", "{\"name\": \"a\", \"frames\": null}", true},
	    {"thing.show", "{\"name\": \"a\", \"alias\": null}", true},
	    {"thing.show", "{\"name\": null}", false},
	    {"thing.show", "{\"other\": 1}", false},
	    {"thing.list", "{\"entries\": [{\"name\": \"a\"}], \"next\": null}", true},
	    {"thing.list", "{\"entries\": [{\"name\": 7}], \"next\": null}", false},
	    {"thing.list", "{}", false},
	    {"thing.set", "{}", true},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *result = json_loads(cases[i].result, 0, NULL);
		struct manage_error error = {0};
		int err = check_result(
		    &small_schema, schema_method(&small_schema, cases[i].method), result, &error);

		assert_int_equal(err, cases[i].right ? 0 : -EINVAL);
		json_decref(error.data);
		json_decref(result);
	}
}

/* The text for an error costs more than a check. */
static void right_values_cost_no_text(void **state)
{
	const struct schema_method *add = schema_method(&small_schema, "thing.add");
	json_t *params = json_pack(
	    "{s:s, s:i, s:[s, s, s]}", "name", "a", "count", 2, "colours", "red", "green", "red");
	struct manage_error error = {0};
	json_t *taken;

	(void)state;
	texts = 0;
	taken = check_params(&small_schema, add, params, &error);
	assert_non_null(taken);
	assert_int_equal(texts, 0);
	json_decref(taken);
	json_decref(params);
}

static void reads(json_t *(*read)(const char *), const char *text, json_t *right)
{
	json_t *json = read(text);

	if (right ? !json_equal(json, right) : json != NULL)
		fail_msg("%s: %s", text, json_dumps(json, JSON_ENCODE_ANY));
	json_decref(json);
	json_decref(right);
}

static void numbers_and_words_are_read(void **state)
{
	(void)state;
	reads(check_read_number, "0", json_integer(0));
	reads(check_read_number, "010", json_integer(10));
	reads(check_read_number, "900000000000000000", json_integer(900000000000000000));
	for (const char *const *t =
		 (const char *const[]){"", "-1", "+1", " 1", "1 ", "0x1", "1e3", "1.0",
		     "9223372036854775808", "18446744073709551616", "99999999999999999999", NULL};
	     *t; t++)
		reads(check_read_number, *t, NULL);
	for (const char *const *t = (const char *const[]){"true", "yes", "on", NULL}; *t; t++)
		reads(check_read_bool, *t, json_true());
	for (const char *const *t = (const char *const[]){"false", "no", "off", NULL}; *t; t++)
		reads(check_read_bool, *t, json_false());
	for (const char *const *t = (const char *const[]){"", "True", "1", "maybe", "o", NULL}; *t;
	     t++)
		reads(check_read_bool, *t, NULL);
}

static void a_list_has_a_limit(void **state)
{
	const struct schema_field *field = schema_object(&small_schema, "thing")->fields;
	json_t *three = json_pack("[s, s, s]", "red", "red", "green");
	struct manage_error error = {0};

	(void)state;
	while (strcmp(field->name, "colours") != 0)
		field++;
	assert_int_equal(check_value(&small_schema, field, three, "x", &error), 0);
	json_array_append_new(three, json_string("red"));
	assert_int_equal(check_value(&small_schema, field, three, "x", &error), -EINVAL);
	assert_non_null(strstr(error.message, "is not a list of at most 3; each part: one of red"));
	json_decref(error.data);
	json_decref(three);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_type_passes_and_fails),
	    cmocka_unit_test(numbers_have_a_range),
	    cmocka_unit_test(vlan_lists_are_read),
	    cmocka_unit_test(mac_addresses_are_read),
	    cmocka_unit_test(methods_take_what_they_are_for),
	    cmocka_unit_test(names_are_forgiving_and_checked),
	    cmocka_unit_test(large_values_are_not_repeated),
	    cmocka_unit_test(results_are_checked),
	    cmocka_unit_test(right_values_cost_no_text),
	    cmocka_unit_test(numbers_and_words_are_read),
	    cmocka_unit_test(a_list_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

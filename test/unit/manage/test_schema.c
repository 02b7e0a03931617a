/* SPDX-License-Identifier: BSD-3-Clause */
/* The tables of the switch are well formed; names are found; the JSON Schema has what they have. */
#include <ctype.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "manage/check.h"
#include "manage/schema_json.h"
#include "small_schema.h"

static void assert_name(const char *name, const char *also)
{
	assert_in_range(strlen(name), 1, SCHEMA_NAME_MAX - 1);
	for (const char *c = name; *c; c++)
		if (!islower(*c) && !isdigit(*c) && !strchr(also, *c))
			fail_msg("'%s' is no name", name);
}

static void assert_sentence(const char *name, const char *about)
{
	if (!about || !*about || about[strlen(about) - 1] == '.')
		fail_msg("%s: 'about' is no sentence without a full stop", name);
}

static void assert_field(const struct schema_field *f)
{
	struct manage_error error = {0};
	json_t *preset;

	assert_name(f->name, "_");
	assert_sentence(f->name, f->about);
	assert_true(f->min <= f->max || f->max == 0);
	if (f->type == SCHEMA_UINT)
		assert_true(f->max > 0);
	if ((f->type == SCHEMA_WORD) != (f->words != NULL))
		fail_msg("%s: only a word has words", f->name);
	if (f->type == SCHEMA_OBJECT)
		assert_non_null(schema_object(&schema_switch, f->object));
	if (f->names)
		assert_non_null(schema_object(&schema_switch, f->names));
	if (!f->preset)
		return;
	preset = json_loads(f->preset, JSON_DECODE_ANY, NULL);
	assert_non_null(preset);
	assert_int_equal(check_value(&schema_switch, f, preset, "", &error), 0);
	json_decref(preset);
}

static void the_tables_are_well_formed(void **state)
{
	(void)state;
	for (const struct schema_object *o = schema_switch.objects; o->name; o++) {
		assert_name(o->name, "_");
		assert_sentence(o->name, o->about);
		assert_ptr_equal(schema_object(&schema_switch, o->name), o);
		for (const struct schema_field *f = o->fields; f->name; f++) {
			assert_field(f);
			if (f->flags & SCHEMA_KEY)
				assert_ptr_equal(f, o->fields);
		}
	}
}

static void the_methods_are_well_formed(void **state)
{
	(void)state;
	for (const struct schema_method *m = schema_switch.methods; m->name; m++) {
		const struct schema_field *f;
		unsigned at = 0;
		bool required;

		assert_name(m->name, "_.");
		assert_sentence(m->name, m->about);
		assert_ptr_equal(schema_method(&schema_switch, m->name), m);
		if (m->object || m->takes || m->gives == SCHEMA_GIVES_OBJECT ||
		    m->gives == SCHEMA_GIVES_LIST)
			assert_non_null(schema_object(&schema_switch, m->object));
		while ((f = schema_next_param(&schema_switch, m, &at, &required))) {
			assert_field(f);
			/* No name is there twice. */
			assert_ptr_equal(schema_param(&schema_switch, m, f->name), f);
		}
	}
}

static const char *near(const char *name)
{
	static const char *const names[] = {"name", "native", "trunk", "mac_limit", "isolated"};

	return schema_nearest(name, names, ARRAY_SIZE(names));
}

static void the_nearest_name_is_found(void **state)
{
	const char *long_name = "a_name_that_is_longer_than_any_name_can_be";

	(void)state;
	assert_string_equal(near("nmae"), "name");
	assert_string_equal(near("nam"), "name");
	assert_string_equal(near("trunc"), "trunk");
	assert_string_equal(near("turnk"), "trunk");
	assert_string_equal(near("mac-limit"), "mac_limit");
	assert_string_equal(near("iso"), "isolated");
	assert_null(near("xyz"));
	assert_null(near(""));
	assert_null(near("x"));
	assert_null(near(long_name));
}

static void a_hyphen_is_an_underscore(void **state)
{
	(void)state;
	assert_true(schema_same_name("a_b", "a-b"));
	assert_true(schema_same_name("", ""));
	assert_false(schema_same_name("a_b", "a_"));
	assert_false(schema_same_name("a", "a_"));
}

static json_t *at(json_t *json, const char *a, const char *b, const char *c)
{
	json_t *out = json_object_get(json_object_get(json_object_get(json, a), b), c);

	assert_non_null(out);
	return out;
}

static void the_json_schema_has_every_field(void **state)
{
	json_t *json = schema_to_json(&small_schema), *count, *add;

	(void)state;
	for (const struct schema_field *f = thing_fields; f->name; f++)
		assert_non_null(json_object_get(at(json, "$defs", "thing", "properties"), f->name));
	count = json_object_get(at(json, "$defs", "thing", "properties"), "count");
	assert_int_equal(json_integer_value(json_object_get(count, "minimum")), 2);
	assert_int_equal(json_integer_value(json_object_get(count, "maximum")), 16);
	assert_string_equal(json_string_value(json_object_get(count, "x-unit")), "bytes");
	add = at(json, "methods", "thing.add", "params");
	assert_int_equal(json_array_size(json_object_get(add, "required")), 2);
	assert_non_null(json_object_get(json_object_get(add, "properties"), "exist_ok"));
	assert_null(json_object_get(json_object_get(add, "properties"), "frames"));
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_tables_are_well_formed),
	    cmocka_unit_test(the_methods_are_well_formed),
	    cmocka_unit_test(the_nearest_name_is_found),
	    cmocka_unit_test(a_hyphen_is_an_underscore),
	    cmocka_unit_test(the_json_schema_has_every_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

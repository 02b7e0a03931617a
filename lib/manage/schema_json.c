/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/schema_json.h"

#include <stdio.h>

#include "manage/error.h"
#include "manage/events.h"

#define DIALECT "https://json-schema.org/draft/2020-12/schema"

#define MAC_PATTERN   "^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$"
#define VLANS_PATTERN "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$"

static json_t *reference(const char *object)
{
	return json_pack("{s:s+}", "$ref", "#/$defs/", object);
}

static json_t *words_json(const char *const *words)
{
	json_t *list = json_array();

	for (; *words; words++)
		json_array_append_new(list, json_string(*words));
	return list;
}

static void add_limits(json_t *to, const struct schema_field *f)
{
	bool number = f->type == SCHEMA_UINT;

	if (number)
		json_object_set_new(to, "minimum", json_integer((json_int_t)f->min));
	else if (f->min)
		json_object_set_new(to, "minLength", json_integer((json_int_t)f->min));
	if (f->max && f->max != SCHEMA_UINT_MAX)
		json_object_set_new(
		    to, number ? "maximum" : "maxLength", json_integer((json_int_t)f->max));
}

/* The schema of one value, not of a list. */
static json_t *value_json(const struct schema_field *f)
{
	const char *type = schema_type_json(f->type);
	json_t *out;

	if (f->type == SCHEMA_OBJECT)
		return reference(f->object);
	out = (f->flags & SCHEMA_NULL) ? json_pack("{s:[s, s]}", "type", type, "null")
				       : json_pack("{s:s}", "type", type);
	add_limits(out, f);
	if (f->type == SCHEMA_WORD)
		json_object_set_new(out, "enum", words_json(f->words));
	if (f->type == SCHEMA_WORD && (f->flags & SCHEMA_NULL))
		json_array_append_new(json_object_get(out, "enum"), json_null());
	if (f->type == SCHEMA_MAC)
		json_object_set_new(out, "pattern", json_string(MAC_PATTERN));
	if (f->type == SCHEMA_VLANS)
		json_object_set_new(out, "pattern", json_string(VLANS_PATTERN));
	return out;
}

static json_t *field_json(const struct schema_field *f)
{
	json_t *out = value_json(f);

	if (f->flags & SCHEMA_LIST)
		out = json_pack("{s:s, s:o}", "type", "array", "items", out);
	if (f->list_max)
		json_object_set_new(out, "maxItems", json_integer(f->list_max));
	json_object_set_new(out, "description", json_string(f->about));
	if (f->preset)
		json_object_set_new(out, "default", json_loads(f->preset, JSON_DECODE_ANY, NULL));
	if (f->unit)
		json_object_set_new(out, "x-unit", json_string(f->unit));
	json_object_set_new(out, "x-type", json_string(schema_type_name(f->type)));
	if (f->names)
		json_object_set_new(out, "x-names", json_string(f->names));
	if (f->flags & SCHEMA_KEY)
		json_object_set_new(out, "x-key", json_true());
	if (f->flags & SCHEMA_READ_ONLY)
		json_object_set_new(out, "readOnly", json_true());
	if (f->flags & SCHEMA_CREATE)
		json_object_set_new(out, "x-create-only", json_true());
	return out;
}

static json_t *object_json(const struct schema_object *object)
{
	json_t *properties = json_object();

	for (const struct schema_field *f = object->fields; f->name; f++)
		json_object_set_new(properties, f->name, field_json(f));
	return json_pack("{s:s, s:s, s:o, s:b}", "type", "object", "description", object->about,
	    "properties", properties, "additionalProperties", 0);
}

static json_t *params_json(const struct schema *schema, const struct schema_method *method)
{
	json_t *properties = json_object(), *required = json_array();
	const struct schema_field *f;
	unsigned at = 0;
	bool must;

	while ((f = schema_next_param(schema, method, &at, &must))) {
		json_object_set_new(properties, f->name, field_json(f));
		if (must)
			json_array_append_new(required, json_string(f->name));
	}
	return json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", properties,
	    "required", required, "additionalProperties", 0);
}

static json_t *result_json(const struct schema_method *method)
{
	switch (method->gives) {
	case SCHEMA_GIVES_OBJECT:
		return reference(method->object);
	case SCHEMA_GIVES_LIST:
		return json_pack("{s:s, s:{s:{s:s, s:o}, s:{s:[s, s]}}, s:[s]}", "type", "object",
		    "properties", "entries", "type", "array", "items", reference(method->object),
		    "next", "type", "integer", "null", "required", "entries");
	case SCHEMA_GIVES_SCHEMA:
		return reference("schema");
	case SCHEMA_GIVES_NOTHING:
		break;
	}
	return json_pack("{s:s}", "type", "object");
}

static json_t *errors_json(void)
{
	json_t *out = json_object();

#define X(id, code, name, when) \
	json_object_set_new(out, name, json_pack("{s:i, s:s}", "code", code, "description", when));
	MANAGE_ERRORS(X)
#undef X
	return out;
}

static json_t *events_json(void)
{
	json_t *out = json_object();

#define X(id, name, when) json_object_set_new(out, name, json_string(when));
	MANAGE_EVENTS(X)
#undef X
	return out;
}

json_t *schema_to_json(const struct schema *schema)
{
	json_t *objects = json_object(), *methods = json_object();

	for (const struct schema_object *o = schema->objects; o->name; o++)
		json_object_set_new(objects, o->name, object_json(o));
	json_object_set_new(objects, "schema", json_pack("{s:s}", "type", "object"));
	for (const struct schema_method *m = schema->methods; m->name; m++)
		json_object_set_new(methods, m->name,
		    json_pack("{s:s, s:o, s:o}", "description", m->about, "params",
			params_json(schema, m), "result", result_json(m)));
	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "$schema", DIALECT, "$defs", objects,
	    "methods", methods, "errors", errors_json(), "events", events_json());
}

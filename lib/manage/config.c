/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *config_action_name(enum config_action action)
{
	static const char *const names[] = {
	    [CONFIG_ADD] = "add",
	    [CONFIG_DEL] = "del",
	    [CONFIG_SET] = "set",
	    [CONFIG_REPLACE] = "replace",
	};

	return names[action];
}

static const char *key_of(const struct schema_object *object, const json_t *entry)
{
	return json_string_value(json_object_get(entry, object->fields[0].name));
}

/* The objects by key. NULL: no memory, or a key is there twice: then *ret_twice is set. */
static json_t *by_key(
    const struct schema_object *object, const json_t *list, const json_t **ret_twice)
{
	json_t *map = json_object();
	size_t i;
	json_t *entry;

	*ret_twice = NULL;
	json_array_foreach(list, i, entry)
	{
		const char *key = key_of(object, entry);

		if (json_object_get(map, key))
			*ret_twice = json_object_get(entry, object->fields[0].name);
		if (*ret_twice || json_object_set(map, key, entry) < 0) {
			json_decref(map);
			return NULL;
		}
	}
	return map;
}

static bool field_differs(
    const struct schema_field *f, const json_t *now, const json_t *then, const json_t *defaults)
{
	const json_t *a = json_object_get(now, f->name), *b = json_object_get(then, f->name);

	a = a ? a : json_object_get(defaults, f->name);
	b = b ? b : json_object_get(defaults, f->name);
	return a != b && !(a && b && json_equal(a, b));
}

/* False: both objects are alike. */
static bool differs(
    const struct schema_object *object, const json_t *defaults, struct config_change *change)
{
	bool any = false;

	for (const struct schema_field *f = object->fields; f->name; f++) {
		if ((f->flags & (SCHEMA_READ_ONLY | SCHEMA_KEY)) ||
		    !field_differs(f, change->now, change->then, defaults))
			continue; /* it cannot be set, or is the same */
		if (!any || (f->flags & SCHEMA_CREATE))
			change->because = f->name;
		any = true;
		change->action = (f->flags & SCHEMA_CREATE) ? CONFIG_REPLACE : CONFIG_SET;
		if (change->action == CONFIG_REPLACE)
			break;
	}
	return any;
}

static void compare_maps(const struct schema_object *object, const json_t *now, const json_t *then,
    const json_t *defaults, struct config_changes *ret)
{
	const char *key;
	json_t *entry;

	json_object_foreach((json_t *)(uintptr_t)now, key, entry)
	{
		if (!json_object_get(then, key))
			ret->change[ret->n++] = (struct config_change){
			    .action = CONFIG_DEL, .name = key_of(object, entry), .now = entry};
	}
	json_object_foreach((json_t *)(uintptr_t)then, key, entry)
	{
		struct config_change change = {.action = CONFIG_ADD,
		    .name = key_of(object, entry),
		    .now = json_object_get(now, key),
		    .then = entry};

		if (!change.now || differs(object, defaults, &change))
			ret->change[ret->n++] = change;
	}
}

int config_compare(const struct schema_object *object, const json_t *now, const json_t *then,
    const json_t *defaults, const char *about, struct config_changes *ret,
    struct manage_error *ret_error)
{
	const json_t *twice;
	json_t *before = by_key(object, now, &twice), *after = by_key(object, then, &twice);
	int err = before && after ? 0 : -ENOMEM;

	*ret = (struct config_changes){0};
	if (twice) {
		manage_fail_field(
		    ret_error, MANAGE_PARAMS, about, object->fields[0].name, twice, "there once");
		err = -EEXIST;
	}
	if (!err)
		ret->change =
		    calloc(json_array_size(now) + json_array_size(then) + 1, sizeof(*ret->change));
	if (!err && !ret->change)
		err = -ENOMEM;
	if (!err)
		compare_maps(object, before, after, defaults, ret);
	if (err == -ENOMEM)
		manage_fail(ret_error, MANAGE_INTERNAL, "out of memory");
	json_decref(before);
	json_decref(after);
	return err;
}

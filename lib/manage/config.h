/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The difference between two lists of objects of one kind: what has to be done so that the first
 * becomes the second.
 *
 * Only fields that can be set count. A field that an object does not have has its default.
 *
 * Threads: functions without state.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "manage/error.h"
#include "manage/schema.h"

enum config_action {
	CONFIG_ADD,
	CONFIG_DEL,
	CONFIG_SET,     /* some fields that can change */
	CONFIG_REPLACE, /* a field that cannot change: the object has to go and come again */
};

struct config_change {
	enum config_action action;
	const char *name;    /* the key; a part of now or of then */
	const json_t *now;   /* the object as it is; CONFIG_ADD: NULL */
	const json_t *then;  /* the object as it shall be; CONFIG_DEL: NULL */
	const char *because; /* CONFIG_SET, CONFIG_REPLACE: the first field that differs */
};

struct config_changes {
	size_t n;
	struct config_change *change; /* the caller frees it */
};

/*
 * Compare. The texts and objects in *ret are those of the lists, which must stay. defaults: an
 * object with the defaults of all fields. 0; -ENOMEM; or -EEXIST: two objects of `then` have the
 * same key, and ret_error, whose message begins with `about`, says so.
 */
int config_compare(const struct schema_object *object, const json_t *now, const json_t *then,
    const json_t *defaults, const char *about, struct config_changes *ret,
    struct manage_error *ret_error);

/* "add", "del", "set", "replace" */
const char *config_action_name(enum config_action action);

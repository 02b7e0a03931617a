/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The bridges of a configuration. They are added and set before ports are, and removed at the end.
 * The default bridge is always there; a configuration that does not name it leaves it as the
 * command line says. A bridge of which a field changes that cannot change is refused: all its ports
 * would have to go and come again.
 *
 * A port that is removed belongs to its bridge for some milliseconds more. So the removal of a
 * bridge is tried again, for at most WAIT_NS in all.
 */
#include "manage/apply_job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_limit.h"
#include "control/port_settings.h"
#include "control/ports.h"
#include "control/vswitch.h"
#include "manage/check.h"
#include "manage/methods.h"

#define WAIT_NS INT64_C(5000000000)

static const char *text_of(const json_t *object, const char *field)
{
	return json_string_value(json_object_get(object, field));
}

static json_t *whole_bridge(struct apply *a, size_t index, const json_t *given)
{
	struct schema_method add = *schema_method(&schema_switch, "bridge.add");
	const char *name = text_of(given, "name");
	struct bridge_config config;
	json_t *checked;
	char about[128];

	snprintf(about, sizeof(about), "%s: bridge %zu%s%s", a->about, index + 1, name ? ", " : "",
	    name ? name : "");
	add.name = about;
	checked = check_params(&schema_switch, &add, given, &a->outcome.error);
	if (!checked)
		return NULL;
	vswitch_bridge_defaults(a->sw, &config);
	manage_read_bridge(checked, &config);
	json_decref(checked);
	return manage_bridge_config(&config);
}

bool apply_check_bridge(struct apply *a)
{
	const json_t *given = json_array_get(a->given_bridges, a->at);
	json_t *bridge = given ? whole_bridge(a, a->at, given) : NULL;

	if (!given)
		return false;
	if (!bridge || json_array_append_new(a->then_bridges, bridge) < 0)
		return apply_fail_at(a, "bridges", a->at);
	return true;
}

size_t apply_second_of_name(const json_t *list)
{
	json_t *names = json_object(), *one;
	size_t i, found = APPLY_NO_PLACE;

	json_array_foreach(list, i, one)
	{
		if (found == APPLY_NO_PLACE && json_object_get(names, text_of(one, "name")))
			found = i;
		json_object_set_new(names, text_of(one, "name"), json_true());
	}
	json_decref(names);
	return found;
}

json_t *manage_bridges(const struct vswitch *sw)
{
	json_t *bridges = json_array();
	const struct bridge *bridge;

	for (unsigned at = 0; (bridge = vswitch_bridge_next(sw, &at));)
		json_array_append_new(bridges, manage_bridge_config(vswitch_bridge_config(bridge)));
	return bridges;
}

static const json_t *find_bridge(const json_t *bridges, const char *name)
{
	const json_t *bridge;
	size_t i;

	json_array_foreach(
	    bridges, i, bridge) if (strcmp(text_of(bridge, "name"), name) == 0) return bridge;
	return NULL;
}

static void add_default(struct apply *a)
{
	struct bridge_config config;

	if (find_bridge(a->then_bridges, BRIDGE_DEFAULT))
		return;
	vswitch_bridge_defaults(a->sw, &config);
	snprintf(config.name, sizeof(config.name), BRIDGE_DEFAULT);
	json_array_append_new(a->then_bridges, manage_bridge_config(&config));
}

/* Where the configuration has this bridge. */
static size_t place_of_bridge(const struct apply *a, const char *name)
{
	const json_t *bridge;
	size_t i;

	json_array_foreach(a->given_bridges, i, bridge)
	{
		const char *its = text_of(bridge, "name");

		if (its && strcmp(its, name) == 0)
			return i;
	}
	return APPLY_NO_PLACE;
}

static bool none_is_replaced(struct apply *a)
{
	for (size_t i = 0; i < a->bridge_changes.n; i++) {
		const struct config_change *c = &a->bridge_changes.change[i];

		if (c->action != CONFIG_REPLACE)
			continue; /* it is possible */
		manage_fail_field(&a->outcome.error, MANAGE_REFUSED, a->about, c->because,
		    json_object_get(c->then, c->because),
		    "what the bridge has, and cannot change while there is the bridge");
		return apply_fail_at(a, "bridges", place_of_bridge(a, c->name));
	}
	return true;
}

static bool ports_have_bridges(struct apply *a)
{
	const json_t *port;
	size_t i;

	json_array_foreach(a->then, i, port)
	{
		if (find_bridge(a->then_bridges, text_of(port, "bridge")))
			continue; /* it will be there */
		manage_fail_field(&a->outcome.error, MANAGE_NOT_FOUND, a->about, "bridge",
		    json_object_get(port, "bridge"), "a bridge of the configuration");
		return apply_fail_at(a, "ports", i);
	}
	return true;
}

static bool is_in(const json_t *ports, const char *name)
{
	const json_t *port;
	size_t i;

	json_array_foreach(
	    ports, i, port) if (strcmp(text_of(port, "name"), name) == 0) return true;
	return false;
}

/* A port that stays, because it is the command line's or has a descriptor, keeps its bridge. */
static bool ports_that_stay_have_bridges(struct apply *a)
{
	const struct switch_port *sp;

	for (unsigned p = 0; (sp = vswitch_port_next(a->sw, &p));) {
		const char *bridge = vswitch_port_settings(sp)->bridge;
		bool stays = json_object_get(a->manage->given, sp->name) != NULL;

		if (!stays || !*bridge || is_in(a->then, sp->name) ||
		    find_bridge(a->then_bridges, bridge))
			continue; /* it goes, or its bridge stays */
		manage_fail(&a->outcome.error, MANAGE_REFUSED,
		    "%s: the bridge %s is not in the configuration, but the port %s of the command "
		    "line belongs to it",
		    a->about, bridge, sp->name);
		return apply_fail_at(a, "bridges", APPLY_NO_PLACE);
	}
	return true;
}

bool apply_compare_bridges(struct apply *a)
{
	add_default(a);
	a->now_bridges = manage_bridges(a->sw);
	if (config_compare(schema_object(&schema_switch, "bridge"), a->now_bridges, a->then_bridges,
		NULL, a->about, &a->bridge_changes, &a->outcome.error) < 0)
		return apply_fail_at(a, "bridges", apply_second_of_name(a->then_bridges));
	a->bridge_done = calloc(a->bridge_changes.n + 1, sizeof(bool));
	if (a->bridge_done)
		return none_is_replaced(a) && ports_have_bridges(a) &&
		    ports_that_stay_have_bridges(a);
	manage_fail(&a->outcome.error, MANAGE_INTERNAL, "out of memory");
	return apply_fail_at(a, "bridges", APPLY_NO_PLACE);
}

/* The change of this step; NULL: there is none any more. */
static const struct config_change *change_at(const struct apply *a)
{
	return a->at < a->bridge_changes.n ? &a->bridge_changes.change[a->at] : NULL;
}

static void set(const struct apply *a, const char *name, const json_t *bridge)
{
	vswitch_bridge_drop_unknown(a->sw, vswitch_bridge_find(a->sw, name),
	    json_is_true(json_object_get(bridge, "drop_unknown")));
}

/* Add a bridge, or let the step be done again, because an errand makes the table. */
static bool add_bridge(struct apply *a, const struct config_change *c)
{
	struct bridge_config config;
	struct port_fault fault;
	struct bridge *bridge;
	int err;

	vswitch_bridge_defaults(a->sw, &config);
	manage_read_bridge(c->then, &config);
	if (a->at_once)
		err = vswitch_bridge_add(a->sw, &config, &bridge, &fault);
	else
		err = vswitch_bridge_add_soon(a->sw, &config, &bridge, &fault);
	a->again = err == -EAGAIN;
	if (!err || a->again)
		return true;
	manage_fail(&a->outcome.error, MANAGE_REFUSED, "%s: %s", a->about, fault.text);
	return apply_fail_at(a, "bridges", place_of_bridge(a, c->name));
}

bool apply_add_bridge(struct apply *a)
{
	const struct config_change *c = change_at(a);

	if (!c)
		return false;
	if (c->action == CONFIG_DEL)
		return true;
	if (c->action == CONFIG_SET)
		set(a, c->name, c->then);
	else if (!add_bridge(a, c))
		return false;
	a->bridge_done[a->at] = !a->again;
	return true;
}

/* Remove a bridge, or let the step be done again. */
static void remove_bridge(struct apply *a, const char *name)
{
	struct bridge *bridge = vswitch_bridge_find(a->sw, name);
	struct port_fault fault;
	int err = bridge ? vswitch_bridge_del(a->sw, bridge, &fault) : 0;

	if (err == -EBUSY && !a->give_up_ns)
		a->give_up_ns = clock_ns() + WAIT_NS;
	a->again = err == -EBUSY && !a->at_once && clock_ns() < a->give_up_ns;
	/* At the start a fault ends the switch, and the bridge with it. */
	if (err && !a->again && !a->at_once)
		log_limited(
		    &a->sw->removed.limit, LOG_WARN, name, "the bridge stays: %s", fault.text);
}

bool apply_del_bridge(struct apply *a)
{
	const struct config_change *c = change_at(a);

	if (c && c->action == CONFIG_DEL)
		remove_bridge(a, c->name);
	return c != NULL;
}

bool apply_undo_bridge(struct apply *a)
{
	const struct config_change *c = change_at(a);

	if (c && a->bridge_done[a->at] && c->action == CONFIG_ADD)
		remove_bridge(a, c->name);
	else if (c && a->bridge_done[a->at])
		set(a, c->name, c->now);
	return c != NULL;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A configuration is a list of ports. To apply one, it is compared with the ports that there are,
 * and only the differences are carried out. A port of the command line that the configuration does
 * not have stays. A port without a socket of its own (a descriptor) is not part of a configuration.
 *
 * A static address belongs to a single port of its bridge. So the ports give away first what they
 * do not have in the configuration, and another port can have it then, in whatever order. To undo
 * this, the ports give away what they got, before each gets what it had.
 *
 * All or nothing: ports with sockets that no port has had are added first, because this is what can
 * fail. If it fails, they are removed again, and nothing has changed. Then ports are removed, and
 * ports are added whose names or sockets have become free. If one of these cannot be added, the
 * ports that were removed are added again, and their front-ends have to connect again. The error
 * says so if one of them cannot be added again.
 *
 * The index of a port that is removed becomes free some milliseconds later. So there must be free
 * indices at the beginning: one for each port that is added, and one for each port that is removed
 * if it may have to come back.
 *
 * Bridges are added before ports and removed after them (apply_bridges.c).
 *
 * The work has stages. A stage does one port at a time, so it can be interrupted between two ports;
 * only the comparison is one piece. Whoever calls sees to it that nothing else adds or removes
 * ports meanwhile.
 */
#include "manage/apply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_limit.h"
#include "base/util.h"
#include "control/ports.h"
#include "control/switch_port.h"
#include "control/vswitch.h"
#include "manage/apply_job.h"
#include "manage/check.h"
#include "manage/methods.h"

_Static_assert(PORTS_MAX == 1024, "as the schema says of the ports of a configuration");

static const char *text_of(const json_t *port, const char *field)
{
	return json_string_value(json_object_get(port, field));
}

static const struct schema_object *port_object(void)
{
	return schema_object(&schema_switch, "port");
}

/* A path that is no UTF-8, which only the command line can give, has no JSON. */
static bool has_json(const struct port_config *config)
{
	json_t *path = config->path ? json_string(config->path) : NULL;
	json_t *name = json_string(config->name);
	bool both = path && name;

	json_decref(path);
	json_decref(name);
	return both;
}

json_t *apply_current_ports(const struct vswitch *sw)
{
	json_t *ports = json_array();
	const struct switch_port *sp;

	for (unsigned p = 0; (sp = vswitch_port_next(sw, &p));) {
		const struct port_config config = manage_config_of(sp);

		if (has_json(&config))
			json_array_append_new(ports, manage_port_config(&config));
	}
	return ports;
}

bool apply_fail_at(struct apply *a, const char *list, size_t index)
{
	a->outcome.list = list;
	a->outcome.index = index;
	a->failed = true;
	return false;
}

static bool fail_at(struct apply *a, size_t port)
{
	return apply_fail_at(a, "ports", port);
}

/* A port with all fields, checked as for port.add. NULL: error. */
static json_t *whole_port(struct apply *a, size_t index, const json_t *given)
{
	struct schema_method add = *schema_method(&schema_switch, "port.add");
	const char *name = text_of(given, "name");
	json_t *checked, *whole = NULL;
	struct port_config config;
	char about[128];

	/* A message begins with the place of its port. */
	snprintf(about, sizeof(about), "%s: port %zu%s%s", a->about, index + 1, name ? ", " : "",
	    name ? name : "");
	add.name = about;
	checked = check_params(&schema_switch, &add, given, &a->outcome.error);
	vswitch_port_defaults(a->sw, &config);
	if (checked && manage_read_port(about, checked, &config, &a->outcome.error))
		whole = manage_port_config(&config);
	json_decref(checked);
	return whole;
}

/* Each stage function does one step. False: the stage has ended, or there is a fault. */
static bool check_next(struct apply *a)
{
	const json_t *given = json_array_get(a->given, a->at);
	json_t *port = given ? whole_port(a, a->at, given) : NULL;

	if (!given)
		return false;
	if (!port || json_array_append_new(a->then, port) < 0)
		return fail_at(a, a->at);
	return true;
}

/* Ports of the command line are not removed. */
static void keep_given(const struct manage *m, struct config_changes *changes)
{
	size_t kept = 0;

	for (size_t i = 0; i < changes->n; i++) {
		const struct config_change *c = &changes->change[i];

		if (c->action != CONFIG_DEL || !json_object_get(m->given, c->name))
			changes->change[kept++] = *c;
	}
	changes->n = kept;
}

/* The paths of these ports, for has_socket(). */
static json_t *sockets_of(const json_t *ports)
{
	json_t *sockets = json_object(), *entry;
	size_t i;

	json_array_foreach(ports, i, entry)
	    json_object_set_new(sockets, text_of(entry, "socket"), json_true());
	return sockets;
}

/* Can it be added before ports are removed? No port has its socket now. */
static bool comes_first(const struct apply *a, const struct config_change *c)
{
	return c->action == CONFIG_ADD && !json_object_get(a->sockets, text_of(c->then, "socket"));
}

static unsigned free_indices(const struct port_indices *indices)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PORTS_MAX; i++)
		n += !indices->taken[i];
	return n;
}

/* How many indices are needed, at worst? */
static unsigned needed_indices(const struct apply *a)
{
	unsigned added = 0, removed = 0;
	bool may_come_back = false;

	for (size_t i = 0; i < a->changes.n; i++) {
		const struct config_change *c = &a->changes.change[i];

		if (c->action == CONFIG_SET)
			continue; /* the port keeps its place */
		added += c->action != CONFIG_DEL;
		removed += c->action != CONFIG_ADD;
		may_come_back |= c->action != CONFIG_DEL && !comes_first(a, c);
	}
	return added + (may_come_back ? removed : 0);
}

static bool has_room(struct apply *a)
{
	unsigned needed = needed_indices(a), available = free_indices(&a->sw->indices);

	if (needed <= available)
		return true;
	manage_fail(&a->outcome.error, MANAGE_NO_ROOM,
	    "%s: this takes %u places for ports meanwhile; only %u are free now", a->about, needed,
	    available);
	return fail_at(a, APPLY_NO_PLACE);
}

/* The sockets that stay as they are, with words for what has them. */
static json_t *kept_sockets(const struct apply *a)
{
	json_t *kept = json_object(), *names = json_object(), *port;
	const struct manage *m = a->manage;
	size_t i;

	if (m->config.path)
		json_object_set_new(
		    kept, m->config.path, json_string("the switch listens there itself"));
	json_array_foreach(a->then, i, port)
	    json_object_set_new(names, text_of(port, "name"), json_true());
	json_array_foreach(a->now, i, port)
	{
		const char *name = text_of(port, "name");

		if (json_object_get(m->given, name) && !json_object_get(names, name))
			json_object_set_new(kept, text_of(port, "socket"),
			    json_sprintf("the port %s of the command line has it", name));
	}
	json_decref(names);
	return kept;
}

/* Does each port of the configuration have a socket that nothing else has? */
static bool sockets_differ(struct apply *a)
{
	json_t *taken = kept_sockets(a), *port;
	char expected[320];
	size_t i;

	json_array_foreach(a->then, i, port)
	{
		const char *socket = text_of(port, "socket");
		json_t *by = json_object_get(taken, socket);

		if (by) {
			snprintf(expected, sizeof(expected), "free: %s", json_string_value(by));
			manage_fail_field(&a->outcome.error, MANAGE_EXISTS, a->about, "socket",
			    json_object_get(port, "socket"), expected);
			fail_at(a, i);
			break;
		}
		json_object_set_new(taken, socket,
		    json_sprintf("the port %s of the configuration has it", text_of(port, "name")));
	}
	json_decref(taken);
	return !a->failed;
}

/* Where the configuration has this port. */
static size_t place_of_port(const struct apply *a, const json_t *then)
{
	json_t *port;
	size_t i;

	json_array_foreach(a->then, i, port) if (port == then) return i;
	return APPLY_NO_PLACE;
}

/* What a client asks for needs sockets that exist already, or are where it may put them. */
static bool sockets_are_allowed(struct apply *a)
{
	for (size_t i = 0; i < a->changes.n && !a->any_socket; i++) {
		const json_t *port = a->changes.change[i].then;

		if (!port || json_object_get(a->sockets, text_of(port, "socket")) ||
		    manage_allows_socket(a->manage, a->about, port, &a->outcome.error))
			continue; /* no new socket, or in the right place */
		return fail_at(a, place_of_port(a, port));
	}
	return true;
}

static bool compare(struct apply *a)
{
	if (!apply_compare_bridges(a))
		return false;
	a->now = apply_current_ports(a->sw);
	a->sockets = sockets_of(a->now);
	if (config_compare(
		port_object(), a->now, a->then, NULL, a->about, &a->changes, &a->outcome.error) < 0)
		return fail_at(a, apply_second_of_name(a->then));
	if (!sockets_differ(a))
		return false;
	keep_given(a->manage, &a->changes);
	if (!sockets_are_allowed(a) || !has_room(a))
		return false;
	a->done = calloc(a->changes.n + 1, sizeof(bool));
	a->gone = calloc(a->changes.n + 1, sizeof(bool));
	a->taken = calloc(a->changes.n + 1, sizeof(bool));
	if (a->done && a->gone && a->taken)
		return false;
	manage_fail(&a->outcome.error, MANAGE_INTERNAL, "out of memory");
	return fail_at(a, APPLY_NO_PLACE);
}

/* Let a port have all settings of this one. */
static bool set(const struct apply *a, const json_t *port, struct manage_error *error)
{
	struct switch_port *sp = vswitch_port_find(a->sw, text_of(port, "name"));
	struct port_settings settings = {.n_mac_static = 0};

	return manage_read_settings(a->about, port, &settings, error) &&
	    manage_set_port(sp, a->about, &settings, error);
}

/* The same with these static addresses. Takes the reference to them. */
static bool set_static(
    const struct apply *a, const json_t *port, json_t *addresses, struct manage_error *error)
{
	json_t *copy = json_copy((json_t *)(uintptr_t)port);
	bool right = json_object_set_new(copy, "mac_static", addresses) == 0 && set(a, copy, error);

	json_decref(copy);
	return right;
}

/* Are the addresses of these two ports in the same table, if they are the same addresses? */
static bool same_table(const json_t *a, const json_t *b)
{
	static const char *const fields[] = {"bridge", "vlan", "vlan_mode", "trunk"};

	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		if (!json_equal(json_object_get(a, fields[i]), json_object_get(b, fields[i])) &&
		    (json_object_get(a, fields[i]) || json_object_get(b, fields[i])))
			return false;
	return true;
}

/* The static addresses that the port has and keeps. */
static json_t *kept_addresses(const struct config_change *c)
{
	const json_t *now = json_object_get(c->now, "mac_static");
	const json_t *then = json_object_get(c->then, "mac_static");
	json_t *kept = json_array(), *one, *other;
	size_t i, k;

	if (c->action != CONFIG_SET || !same_table(c->now, c->then))
		return kept;
	json_array_foreach(now, i, one) json_array_foreach(then, k, other)
	{
		if (json_equal(one, other))
			json_array_append(kept, one);
	}
	return kept;
}

static bool take_away(struct apply *a)
{
	const struct config_change *c = &a->changes.change[a->at];
	size_t before;
	json_t *kept;

	if (a->at == a->changes.n)
		return false;
	before = json_array_size(json_object_get(c->now, "mac_static"));
	if (c->action == CONFIG_ADD || before == 0)
		return true;
	kept = kept_addresses(c);
	if (json_array_size(kept) == before) {
		json_decref(kept);
		return true;
	}
	a->taken[a->at] = true;
	return set_static(a, c->now, kept, &a->outcome.error) ||
	    fail_at(a, c->then ? place_of_port(a, c->then) : APPLY_NO_PLACE);
}

static bool add(struct apply *a, size_t i)
{
	const json_t *port = a->changes.change[i].then;

	if (!manage_add_port(a->sw, a->about, port, &a->outcome.error))
		return fail_at(a, place_of_port(a, port));
	a->done[i] = true;
	return true;
}

static bool add_new(struct apply *a)
{
	if (a->at == a->changes.n)
		return false;
	return !comes_first(a, &a->changes.change[a->at]) || add(a, a->at);
}

static bool add_freed(struct apply *a)
{
	if (a->at == a->changes.n)
		return false;
	return a->done[a->at] || a->changes.change[a->at].action == CONFIG_DEL || add(a, a->at);
}

static bool set_next(struct apply *a)
{
	const struct config_change *c = &a->changes.change[a->at];

	if (a->at == a->changes.n)
		return false;
	if (c->action != CONFIG_SET)
		return true;
	if (!set(a, c->then, &a->outcome.error))
		return fail_at(a, place_of_port(a, c->then));
	a->done[a->at] = true;
	return true;
}

static void remove_port(struct vswitch *sw, const char *name)
{
	struct switch_port *sp = vswitch_port_find(sw, name);

	if (sp)
		vswitch_port_del(sw, sp, NULL, NULL);
}

static bool remove_old(struct apply *a)
{
	if (a->at == a->changes.n)
		return false;
	if (a->changes.change[a->at].action == CONFIG_DEL ||
	    a->changes.change[a->at].action == CONFIG_REPLACE) {
		remove_port(a->sw, a->changes.change[a->at].name);
		a->gone[a->at] = true;
	}
	return true;
}

/* Something could not be added: what was before comes back. Nobody keeps what is another's. */
static bool undo_added(struct apply *a)
{
	const struct config_change *c = &a->changes.change[a->at];
	struct manage_error error = {.data = NULL};

	if (a->at == a->changes.n)
		return false;
	if (!a->done[a->at])
		return true;
	if (c->action != CONFIG_SET)
		vswitch_port_undo(a->sw, vswitch_port_find(a->sw, c->name));
	else if (!set_static(a, c->then, json_array(), &error))
		json_decref(error.data); /* undo_set() tells */
	return true;
}

static bool undo_set(struct apply *a)
{
	const struct config_change *c = &a->changes.change[a->at];
	struct manage_error error = {.data = NULL};
	bool was_set;

	if (a->at == a->changes.n)
		return false;
	was_set = a->taken[a->at] || (a->done[a->at] && c->action == CONFIG_SET);
	if (!was_set || a->gone[a->at] || set(a, c->now, &error))
		return true;
	log_limited(&a->sw->removed.limit, LOG_ERROR, c->name,
	    "its settings of before are refused: %s", error.message);
	json_decref(error.data);
	a->not_set++;
	return true;
}

static bool undo_removed(struct apply *a)
{
	const struct config_change *c = &a->changes.change[a->at];
	struct manage_error error;

	if (a->at == a->changes.n)
		return false;
	if (a->gone[a->at] && !manage_add_port(a->sw, a->about, c->now, &error)) {
		log_limited(&a->sw->removed.limit, LOG_ERROR, c->name,
		    "could not be added again: %s", error.message);
		json_decref(error.data);
		a->lost++;
	}
	return true;
}

/* The message of the error also says that ports are lost. */
static void tell_lost(struct manage_error *error, unsigned lost, const char *was, const char *again)
{
	const struct manage_error before = *error;

	manage_fail(error, before.code, "%.240s; %u %s %s could not be %s", before.message, lost,
	    lost == 1 ? "port that was" : "ports that were", was, again);
	error->data = before.data;
}

static void add_changes(json_t *entries, const char *object, const struct config_changes *changes)
{
	for (size_t i = 0; i < changes->n; i++) {
		const struct config_change *c = &changes->change[i];

		json_array_append_new(entries,
		    json_pack("{s:s, s:s, s:o, s:s?}", "action", config_action_name(c->action),
			"object", object, "name", manage_text(c->name), "because", c->because));
	}
}

static json_t *list_changes(const struct apply *a)
{
	json_t *entries = json_array();

	add_changes(entries, "bridge", &a->bridge_changes);
	add_changes(entries, "port", &a->changes);
	return manage_list(entries, NULL);
}

static enum stage next_stage(const struct apply *a)
{
	bool has_changed = a->stage >= STAGE_ADD_BRIDGES && a->stage <= STAGE_DEL_BRIDGES;

	if (a->stage >= STAGE_UNDO_ADDED)
		return a->stage + 1;
	if (a->failed)
		return has_changed ? STAGE_UNDO_ADDED : STAGE_DONE;
	if (a->stage == STAGE_DEL_BRIDGES || (a->stage == STAGE_COMPARE && a->dry_run))
		return STAGE_DONE;
	return a->stage + 1;
}

static bool step(struct apply *a)
{
	static bool (*const functions[])(struct apply *) = {
#define X(id, function) [STAGE_##id] = (function),
	    STAGES(X)
#undef X
	};

	if (functions[a->stage](a)) {
		a->at += !a->again;
		return true;
	}
	a->stage = next_stage(a);
	a->at = 0;
	return a->stage != STAGE_DONE;
}

bool apply_work(struct apply *a, int64_t ns)
{
	int64_t end = clock_ns() + ns;

	a->again = false;
	while (a->stage != STAGE_DONE && step(a))
		if (a->again || clock_ns() >= end)
			return true;
	return false;
}

struct apply_outcome apply_outcome(struct apply *a)
{
	if (a->lost)
		tell_lost(&a->outcome.error, a->lost, "removed", "added again");
	if (a->not_set)
		tell_lost(&a->outcome.error, a->not_set, "changed", "set as before");
	if (!a->failed)
		a->outcome.changes = list_changes(a);
	return a->outcome;
}

struct apply *apply_create(const struct manage *manage, const struct apply_request *request)
{
	struct apply *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->manage = manage;
	a->sw = manage->config.sw;
	a->about = request->about;
	a->dry_run = request->dry_run;
	a->any_socket = request->any_socket;
	a->at_once = request->at_once;
	a->given_bridges = json_incref(json_object_get(request->config, "bridges"));
	a->then_bridges = json_array();
	a->outcome.index = APPLY_NO_PLACE;
	a->given = json_incref(json_object_get(request->config, "ports"));
	a->then = json_array();
	return a;
}

void apply_destroy(struct apply *a)
{
	if (!a)
		return;
	json_decref(a->given);
	json_decref(a->now);
	json_decref(a->then);
	json_decref(a->sockets);
	json_decref(a->given_bridges);
	json_decref(a->now_bridges);
	json_decref(a->then_bridges);
	free(a->bridge_changes.change);
	free(a->bridge_done);
	free(a->changes.change);
	free(a->done);
	free(a->gone);
	free(a->taken);
	free(a);
}

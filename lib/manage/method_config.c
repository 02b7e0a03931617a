/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A configuration is a list of ports. To apply one, it is compared with the ports that there are,
 * and only the differences are carried out. A port of the command line that the configuration does
 * not have stays. A port without a socket of its own (a descriptor) is not part of a configuration.
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
 */
#include "manage/methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/ports.h"
#include "control/switch_port.h"
#include "control/vswitch.h"
#include "manage/check.h"
#include "manage/config.h"

struct job {
	struct vswitch *sw;
	const char *about;
	json_t *now, *then; /* ports with all fields */
	json_t *sockets;    /* an object with the paths of the ports that there are */
	struct config_changes changes;
	bool *done; /* by change: the new port was added */
	bool *gone; /* by change: the old port was removed */
	struct manage_error *error;
};

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

/* The ports that a configuration can describe, as an array. */
static json_t *current_ports(const struct vswitch *sw)
{
	json_t *ports = json_array();
	const struct switch_port *sp;

	for (unsigned p = 0; (sp = vswitch_port_next(sw, &p));) {
		const struct port_config *config = vswitch_port_config(sp);

		if (has_json(config))
			json_array_append_new(ports, manage_port_config(config));
	}
	return ports;
}

static json_t *port_defaults(const struct vswitch *sw)
{
	struct port_config config;

	vswitch_port_defaults(sw, &config);
	config.name = NULL;
	config.path = NULL;
	return manage_port_config(&config);
}

/* A port with all fields, checked as for port.add. NULL: error. */
static json_t *whole_port(const struct job *job, size_t index, const json_t *given)
{
	struct schema_method add = *schema_method(&schema_switch, "port.add");
	const char *name = json_string_value(json_object_get(given, "name"));
	json_t *checked, *whole = NULL;
	struct port_config config;
	char about[128];

	/* A message begins with the place of its port. */
	snprintf(about, sizeof(about), "%s: port %zu%s%s", job->about, index + 1, name ? ", " : "",
	    name ? name : "");
	add.name = about;
	checked = check_params(&schema_switch, &add, given, job->error);
	vswitch_port_defaults(job->sw, &config);
	if (checked && manage_read_port(about, checked, &config, job->error))
		whole = manage_port_config(&config);
	json_decref(checked);
	return whole;
}

/* The ports of a configuration. NULL: error. */
static json_t *whole_ports(const struct job *job, const json_t *config)
{
	json_t *given = json_object_get(config, "ports"), *ports, *entry;
	size_t i;

	if (json_array_size(given) > PORTS_MAX)
		return manage_fail(job->error, MANAGE_NO_ROOM,
		    "%s: it has %zu ports; at most %u are possible", job->about,
		    json_array_size(given), PORTS_MAX);
	ports = json_array();
	json_array_foreach(given, i, entry)
	{
		json_t *port = whole_port(job, i, entry);

		if (!port || json_array_append_new(ports, port) < 0) {
			json_decref(ports);
			return NULL;
		}
	}
	return ports;
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

	json_array_foreach(ports, i, entry) json_object_set_new(
	    sockets, json_string_value(json_object_get(entry, "socket")), json_true());
	return sockets;
}

/* Has a port that there is the socket of this one? */
static bool has_socket(const struct job *job, const json_t *port)
{
	return json_object_get(job->sockets, json_string_value(json_object_get(port, "socket")));
}

/* Can it be added before ports are removed? */
static bool comes_first(const struct job *job, const struct config_change *c)
{
	return c->action == CONFIG_ADD && !has_socket(job, c->then);
}

static unsigned free_indices(const struct port_indices *indices)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PORTS_MAX; i++)
		n += !indices->taken[i];
	return n;
}

/* How many indices are needed, at worst? */
static unsigned needed_indices(const struct job *job)
{
	unsigned added = 0, removed = 0;
	bool may_come_back = false;

	for (size_t i = 0; i < job->changes.n; i++) {
		const struct config_change *c = &job->changes.change[i];

		added += c->action != CONFIG_DEL;
		removed += c->action != CONFIG_ADD;
		may_come_back |= c->action != CONFIG_DEL && !comes_first(job, c);
	}
	return added + (may_come_back ? removed : 0);
}

static bool has_room(const struct job *job)
{
	unsigned needed = needed_indices(job), available = free_indices(&job->sw->indices);

	if (needed <= available)
		return true;
	manage_fail(job->error, MANAGE_NO_ROOM,
	    "%s: this takes %u places for ports meanwhile; only %u are free now", job->about,
	    needed, available);
	return false;
}

static const char *text_of(const json_t *port, const char *field)
{
	return json_string_value(json_object_get(port, field));
}

/* The sockets that stay as they are, with words for what has them. */
static json_t *kept_sockets(const struct job *job, const struct manage *m)
{
	json_t *kept = json_object(), *names = json_object(), *port;
	size_t i;

	json_object_set_new(kept, m->config.path, json_string("the switch listens there itself"));
	json_array_foreach(job->then, i, port)
	    json_object_set_new(names, text_of(port, "name"), json_true());
	json_array_foreach(job->now, i, port)
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
static bool sockets_differ(const struct job *job, const struct manage *m)
{
	json_t *taken = kept_sockets(job, m), *port;
	bool differ = true;
	char expected[320];
	size_t i;

	json_array_foreach(job->then, i, port)
	{
		const char *socket = text_of(port, "socket");
		json_t *by = json_object_get(taken, socket);

		if (by) {
			snprintf(expected, sizeof(expected), "free: %s", json_string_value(by));
			manage_fail_field(job->error, MANAGE_EXISTS, job->about, "socket",
			    json_object_get(port, "socket"), expected);
			differ = false;
			break;
		}
		json_object_set_new(taken, socket,
		    json_sprintf("the port %s of the configuration has it", text_of(port, "name")));
	}
	json_decref(taken);
	return differ;
}

static int begin(struct job *job, const struct manage *m, const json_t *config)
{
	int err;

	job->sw = m->config.sw;
	job->then = whole_ports(job, config);
	if (!job->then)
		return -EINVAL;
	job->now = current_ports(job->sw);
	job->sockets = sockets_of(job->now);
	err = config_compare(
	    port_object(), job->now, job->then, NULL, job->about, &job->changes, job->error);
	if (err)
		return err;
	if (!sockets_differ(job, m))
		return -EEXIST;
	keep_given(m, &job->changes);
	if (!has_room(job))
		return -ENOSPC;
	job->done = calloc(job->changes.n + 1, sizeof(bool));
	job->gone = calloc(job->changes.n + 1, sizeof(bool));
	if (job->done && job->gone)
		return 0;
	manage_fail(job->error, MANAGE_INTERNAL, "out of memory");
	return -ENOMEM;
}

static void end(struct job *job)
{
	json_decref(job->now);
	json_decref(job->then);
	json_decref(job->sockets);
	free(job->changes.change);
	free(job->done);
	free(job->gone);
}

static void remove_port(struct vswitch *sw, const char *name)
{
	struct switch_port *sp = vswitch_port_find(sw, name);

	if (sp)
		vswitch_port_del(sw, sp, NULL, NULL);
}

/* Add ports: only_new: those with sockets that no port has. False: error. */
static bool add_ports(struct job *job, bool only_new)
{
	for (size_t i = 0; i < job->changes.n; i++) {
		const struct config_change *c = &job->changes.change[i];

		if (c->action == CONFIG_DEL || job->done[i] || (only_new && !comes_first(job, c)))
			continue; /* nothing to add, or not yet */
		if (!manage_add_port(job->sw, job->about, c->then, job->error))
			return false;
		job->done[i] = true;
	}
	return true;
}

static void remove_ports(struct job *job)
{
	for (size_t i = 0; i < job->changes.n; i++) {
		if (job->changes.change[i].action == CONFIG_ADD)
			continue; /* there was no port */
		remove_port(job->sw, job->changes.change[i].name);
		job->gone[i] = true;
	}
}

/* The message of the error also says that ports are lost. */
static void tell_lost(struct manage_error *error, unsigned lost)
{
	const struct manage_error before = *error;

	manage_fail(error, before.code, "%.240s; %u %s removed could not be added again",
	    before.message, lost, lost == 1 ? "port that was" : "ports that were");
	error->data = before.data;
}

/* Something could not be added: what was before comes back. */
static void undo(struct job *job)
{
	struct manage_error error;
	unsigned lost = 0;

	for (size_t i = 0; i < job->changes.n; i++)
		if (job->done[i])
			remove_port(job->sw, job->changes.change[i].name);
	for (size_t i = 0; i < job->changes.n; i++) {
		if (!job->gone[i] ||
		    manage_add_port(job->sw, job->about, job->changes.change[i].now, &error))
			continue; /* it was not removed, or is there again */
		log_error(
		    "%s could not be added again: %s", job->changes.change[i].name, error.message);
		json_decref(error.data);
		lost++;
	}
	if (lost)
		tell_lost(job->error, lost);
}

static bool carry_out(struct job *job)
{
	bool right = add_ports(job, true);

	if (right) {
		remove_ports(job);
		right = add_ports(job, false);
	}
	if (!right)
		undo(job);
	return right;
}

static json_t *list_changes(const struct config_changes *changes)
{
	json_t *entries = json_array();

	for (size_t i = 0; i < changes->n; i++) {
		const struct config_change *c = &changes->change[i];

		json_array_append_new(entries,
		    json_pack("{s:s, s:s, s:o, s:s?}", "action", config_action_name(c->action),
			"object", "port", "name", manage_text(c->name), "because", c->because));
	}
	return manage_list(entries, NULL);
}

json_t *manage_apply(const struct manage *m, const char *about, const json_t *config, bool dry_run,
    struct manage_error *error)
{
	struct job job = {.about = about, .error = error};
	json_t *result = NULL;

	if (begin(&job, m, config) == 0 && (dry_run || carry_out(&job)))
		result = list_changes(&job.changes);
	end(&job);
	return result;
}

json_t *method_config_get(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	json_t *ports = current_ports(m->config.sw), *defaults = port_defaults(m->config.sw);
	json_t *entry, *value;
	const char *name;
	size_t i;

	json_array_foreach(ports, i, entry)
	{
		json_object_foreach(defaults, name, value)
		{
			if (json_equal(json_object_get(entry, name), value))
				json_object_del(entry, name);
		}
	}
	json_decref(defaults);
	return json_pack("{s:o}", "ports", ports);
}

json_t *method_config_diff(const struct rpc_call *call)
{
	return manage_apply(call->arg, call->method->name, json_object_get(call->params, "config"),
	    true, call->error);
}

json_t *method_config_apply(const struct rpc_call *call)
{
	return manage_apply(call->arg, call->method->name, json_object_get(call->params, "config"),
	    json_is_true(json_object_get(call->params, "dry_run")), call->error);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Begins and ends what manage.h offers, and tells clients what happens in the switch. */
#include "manage/manage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log_limit.h"
#include "control/vswitch.h"
#include "manage/address_watch.h"
#include "manage/change.h"
#include "manage/methods.h"
#include "manage/rpc_server.h"

static void on_port_event(struct switch_port *sp, enum port_event event, void *arg)
{
	static const enum manage_event told[] = {
	    [PORT_ADDED] = MANAGE_EVENT_PORT_ADDED,
	    [PORT_REMOVED] = MANAGE_EVENT_PORT_REMOVED,
	    [PORT_UP] = MANAGE_EVENT_PORT_UP,
	    [PORT_DOWN] = MANAGE_EVENT_PORT_DOWN,
	};
	const struct manage *m = arg;

	if (manage_wanted(m, told[event]))
		manage_publish(m, told[event], json_pack("{s:o}", "port", manage_text(sp->name)));
}

static void on_move(const struct vswitch_move *move, void *arg)
{
	const struct manage *m = arg;
	const struct switch_port *sp = m->config.sw->port[move->queue->port->index];

	if (sp && manage_wanted(m, MANAGE_EVENT_QUEUE_MOVED))
		manage_publish(m, MANAGE_EVENT_QUEUE_MOVED,
		    json_pack("{s:o, s:i, s:i, s:i}", "port", manage_text(sp->name), "queue",
			(int)move->queue->index, "from", (int)move->from, "to", (int)move->to));
}

/* Ports that are there before the first client comes are from the command line. */
static json_t *given_ports(const struct vswitch *sw)
{
	json_t *given = json_object();
	const struct switch_port *sp;

	for (unsigned p = 0; (sp = vswitch_port_next(sw, &p));)
		json_object_set_new(given, sp->name, json_true());
	return given;
}

/* The parameters as in a command of vswitchctl; the key comes without its name. */
static void show_params(
    const struct schema_method *method, const json_t *params, char *text, size_t room)
{
	const struct schema_field *f;
	unsigned next = 0;
	bool required;
	size_t at = 0;

	text[0] = '\0';
	while ((f = schema_next_param(&schema_switch, method, &next, &required)) && at < room) {
		const json_t *value = json_object_get(params, f->name);
		const char *name = f->flags & SCHEMA_KEY ? "" : f->name;

		if (json_is_string(value))
			at += (size_t)snprintf(text + at, room - at, "%s%s %s", *name ? " " : "",
			    name, json_string_value(value));
		else if (json_is_integer(value))
			at += (size_t)snprintf(text + at, room - at, " %s %lld", name,
			    (long long)json_integer_value(value));
		else if (json_is_true(value))
			at += (size_t)snprintf(text + at, room - at, " %s", name);
	}
}

static void on_changed(void *arg, const struct rpc_peer *peer, const struct schema_method *method,
    const json_t *params)
{
	const struct manage *m = arg;
	char text[400];

	if (json_is_true(json_object_get(params, "dry_run")))
		return;
	show_params(method, params, text, sizeof(text));
	log_limited(rpc_server_change_limit(m->server), LOG_INFO, "control socket",
	    "pid %d, uid %u: %s%s", (int)peer->pid, peer->uid, method->name, text);
}

static int start(struct manage *m)
{
	const struct rpc_config rpc = {
	    .schema = &schema_switch, .methods = manage_methods, .arg = m, .changed = on_changed};
	int err = change_create(m);

	if (!err)
		err = address_watch_create(m);
	if (!err && m->config.loaded)
		err = change_load(m, m->config.loaded);
	m->config.loaded = NULL;
	if (!err && m->config.path)
		err = rpc_server_create(m->config.base, m->config.path, &rpc, &m->server);
	if (!err)
		err = vswitch_port_listen(m->config.sw, on_port_event, m);
	if (!err)
		vswitch_moves_listen(m->config.sw, on_move, m);
	return err;
}

int manage_create(const struct manage_config *config, struct manage **ret_manage)
{
	struct manage *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->config = *config;
	m->started_ms = clock_ms();
	m->given = given_ports(config->sw);
	err = start(m);
	if (err)
		manage_destroy(m);
	else
		*ret_manage = m;
	return err;
}

void manage_destroy(struct manage *m)
{
	if (!m)
		return;
	rpc_server_destroy(m->server);
	address_watch_destroy(m);
	change_destroy(m);
	json_decref(m->given);
	free(m);
}

void manage_reload(struct manage *m)
{
	change_reload(m);
}

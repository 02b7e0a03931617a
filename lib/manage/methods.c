/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A table connects the methods of the schema with functions; a test calls every method of the
 * schema. The functions for ports and addresses are in files of their own. No function waits for
 * workers: counters are read while workers write them, and may be some frames old.
 */
#include "manage/methods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_limit.h"
#include "base/util.h"
#include "control/vswitch.h"
#include "manage/address_watch.h"
#include "manage/rpc_server.h"
#include "manage/schema_json.h"

/* It grows when something is removed or changes its meaning. */
#define INTERFACE 2

const struct rpc_method manage_methods[] = {
    {"version", method_version},
    {"switch.show", method_switch_show},
    {"switch.set", method_switch_set},
    {"port.add", method_port_add},
    {"port.del", method_port_del},
    {"port.set", method_port_set},
    {"port.list", method_port_list},
    {"port.show", method_port_show},
    {"port.stats", method_port_stats},
    {"bridge.add", method_bridge_add},
    {"bridge.del", method_bridge_del},
    {"bridge.set", method_bridge_set},
    {"bridge.list", method_bridge_list},
    {"fdb.list", method_fdb_list},
    {"fdb.add", method_fdb_add},
    {"fdb.del", method_fdb_del},
    {"fdb.flush", method_fdb_flush},
    {"worker.list", method_worker_list},
    {"worker.move", method_worker_move},
    {"log.set", method_log_set},
    {"config.get", method_config_get},
    {"config.diff", method_config_diff},
    {"config.apply", method_config_apply},
    {"config.save", method_config_save},
    {"schema.get", method_schema_get},
    {"subscribe", method_subscribe},
    {"unsubscribe", method_unsubscribe},
    {"shutdown", method_shutdown},
    {0},
};

json_t *manage_mac(uint64_t mac)
{
	unsigned byte[6];

	for (unsigned i = 0; i < ARRAY_SIZE(byte); i++)
		byte[i] = (unsigned)(mac >> 8 * i) & 0xff;
	return json_sprintf(
	    "%02x:%02x:%02x:%02x:%02x:%02x", byte[0], byte[1], byte[2], byte[3], byte[4], byte[5]);
}

json_t *manage_text(const char *text)
{
	json_t *json = json_string(text);
	char *copy;

	if (json)
		return json;
	copy = strdup(text);
	for (char *c = copy; copy && *c; c++)
		if (*c & 0x80)
			*c = '?';
	json = copy ? json_string(copy) : NULL;
	free(copy);
	return json;
}

json_t *manage_list(json_t *entries, json_t *next)
{
	return json_pack("{s:o, s:o}", "entries", entries, "next", next ? next : json_null());
}

json_t *method_version(const struct rpc_call *call)
{
	(void)call;
	return json_pack("{s:s, s:i}", "version", VSWITCHD_VERSION, "interface", INTERFACE);
}

json_t *method_log_set(const struct rpc_call *call)
{
	const char *name = json_string_value(json_object_get(call->params, "level"));
	enum log_level level;

	if (!log_level_parse(name, &level))
		return manage_fail(call->error, MANAGE_INTERNAL, "log.set: no such level");
	log_set_level(level);
	return json_object();
}

json_t *method_schema_get(const struct rpc_call *call)
{
	(void)call;
	return schema_to_json(&schema_switch);
}

#define ADDRESS_EVENTS \
	(1u << MANAGE_EVENT_ADDRESS_LEARNED | 1u << MANAGE_EVENT_ADDRESS_MOVED | \
	    1u << MANAGE_EVENT_ADDRESS_FORGOTTEN)

static unsigned event_bit(const char *name)
{
	static const char *const names[] = {
#define X(id, text, when) [MANAGE_EVENT_##id] = (text),
	    MANAGE_EVENTS(X)
#undef X
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], name) == 0)
			return 1u << i;
	return 0;
}

json_t *method_subscribe(const struct rpc_call *call)
{
	const json_t *names = json_object_get(call->params, "events");
	unsigned events = names ? 0 : (1u << MANAGE_EVENTS_N) - 1;
	size_t i;
	json_t *name;

	json_array_foreach(names, i, name) events |= event_bit(json_string_value(name));
	if ((events & ADDRESS_EVENTS) && address_watch_waits(call))
		return NULL;
	rpc_session_subscribe(call->session, events);
	return json_object();
}

json_t *method_unsubscribe(const struct rpc_call *call)
{
	rpc_session_subscribe(call->session, 0);
	return json_object();
}

json_t *method_shutdown(const struct rpc_call *call)
{
	struct manage *m = call->arg;

	if (!m->ending)
		log_info("a client asks the switch to end");
	m->ending = true;
	m->config.shutdown(m->config.arg);
	return json_object();
}

bool manage_wanted(const struct manage *m, enum manage_event event)
{
	return m->server && rpc_wanted(rpc_server_rpc(m->server), event);
}

void manage_publish(const struct manage *m, enum manage_event event, json_t *params)
{
	rpc_publish(rpc_server_rpc(m->server), event, params);
}

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
	m->change.done_fd = -1;
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

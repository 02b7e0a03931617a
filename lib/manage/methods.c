/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A table connects the methods of the schema with functions; a test calls every method of the
 * schema. The functions for ports and addresses are in files of their own. No function waits for
 * workers: counters are read while workers write them, and may be some frames old.
 */
#include "manage/methods.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_limit.h"
#include "bridge/fdb.h"
#include "control/vswitch.h"
#include "manage/rpc_server.h"
#include "manage/schema_json.h"

/* It grows when something is removed or changes its meaning. */
#define INTERFACE 1

const struct rpc_method manage_methods[] = {
    {"version", method_version},
    {"switch.show", method_switch_show},
    {"port.add", method_port_add},
    {"port.del", method_port_del},
    {"port.list", method_port_list},
    {"port.show", method_port_show},
    {"port.stats", method_port_stats},
    {"fdb.list", method_fdb_list},
    {"worker.list", method_worker_list},
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

static const char *shown_level(void)
{
	const char *name = "";

#define X(id, text) \
	if (log_level_shown(LOG_##id)) \
		name = (text);
	LOG_LEVELS(X)
#undef X
	return name;
}

static unsigned ports_up(const struct vswitch *sw, unsigned *ret_ports)
{
	const struct switch_port *sp;
	unsigned up = 0;

	*ret_ports = 0;
	for (unsigned p = 0; (sp = vswitch_port_next(sw, &p));) {
		(*ret_ports)++;
		up += switch_port_up(sp);
	}
	return up;
}

json_t *method_switch_show(const struct rpc_call *call)
{
	static const char *const modes[] = SCHEDULE_MODES;
	const struct manage *m = call->arg;
	const struct vswitch *sw = m->config.sw;
	unsigned ports, up = ports_up(sw, &ports);

	return json_pack("{s:s, s:i, s:I, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:s, s:I, s:s}",
	    "version", VSWITCHD_VERSION, "pid", (int)getpid(), "uptime",
	    (json_int_t)((clock_ms() - m->started_ms) / 1000), "ports", (int)ports, "ports_up",
	    (int)up, "workers", (int)workers_count(sw->workers), "addresses",
	    (json_int_t)fdb_count(sw->fdb), "addresses_max", (json_int_t)sw->fdb->max_entries,
	    "addresses_moved", (json_int_t)fdb_moves(sw->fdb), "addresses_refused",
	    (json_int_t)fdb_refused(sw->fdb), "balance",
	    modes[scheduler_config(sw->scheduler)->mode], "queues_moved",
	    (json_int_t)scheduler_counts(sw->scheduler).moved, "log_level", shown_level());
}

/* How many queues each worker polls. */
static void count_queues(const struct vswitch *sw, unsigned n, unsigned ret_queues[])
{
	const struct switch_port *sp;

	memset(ret_queues, 0, n * sizeof(ret_queues[0]));
	for (unsigned p = 0; (sp = vswitch_next_port(sw, &p));) {
		for (unsigned i = 0; i < sp->n_polled; i++)
			if (sp->polled[i]->worker < n)
				ret_queues[sp->polled[i]->worker]++;
	}
}

static json_t *worker_json(const struct vswitch *sw, unsigned w, unsigned queues)
{
	struct worker_stats s;

	workers_read_stats(sw->workers, w, &s);
	return json_pack("{s:i, s:i, s:i, s:b, s:i, s:i, s:I, s:I}", "index", (int)w, "cpu",
	    (int)s.cpu, "node", (int)s.node, "asleep", (int)s.asleep, "busy",
	    (int)MIN(scheduler_load(sw->scheduler, w), 1000u), "queues", (int)queues, "frames",
	    (json_int_t)s.frames, "sleeps", (json_int_t)s.sleeps);
}

json_t *method_worker_list(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	const struct vswitch *sw = m->config.sw;
	unsigned n = workers_count(sw->workers), queues[RTE_MAX_LCORE];
	json_t *entries = json_array();

	n = MIN(n, ARRAY_SIZE(queues));
	count_queues(sw, n, queues);
	for (unsigned w = 0; w < n; w++)
		json_array_append_new(entries, worker_json(sw, w, queues[w]));
	return manage_list(entries, NULL);
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

static void on_port_event(struct switch_port *sp, enum port_event event, void *arg)
{
	static const enum manage_event told[] = {
	    [PORT_ADDED] = MANAGE_EVENT_PORT_ADDED,
	    [PORT_REMOVED] = MANAGE_EVENT_PORT_REMOVED,
	    [PORT_UP] = MANAGE_EVENT_PORT_UP,
	    [PORT_DOWN] = MANAGE_EVENT_PORT_DOWN,
	};
	const struct manage *m = arg;
	struct rpc *rpc = m->server ? rpc_server_rpc(m->server) : NULL;

	if (rpc && rpc_wanted(rpc, told[event]))
		rpc_publish(rpc, told[event], json_pack("{s:o}", "port", manage_text(sp->name)));
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

/* Names of objects are the first field. */
static void on_changed(void *arg, const struct rpc_peer *peer, const struct schema_method *method,
    const json_t *params)
{
	const struct schema_object *object = schema_object(&schema_switch, method->object);
	struct manage *m = arg;
	const char *key =
	    object ? json_string_value(json_object_get(params, object->fields[0].name)) : NULL;

	if (json_is_true(json_object_get(params, "dry_run")))
		return;
	log_limited(rpc_server_change_limit(m->server), LOG_INFO, "control socket",
	    "pid %d, uid %u: %s%s%s", (int)peer->pid, peer->uid, method->name, key ? " " : "",
	    key ? key : "");
}

static int start(struct manage *m)
{
	const struct rpc_config rpc = {
	    .schema = &schema_switch, .methods = manage_methods, .arg = m, .changed = on_changed};
	int err = change_create(m);

	if (!err && m->config.loaded)
		err = change_load(m, m->config.loaded);
	m->config.loaded = NULL;
	if (!err && m->config.path)
		err = rpc_server_create(m->config.base, m->config.path, &rpc, &m->server);
	return err ? err : vswitch_port_listen(m->config.sw, on_port_event, m);
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
	change_destroy(m);
	json_decref(m->given);
	free(m);
}

void manage_reload(struct manage *m)
{
	change_reload(m);
}

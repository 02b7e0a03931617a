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

#include "base/log.h"
#include "base/util.h"
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

/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/methods.h"

#include <errno.h>
#include <stdio.h>

#include "bridge/fdb.h"
#include "control/port_settings.h"
#include "control/ports.h"
#include "control/vswitch.h"
#include "manage/change.h"

json_t *manage_bridge_config(const struct bridge_config *c)
{
	return json_pack("{s:s, s:i, s:i, s:b, s:b}", "name", c->name, "mac_table",
	    (int)c->fdb_entries, "age", (int)c->fdb_age_s, "forward_bpdu", (int)c->forward_bpdu,
	    "drop_unknown", (int)c->drop_unknown);
}

static json_t *bridge_json(const struct bridge *bridge)
{
	json_t *json = manage_bridge_config(vswitch_bridge_config(bridge));

	json_object_set_new(json, "ports", json_integer(vswitch_bridge_ports(bridge)));
	json_object_set_new(json, "addresses", json_integer(fdb_count(vswitch_bridge_fdb(bridge))));
	return json;
}

struct bridge *manage_find_bridge(const struct rpc_call *call, const char *field)
{
	const struct manage *m = call->arg;
	const json_t *name = json_object_get(call->params, field);
	struct bridge *bridge = vswitch_bridge_find(m->config.sw, json_string_value(name));

	if (!bridge)
		manage_fail_field(call->error, MANAGE_NOT_FOUND, call->method->name, field, name,
		    "a bridge; bridge.list names all bridges");
	return bridge;
}

/* The field of the schema that is this one of struct bridge_config. */
static json_t *refuse(const struct rpc_call *call, int err, const struct port_fault *fault)
{
	enum manage_error_code code = MANAGE_REFUSED;

	if (err == -EEXIST)
		code = MANAGE_EXISTS;
	else if (err == -ENOSPC || err == -ENOMEM)
		code = MANAGE_NO_ROOM;
	else if (err == -EINVAL)
		code = MANAGE_PARAMS;
	return manage_fail(call->error, code, "%s: %s", call->method->name, fault->text);
}

static void take_bool(const json_t *params, const char *name, bool *value)
{
	if (json_object_get(params, name))
		*value = json_is_true(json_object_get(params, name));
}

void manage_read_bridge(const json_t *bridge, struct bridge_config *config)
{
	const json_t *entries = json_object_get(bridge, "mac_table");
	const json_t *age = json_object_get(bridge, "age");

	snprintf(config->name, sizeof(config->name), "%s",
	    json_string_value(json_object_get(bridge, "name")));
	if (entries)
		config->fdb_entries = (uint32_t)json_integer_value(entries);
	if (age)
		config->fdb_age_s = (unsigned)json_integer_value(age);
	take_bool(bridge, "forward_bpdu", &config->forward_bpdu);
	take_bool(bridge, "drop_unknown", &config->drop_unknown);
}

json_t *method_bridge_add(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	struct bridge_config config;
	struct port_fault fault;
	struct bridge *bridge;
	int err;

	if (change_waits(call))
		return NULL;
	vswitch_bridge_defaults(m->config.sw, &config);
	manage_read_bridge(call->params, &config);
	err = vswitch_bridge_add_soon(m->config.sw, &config, &bridge, &fault);
	if (err == -EAGAIN) {
		change_goes_on(call);
		return NULL;
	}
	return err ? refuse(call, err, &fault) : bridge_json(bridge);
}

json_t *method_bridge_del(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	struct bridge *bridge;
	struct port_fault fault;
	int err;

	if (change_waits(call))
		return NULL;
	bridge = manage_find_bridge(call, "name");
	if (!bridge)
		return NULL;
	err = vswitch_bridge_del(m->config.sw, bridge, &fault);
	return err ? refuse(call, err, &fault) : json_object();
}

json_t *method_bridge_set(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	struct bridge *bridge;
	bool drop;

	if (change_waits(call))
		return NULL;
	bridge = manage_find_bridge(call, "name");
	if (!bridge)
		return NULL;
	drop = vswitch_bridge_config(bridge)->drop_unknown;
	take_bool(call->params, "drop_unknown", &drop);
	vswitch_bridge_drop_unknown(m->config.sw, bridge, drop);
	return bridge_json(bridge);
}

json_t *method_bridge_list(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	const struct bridge *bridge;
	json_t *entries = json_array();

	for (unsigned at = 0; (bridge = vswitch_bridge_next(m->config.sw, &at));)
		json_array_append_new(entries, bridge_json(bridge));
	return manage_list(entries, NULL);
}

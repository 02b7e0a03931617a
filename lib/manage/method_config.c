/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/methods.h"

#include "control/ports.h"
#include "control/vswitch.h"
#include "manage/change.h"

static json_t *port_defaults(const struct vswitch *sw)
{
	struct port_config config;

	vswitch_port_defaults(sw, &config);
	config.name = NULL;
	config.path = NULL;
	return manage_port_config(&config);
}

/* What is as the defaults say is left out. */
static void leave_out(json_t *object, const json_t *defaults)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)defaults, name, value)
	{
		if (json_equal(json_object_get(object, name), value))
			json_object_del(object, name);
	}
}

/* The default bridge is left out, too, if it is as the command line says. */
static json_t *bridges(const struct vswitch *sw)
{
	json_t *all = manage_bridges(sw), *listed = json_array(), *bridge, *defaults;
	struct bridge_config config;
	size_t i;

	vswitch_bridge_defaults(sw, &config);
	defaults = manage_bridge_config(&config);
	json_array_foreach(all, i, bridge)
	{
		leave_out(bridge, defaults);
		if (i > 0 || json_object_size(bridge) > 1)
			json_array_append(listed, bridge);
	}
	json_decref(all);
	json_decref(defaults);
	return listed;
}

json_t *manage_config(const struct manage *m)
{
	json_t *ports = apply_current_ports(m->config.sw), *defaults = port_defaults(m->config.sw);
	json_t *entry, *config = json_object(), *listed = bridges(m->config.sw);
	size_t i;

	json_array_foreach(ports, i, entry) leave_out(entry, defaults);
	json_decref(defaults);
	if (json_array_size(listed))
		json_object_set(config, "bridges", listed);
	json_decref(listed);
	json_object_set_new(config, "ports", ports);
	return config;
}

/* Room for the rest of a request that applies it. */
#define AROUND 128

json_t *method_config_get(const struct rpc_call *call)
{
	json_t *config = manage_config(call->arg);
	size_t n = json_dumpb(config, NULL, 0, JSON_COMPACT);

	if (n <= RPC_LINE_MAX - AROUND)
		return config;
	json_decref(config);
	return manage_fail(call->error, MANAGE_TOO_LARGE,
	    "config.get: the configuration has %zu bytes, more than a request of %u bytes could "
	    "apply; config.save writes it to the file of --config, and port.show tells one port",
	    n, RPC_LINE_MAX);
}

json_t *method_config_diff(const struct rpc_call *call)
{
	return change_apply(call, json_object_get(call->params, "config"), true);
}

json_t *method_config_apply(const struct rpc_call *call)
{
	return change_apply(call, json_object_get(call->params, "config"),
	    json_is_true(json_object_get(call->params, "dry_run")));
}

json_t *method_config_save(const struct rpc_call *call)
{
	const struct manage *m = call->arg;

	if (!m->config.file)
		return manage_fail(call->error, MANAGE_REFUSED,
		    "config.save: the switch was started without --config FILE, so there is no "
		    "file to write");
	return change_save(call);
}

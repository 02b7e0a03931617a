/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/methods.h"

#include "control/ports.h"
#include "control/vswitch.h"

static json_t *port_defaults(const struct vswitch *sw)
{
	struct port_config config;

	vswitch_port_defaults(sw, &config);
	config.name = NULL;
	config.path = NULL;
	return manage_port_config(&config);
}

json_t *manage_config(const struct manage *m)
{
	json_t *ports = apply_current_ports(m->config.sw), *defaults = port_defaults(m->config.sw);
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

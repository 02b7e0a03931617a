/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/methods.h"

#include <errno.h>
#include <string.h>

#include "control/ports.h"
#include "control/switch_port.h"
#include "net/net_features.h"

static const char *text_of(const struct rpc_call *call, const char *name)
{
	return json_string_value(json_object_get(call->params, name));
}

/* What is not given stays as it is. */
static void take_bool(const struct rpc_call *call, const char *name, bool *value)
{
	const json_t *given = json_object_get(call->params, name);

	if (given)
		*value = json_is_true(given);
}

static bool take_offer(const struct rpc_call *call, struct net_offer *offer)
{
	const char *text = text_of(call, "offer");
	char word[64], names[640];

	take_bool(call, "iommu", &offer->iommu);
	take_bool(call, "postcopy", &offer->postcopy);
	take_bool(call, "host_notifier", &offer->host_notifier);
	take_bool(call, "inband", &offer->inband);
	if (!text || net_features_parse(text, &offer->features, word, sizeof(word)))
		return true;
	net_features_names(names, sizeof(names));
	manage_fail_field(call->error, MANAGE_PARAMS, call->method->name, "offer",
	    json_object_get(call->params, "offer"), names);
	return false;
}

static bool take_config(const struct rpc_call *call, struct port_config *c)
{
	const json_t *client = json_object_get(call->params, "client");
	const json_t *pairs = json_object_get(call->params, "queue_pairs");
	const json_t *mtu = json_object_get(call->params, "max_mtu");
	const char *memory = text_of(call, "guest_memory");

	c->name = text_of(call, "name");
	c->path = text_of(call, "socket");
	if (client)
		c->mode = json_is_true(client) ? VHOST_ENDPOINT_CLIENT : VHOST_ENDPOINT_SERVER;
	if (pairs)
		c->offer.queue_pairs = (unsigned)json_integer_value(pairs);
	if (mtu)
		c->offer.mtu = (uint16_t)json_integer_value(mtu);
	if (memory)
		c->offer.memory_any = strcmp(memory, "any") == 0;
	return take_offer(call, &c->offer);
}

static json_t *refuse(const struct rpc_call *call, int err, const struct port_fault *fault)
{
	enum manage_error_code code = MANAGE_REFUSED;

	if (err == -EEXIST)
		code = MANAGE_EXISTS;
	else if (err == -ENOSPC || err == -ENOMEM || err == -EMFILE || err == -ENFILE)
		code = MANAGE_NO_ROOM;
	return manage_fail(call->error, code, "port.add: %s", fault->text);
}

/* Is it the port that is to be added? */
static bool is_the_same(const struct switch_port *sp, const struct rpc_call *call)
{
	const char *path = vswitch_port_config(sp)->path, *socket = text_of(call, "socket");

	return path && socket && strcmp(path, socket) == 0;
}

json_t *method_port_add(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	struct switch_port *sp = vswitch_port_find(m->config.sw, text_of(call, "name"));
	bool exist_ok = json_is_true(json_object_get(call->params, "exist_ok"));
	struct port_config config;
	struct port_fault fault;
	int err;

	if (sp && exist_ok && is_the_same(sp, call))
		return manage_port(sp);
	vswitch_port_defaults(m->config.sw, &config);
	if (!take_config(call, &config))
		return NULL;
	err = vswitch_port_add(m->config.sw, &config, &sp, &fault);
	return err ? refuse(call, err, &fault) : manage_port(sp);
}

json_t *method_port_del(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	struct switch_port *sp = vswitch_port_find(m->config.sw, text_of(call, "name"));

	if (!sp && json_is_true(json_object_get(call->params, "missing_ok")))
		return json_object();
	if (!sp)
		sp = manage_find_port(call, "name");
	if (!sp)
		return NULL;
	vswitch_port_del(m->config.sw, sp, NULL, NULL);
	return json_object();
}

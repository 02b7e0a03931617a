/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/methods.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "control/ports.h"
#include "control/switch_port.h"
#include "manage/change.h"

static const char *text_of(const json_t *port, const char *name)
{
	return json_string_value(json_object_get(port, name));
}

/* The data of an error: this field of the port, and the message. */
static void add_data(struct manage_error *error, const json_t *port, const char *field)
{
	json_t *value = json_object_get(port, field);

	error->data = json_pack(
	    "{s:s, s:O?, s:s}", "field", field, "value", value, "expected", error->message);
}

/* The field of the schema that is this one of struct port_config. */
static const char *schema_name(const char *field)
{
	static const struct {
		const char *config, *schema;
	} names[] = {{"path", "socket"}, {"mtu", "max_mtu"}};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i].config, field) == 0)
			return names[i].schema;
	return field;
}

static void refuse(const char *about, int err, const struct port_fault *fault, const json_t *port,
    struct manage_error *error)
{
	enum manage_error_code code = MANAGE_REFUSED;

	if (err == -EEXIST)
		code = MANAGE_EXISTS;
	else if (err == -ENOENT && fault->field && strcmp(fault->field, "bridge") == 0)
		code = MANAGE_NOT_FOUND;
	else if (err == -ENOSPC || err == -ENOMEM || err == -EMFILE || err == -ENFILE)
		code = MANAGE_NO_ROOM;
	manage_fail(error, code, "%s: %s", about, fault->text);
	if (fault->field)
		add_data(error, port, schema_name(fault->field));
}

struct switch_port *manage_add_port(
    struct vswitch *sw, const char *about, const json_t *port, struct manage_error *error)
{
	struct port_config config;
	struct switch_port *sp;
	struct port_fault fault;
	int err;

	vswitch_port_defaults(sw, &config);
	if (!manage_read_port(about, port, &config, error))
		return NULL;
	err = vswitch_port_add(sw, &config, &sp, &fault);
	if (!err)
		return sp;
	refuse(about, err, &fault, port, error);
	return NULL;
}

bool manage_set_port(struct switch_port *sp, const char *about,
    const struct port_settings *settings, struct manage_error *error)
{
	struct port_fault fault;
	int err = vswitch_port_set(sp, settings, &fault);
	json_t *port;

	if (!err)
		return true;
	port = manage_settings(settings);
	refuse(about, err, &fault, port, error);
	json_decref(port);
	return false;
}

bool manage_allows_socket(
    const struct manage *m, const char *about, const json_t *port, struct manage_error *error)
{
	const json_t *path = json_object_get(port, "socket");

	if (m->config.may_have_socket(json_string_value(path)))
		return true;
	manage_fail_field(error, MANAGE_REFUSED, about, "socket", path,
	    "in a directory that the switch was started with; --socket-directory DIR allows more");
	return false;
}

/* Is it the port that is to be added? */
static bool is_the_same(const struct switch_port *sp, const json_t *port)
{
	const char *path = vswitch_port_config(sp)->path, *socket = text_of(port, "socket");

	return path && socket && strcmp(path, socket) == 0;
}

json_t *method_port_add(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	bool exist_ok = json_is_true(json_object_get(call->params, "exist_ok"));
	struct port_config config;
	struct switch_port *sp;

	if (change_waits(call))
		return NULL;
	sp = vswitch_port_find(m->config.sw, text_of(call->params, "name"));
	if (sp && exist_ok && is_the_same(sp, call->params))
		return manage_port(sp);
	vswitch_port_defaults(m->config.sw, &config);
	if (!manage_read_port(call->method->name, call->params, &config, call->error))
		return NULL;
	if (!sp && !manage_allows_socket(m, call->method->name, call->params, call->error))
		return NULL;
	sp = manage_add_port(m->config.sw, call->method->name, call->params, call->error);
	return sp ? manage_port(sp) : NULL;
}

json_t *method_port_del(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	struct switch_port *sp;

	if (change_waits(call))
		return NULL;
	sp = vswitch_port_find(m->config.sw, text_of(call->params, "name"));
	if (!sp && json_is_true(json_object_get(call->params, "missing_ok")))
		return json_object();
	if (!sp)
		sp = manage_find_port(call, "name");
	if (!sp)
		return NULL;
	/* A port that is added later with this name is not the command line's. */
	json_object_del(m->given, sp->name);
	vswitch_port_del(m->config.sw, sp, NULL, NULL);
	return json_object();
}

json_t *method_port_set(const struct rpc_call *call)
{
	struct port_settings settings;
	struct switch_port *sp;

	if (change_waits(call))
		return NULL;
	sp = manage_find_port(call, "name");
	if (!sp)
		return NULL;
	settings = *vswitch_port_settings(sp);
	if (!manage_read_settings(call->method->name, call->params, &settings, call->error) ||
	    !manage_set_port(sp, call->method->name, &settings, call->error))
		return NULL;
	return manage_port(sp);
}

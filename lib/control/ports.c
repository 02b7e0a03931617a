/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * This file checks what is asked of a port, and finds ports. vswitch.c keeps the list of ports,
 * vhost_port.c makes a port, and leaving.c removes it. Each value is checked before anything is
 * made. A port that is being removed still has its index, but its name and its path are free: all
 * functions here that look for ports pass over it.
 *
 * Threads: the control thread.
 */
#include "control/ports.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log_limit.h"
#include "base/util.h"
#include "control/leaving.h"
#include "control/switch_port.h"
#include "control/vhost_port.h"
#include "control/vswitch.h"

#define MTU_MIN      68
#define NAME_MAX_LEN 128

void vswitch_port_defaults(const struct vswitch *sw, struct port_config *ret_config)
{
	*ret_config = sw->port_defaults;
}

static __attribute__((format(printf, 4, 5))) int refuse(
    struct port_fault *fault, int error, const char *field, const char *format, ...)
{
	va_list args;

	fault->field = field;
	va_start(args, format);
	vsnprintf(fault->text, sizeof(fault->text), format, args);
	va_end(args);
	return error;
}

/* Is a socket at this path, or a connection to it, a port's? */
static struct switch_port *find_path(const struct vswitch *sw, const char *path)
{
	struct switch_port *sp;

	for (unsigned p = 0; (sp = vswitch_port_next(sw, &p));) {
		const struct port_config *config = vswitch_port_config(sp);

		if (config->path && strcmp(config->path, path) == 0)
			return sp;
	}
	return NULL;
}

/* Would it break a line of the log? */
static bool has_control(const char *text)
{
	while (text && *text && iscntrl((unsigned char)*text) == 0)
		text++;
	return text && *text;
}

static int check_name(const struct port_config *c, struct port_fault *fault)
{
	const char *field = c->name == c->path ? "path" : "name";

	if (has_control(c->name) || has_control(c->path))
		return refuse(fault, -EINVAL, has_control(c->name) ? field : "path",
		    "a name or path has a control character");
	/* Whether a path is too long for a socket is found out later. */
	if (c->name != c->path && (!*c->name || strlen(c->name) > NAME_MAX_LEN))
		return refuse(fault, -EINVAL, field, "a name has 1 to %u characters", NAME_MAX_LEN);
	return 0;
}

static int check_values(const struct port_config *c, struct port_fault *fault)
{
	bool is_fd = c->mode == VHOST_ENDPOINT_FD;

	if (is_fd && c->fd < 0)
		return refuse(fault, -EINVAL, "fd", "%s: there is no descriptor", c->name);
	if (!is_fd && (!c->path || !*c->path))
		return refuse(fault, -EINVAL, "path", "%s: there is no path", c->name);
	if (c->offer.queue_pairs == 0 || c->offer.queue_pairs > PORT_QUEUES_MAX)
		return refuse(fault, -EINVAL, "queue_pairs", "%s: %u queue pairs are not 1 to %u",
		    c->name, c->offer.queue_pairs, PORT_QUEUES_MAX);
	if (c->offer.mtu && c->offer.mtu < MTU_MIN)
		return refuse(fault, -EINVAL, "mtu", "%s: an MTU of %u is not %u to %u", c->name,
		    c->offer.mtu, MTU_MIN, UINT16_MAX);
	return 0;
}

static int check(const struct vswitch *sw, const struct port_config *c, struct port_fault *fault)
{
	const struct switch_port *other = c->path ? find_path(sw, c->path) : NULL;
	int err = check_name(c, fault);

	if (err)
		return err;
	if (vswitch_port_find(sw, c->name))
		return refuse(fault, -EEXIST, "name", "%s: there is a port of this name", c->name);
	if (other)
		return refuse(
		    fault, -EEXIST, "path", "%s: the port %s has this path", c->path, other->name);
	return check_values(c, fault);
}

static int add(struct vswitch *sw, const struct port_config *config, struct switch_port **ret_port,
    struct port_fault *fault)
{
	int err = check(sw, config, fault);

	if (err) {
		if (config->mode == VHOST_ENDPOINT_FD && config->fd >= 0)
			close(config->fd);
		return err;
	}
	err = vhost_port_create(sw, config, ret_port, fault->text, sizeof(fault->text));
	if (err == -ENOSPC && vswitch_port_count(sw) < PORTS_MAX)
		return refuse(fault, err, NULL,
		    "%s: more than %u ports, with those whose removal has not ended", config->name,
		    PORTS_MAX);
	if (err == -ENOSPC)
		return refuse(fault, err, NULL, "%s: more than %u ports", config->name, PORTS_MAX);
	if (err && !*fault->text)
		return refuse(fault, err, NULL, "%s: %s", config->name, error_text(-err));
	if (err)
		fault->field = config->mode == VHOST_ENDPOINT_FD ? "fd" : "path";
	return err;
}

int vswitch_port_add(struct vswitch *sw, const struct port_config *config,
    struct switch_port **ret_port, struct port_fault *ret_fault)
{
	struct port_config named = *config;
	struct switch_port *sp;
	char name[16];
	int err;

	*ret_fault = (struct port_fault){0};
	if (named.mode == VHOST_ENDPOINT_FD)
		named.path = NULL;
	snprintf(name, sizeof(name), "fd %d", named.fd);
	if (!named.name)
		named.name = named.path ? named.path : name;
	err = add(sw, &named, &sp, ret_fault);
	if (err)
		return err;
	vswitch_attach(sp);
	vswitch_tell(sp, PORT_ADDED);
	if (ret_port)
		*ret_port = sp;
	return 0;
}

void vswitch_port_del(
    struct vswitch *sw, struct switch_port *sp, void (*done)(void *arg), void *arg)
{
	log_limited(&sw->removed.limit, LOG_INFO, sp->name, "the port is removed");
	sp->removed = done;
	sp->removed_arg = arg;
	leaving_begin(sp);
	vswitch_tell(sp, PORT_REMOVED);
}

struct switch_port *vswitch_port_next(const struct vswitch *sw, unsigned *at)
{
	struct switch_port *sp;

	do
		sp = vswitch_next_port(sw, at);
	while (sp && switch_port_leaves(sp));
	return sp;
}

struct switch_port *vswitch_port_find(const struct vswitch *sw, const char *name)
{
	struct switch_port *sp;

	for (unsigned p = 0; (sp = vswitch_port_next(sw, &p));) {
		if (strcmp(sp->name, name) == 0)
			return sp;
	}
	return NULL;
}

unsigned vswitch_port_count(const struct vswitch *sw)
{
	unsigned n = 0;

	for (unsigned p = 0; vswitch_port_next(sw, &p);)
		n++;
	return n;
}

const struct port_config *vswitch_port_config(const struct switch_port *sp)
{
	return sp->ops->config(sp);
}

const char *vswitch_port_state(const struct switch_port *sp, char *text, size_t size)
{
	return sp->ops->state(sp, text, size);
}

int vswitch_port_listen(struct vswitch *sw,
    void (*fn)(struct switch_port *sp, enum port_event event, void *arg), void *arg)
{
	if (sw->n_listeners == PORT_LISTENERS_MAX)
		return -ENOSPC;
	sw->listener[sw->n_listeners++] = (struct port_listener){.fn = fn, .arg = arg};
	return 0;
}

void vswitch_tell(struct switch_port *sp, enum port_event event)
{
	const struct vswitch *sw = sp->sw;

	for (unsigned i = 0; i < sw->n_listeners; i++)
		sw->listener[i].fn(sp, event, sw->listener[i].arg);
}

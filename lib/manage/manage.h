/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What programs and people talk to: the methods of the schema, on a control socket.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>

struct event_base;
struct manage;
struct vswitch;

struct config_file;

struct manage_config {
	struct event_base *base;
	struct vswitch *sw;
	const char *path;                 /* of the control socket; NULL: there is none */
	const char *file;                 /* of the configuration; NULL: there is none */
	const struct config_file *loaded; /* what the file says at the start; needed only there */
	void (*shutdown)(void *arg);      /* a client asks the switch to end; it returns soon */
	void (*reloaded)(void *arg);      /* no reload is under way any more */
	void *arg;
	/* May a client put the socket of a port there? */
	bool (*may_have_socket)(const char *path);
};

/*
 * Apply the file, and then listen. Errors are logged in one line and returned, as by
 * rpc_server_create(); -EINVAL: the file is wrong.
 */
int manage_create(const struct manage_config *config, struct manage **ret_manage);
void manage_destroy(struct manage *manage);

/* Read the file again, and make the switch what it says. Log lines tell how it went. */
void manage_reload(struct manage *manage);

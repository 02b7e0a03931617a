/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What programs and people talk to: the methods of the schema, on a control socket.
 *
 * Threads: the control thread.
 */
#pragma once

struct event_base;
struct manage;
struct vswitch;

struct manage_config {
	struct event_base *base;
	struct vswitch *sw;
	const char *path;            /* of the control socket */
	void (*shutdown)(void *arg); /* a client asks the switch to end; it returns soon */
	void *arg;
};

/* Errors are logged in one line and returned, as by rpc_server_create(). */
int manage_create(const struct manage_config *config, struct manage **ret_manage);
void manage_destroy(struct manage *manage);

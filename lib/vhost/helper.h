/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The helper: a small process that keeps privileges which the switch gives up. It makes, reaches
 * and removes socket files of ports that are added while the switch runs, if the switch itself may
 * not: in a directory of another user, or for another owner.
 *
 * It takes requests of one fixed form, and answers with descriptors. It works only in directories
 * that it was started with. It replaces and removes only sockets that it made, and sockets on which
 * no process listens. It never sees guest memory, frames or messages of front-ends.
 *
 * Threads: helper_start() is called while the process has one thread. The other functions are for
 * the control thread, which waits at most HELPER_MS for an answer. If the answer is late, it does
 * not wait again before the answer has come.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct vhost_endpoint_config;
struct vhost_listener;

#define HELPER_MS 1000

/*
 * Before the start: let it work in this directory, or in that of this socket. There it makes and
 * removes sockets. In this directory it may also connect to sockets of others. Relative names are
 * those of now. -E2BIG: too many; -ENOMEM.
 */
int helper_allow(const char *directory);
int helper_allow_beside(const char *socket);

/* What the helper may do until its end, however the switch asks. */
struct helper_rights {
	uid_t owner; /* a socket may be given to; -1: to nobody */
	gid_t group;
	bool connect; /* to sockets of others beside those that helper_allow_beside() names, too */
};

/* Start the helper. It first calls enter(), if enter is not NULL. 0 or a negative errno. */
int helper_start(const struct helper_rights *rights, int (*enter)(void));

/* End the helper before the program is executed anew. */
void helper_stop(void);

bool helper_running(void);

/*
 * listener_open(), socket_connect() and the removal of a socket file, by the helper. -ETIMEDOUT,
 * -EBUSY: it does not answer; -EPIPE: it has ended; -EACCES: it may not work in that directory, or
 * not connect there; -EPERM: it may not give a socket to that owner or group. A removal for which
 * the helper is busy is done later.
 */
int helper_listen(
    struct vhost_listener *l, const char *path, const struct vhost_endpoint_config *config);
int helper_connect(const char *path);
int helper_remove(const char *path);

/* Call this regularly: it does what was left for later, and notices the helper's end. */
void helper_check(void);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The directories in which clients of the control socket may put sockets of ports: those of the
 * sockets that the command line and the file name at the start, that of the control socket, those
 * of $RUNTIME_DIRECTORY and of --socket-directory. A client cannot lead the switch elsewhere, to a
 * file system that hangs for example.
 *
 * Threads: directories_collect() and directories_add_beside() before there are clients;
 * directories_have() may be called by any thread after that.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct options;

/*
 * Collect all but that of the control socket. config: of the file, or NULL. If the switch will have
 * a helper, the helper gets to know them, too. 0; -ENOMEM; -E2BIG.
 */
int directories_collect(const struct options *options, const json_t *config, bool for_helper);

/* Add the directory of this socket. 0; -ENOMEM; -E2BIG. */
int directories_add_beside(const char *socket);

/*
 * Is this path in one of the directories, by its text? The file system is not asked, because a
 * client chose the path. A path with empty parts, "." or ".." is in none.
 */
bool directories_have(const char *path);

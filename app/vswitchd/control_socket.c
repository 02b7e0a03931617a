/* SPDX-License-Identifier: BSD-3-Clause */
#include "control_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhost/listener.h"

#define FILE_NAME "control.sock"

/* The first directory of $RUNTIME_DIRECTORY, which systemd sets; else /run/vswitch. */
static void choose_directory(char *directory, size_t room)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nothing changes the environment */
	const char *given = getenv("RUNTIME_DIRECTORY");
	size_t n = given ? strcspn(given, ":") : 0;

	if (n > 0 && n < room)
		snprintf(directory, room, "%.*s", (int)n, given);
	else
		snprintf(directory, room, "/run/vswitch");
}

bool control_socket_path(struct control_socket *ret)
{
	char directory[CONTROL_PATH_MAX];
	size_t room = sizeof(ret->path);
	int fd;

	choose_directory(directory, sizeof(directory));
	if (access(directory, W_OK) < 0) {
		snprintf(ret->why_not, sizeof(ret->why_not),
		    errno == ENOENT ? "there is no directory %s" : "%s cannot be written",
		    directory);
		return false;
	}
	if ((size_t)snprintf(ret->path, room, "%s/" FILE_NAME, directory) >= room) {
		snprintf(ret->why_not, sizeof(ret->why_not), "%s is too long", directory);
		return false;
	}
	fd = socket_connect(ret->path);
	if (fd < 0)
		return true;
	close(fd);
	snprintf(ret->why_not, sizeof(ret->why_not), "another switch has %s", ret->path);
	return false;
}

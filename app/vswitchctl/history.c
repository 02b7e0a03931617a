/* SPDX-License-Identifier: BSD-3-Clause */
#include "history.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Make the directories of a path below its first `from` bytes, for the owner only. */
static void make_directories(char *path, size_t from)
{
	for (char *slash = strchr(path + from, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
}

char *history_path(void)
{
	/* NOLINTBEGIN(concurrency-mt-unsafe): there is one thread */
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	/* NOLINTEND(concurrency-mt-unsafe) */
	bool given = state && state[0] == '/';
	const char *base = given ? state : home;
	struct stat status;
	char *path;

	if (!base || base[0] != '/' || stat(base, &status) < 0 || status.st_uid != geteuid())
		return NULL;
	if (asprintf(&path, "%s%s/vswitchctl/history", base, given ? "" : "/.local/state") < 0)
		return NULL;
	make_directories(path, strlen(base) + 1);
	return path;
}

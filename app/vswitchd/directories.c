/* SPDX-License-Identifier: BSD-3-Clause */
#include "directories.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "vhost/helper.h"
#include "options.h"

#define DIRECTORIES_MAX 2400 /* each by the name that was given, and by its own */

static char *known[DIRECTORIES_MAX]; /* without a slash at the end; "" is the root */
static unsigned n_known;

static bool is_known(const char *name, size_t n)
{
	for (unsigned i = 0; i < n_known; i++)
		if (strncmp(known[i], name, n) == 0 && known[i][n] == '\0')
			return true;
	return false;
}

static int add_name(const char *name)
{
	size_t n = strlen(name);

	while (n && name[n - 1] == '/')
		n--;
	if (is_known(name, n))
		return 0;
	if (n_known == DIRECTORIES_MAX)
		return -E2BIG;
	known[n_known] = strndup(name, n);
	return known[n_known++] ? 0 : -ENOMEM;
}

/* A name through links can be used, and so can the name that it leads to. */
static int add(const char *directory)
{
	char real[PATH_MAX];
	int err = *directory == '/' ? add_name(directory) : 0;

	return !err && realpath(directory, real) ? add_name(real) : err;
}

int directories_add_beside(const char *socket)
{
	const char *slash = strrchr(socket, '/');
	char *directory =
	    slash ? strndup(socket, MAX((size_t)(slash - socket), (size_t)1)) : strdup(".");
	int err = directory ? add(directory) : -ENOMEM;

	free(directory);
	return err;
}

static int add_socket(const char *socket, bool for_helper)
{
	int err = directories_add_beside(socket);

	return !err && for_helper ? helper_allow_beside(socket) : err;
}

static int add_directory(const char *directory, bool for_helper)
{
	int err = add(directory);

	return !err && for_helper ? helper_allow(directory) : err;
}

/* systemd separates the directories by colons. */
static int add_runtime_directories(const char *list, bool for_helper)
{
	int err = 0;

	while (*list && !err) {
		size_t n = strcspn(list, ":");
		char *one = strndup(list, n);

		if (!one)
			return -ENOMEM;
		if (n > 0)
			err = add_directory(one, for_helper);
		free(one);
		list += n + (list[n] == ':');
	}
	return err;
}

int directories_collect(const struct options *o, const json_t *config, bool for_helper)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is no other thread yet */
	const char *runtime = getenv("RUNTIME_DIRECTORY");
	int err = runtime ? add_runtime_directories(runtime, for_helper) : 0;
	const json_t *port;
	size_t i;

	for (i = 0; i < o->n_directories && !err; i++)
		err = add_directory(o->directory[i], for_helper);
	for (i = 0; i < o->n_ports && !err; i++)
		err = o->port[i].path ? add_socket(o->port[i].path, for_helper) : 0;
	json_array_foreach(json_object_get(config, "ports"), i, port)
	{
		const char *path = json_string_value(json_object_get(port, "socket"));

		if (path && !err)
			err = add_socket(path, for_helper);
	}
	return err;
}

static bool is_odd_part(const char *part, size_t n)
{
	return n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.');
}

bool directories_have(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (*path != '/')
		return false;
	for (const char *at = path + 1;; at++) {
		size_t n = strcspn(at, "/");

		if (is_odd_part(at, n))
			return false;
		at += n;
		if (*at == '\0')
			break;
	}
	return is_known(path, (size_t)(slash - path));
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The file is read whole, with a bound, and only if it is a regular file. It is replaced, never
 * written in place: a new file is written, synced, and given the name of the old one.
 */
#include "manage/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "manage/apply_outcome.h"
#include "manage/yaml.h"

/* syscalls: openat fstat newfstatat lstat read close write fsync fchmod linkat rename unlink */

static int read_all(int fd, char *text, size_t *ret_n)
{
	size_t n = 0;
	ssize_t part;

	do {
		part = read(fd, text + n, YAML_BYTES_MAX + 1 - n);
		if (part > 0)
			n += (size_t)part;
	} while (part > 0 || (part < 0 && errno == EINTR));
	*ret_n = n;
	return part < 0 ? -errno : 0;
}

/* A pipe or a device could keep the switch waiting. */
static int read_text(const char *path, struct config_file *file)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), err = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = -EINVAL;
	file->text = err ? NULL : malloc(YAML_BYTES_MAX + 1);
	if (!err)
		err = file->text ? read_all(fd, file->text, &file->n) : -ENOMEM;
	close(fd);
	return err;
}

void config_file_check(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		log_warn(
		    "%s: SIGHUP will not be able to read it again: %s; the switch has given up "
		    "the rights of its start",
		    path, error_text(errno));
	else
		close(fd);
}

int config_file_read(const char *path, const char *otherwise, struct config_file *ret)
{
	struct yaml_fault fault;
	int err;

	*ret = (struct config_file){.path = path};
	err = read_text(path, ret);
	if (err) {
		log_error("%s: %s%s", path,
		    err == -EINVAL ? "it is not a regular file" : error_text(-err), otherwise);
		config_file_free(ret);
		return err;
	}
	ret->config = yaml_read(
	    &schema_switch, schema_object(&schema_switch, "config"), ret->text, ret->n, &fault);
	if (ret->config)
		return 0;
	log_error("%s:%u:%u: %s%s", path, fault.line, fault.column, fault.message, otherwise);
	config_file_free(ret);
	return -EINVAL;
}

void config_file_free(struct config_file *file)
{
	free(file->text);
	json_decref(file->config);
	*file = (struct config_file){.path = file->path};
}

void config_file_complain(const struct config_file *file, const struct apply_outcome *outcome,
    const char *about, const char *otherwise)
{
	const char *field = json_string_value(json_object_get(outcome->error.data, "field"));
	const char *message = outcome->error.message;
	size_t n = strlen(about);
	struct yaml_fault at;

	/* The place says it better. */
	if (strncmp(message, about, n) == 0 && strncmp(message + n, ": ", 2) == 0)
		message += n + 2;
	if (outcome->index == APPLY_NO_PLACE) {
		log_error("%s: %s%s", file->path, message, otherwise);
		return;
	}
	yaml_locate(file->text, file->n, outcome->list, outcome->index, field, &at);
	log_error("%s:%u:%u: %s%s", file->path, at.line, at.column, message, otherwise);
}

static int write_all(int fd, const char *text, size_t n)
{
	while (n) {
		ssize_t part = write(fd, text, n);

		if (part < 0 && errno != EINTR)
			return -errno;
		if (part > 0) {
			text += part;
			n -= (size_t)part;
		}
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* Open the directory that the file is in. */
static int open_directory(const char *path, int flags)
{
	const char *slash = strrchr(path, '/');
	char *copy = slash ? strndup(path, (size_t)MAX(slash - path, (ptrdiff_t)1)) : strdup(".");
	int fd = copy ? open(copy, flags | O_CLOEXEC, 0600) : -1;

	free(copy);
	return fd;
}

/* The new name has to survive a crash, too, on file systems that can sync a directory. */
static void sync_directory(const char *path)
{
	int fd = open_directory(path, O_RDONLY | O_DIRECTORY);

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

/* The mode of the new file. Negative: it must not be replaced. */
static int mode_of(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0644 : -errno;
	if (S_ISLNK(st.st_mode))
		return -ELOOP;
	return S_ISREG(st.st_mode) ? (int)(st.st_mode & 07777) : -EINVAL;
}

/* Give a file without a name this one. */
static int link_file(int fd, const char *name)
{
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int write_new(const char *name, bool named, int fd, mode_t mode, const char *text, size_t n)
{
	int err = write_all(fd, text, n);

	if (!err && fchmod(fd, mode) < 0)
		err = -errno;
	return err || named ? err : link_file(fd, name);
}

/* 0 or a negative errno. `named`: the file has the name from the beginning. */
static int make_new(const char *name, bool named, mode_t mode, const char *text, size_t n)
{
	int fd = named ? open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)
		       : open_directory(name, O_WRONLY | O_TMPFILE);
	int err = fd < 0 ? -errno : write_new(name, named, fd, mode, text, n);

	if (fd >= 0)
		close(fd);
	return err;
}

/*
 * The new file has no name while it is written, so it is gone if the process ends meanwhile. Not
 * all file systems have such files, and /proc may be missing. Then the file is written with its
 * name, and the next save removes what is left of it.
 */
int config_file_write(const char *path, const char *text, size_t n)
{
	int mode = mode_of(path), err;
	char *name;

	if (mode < 0)
		return mode;
	if (asprintf(&name, "%s.saving", path) < 0)
		return -ENOMEM;
	unlink(name);
	err = make_new(name, false, (mode_t)mode, text, n);
	if (err)
		err = make_new(name, true, (mode_t)mode, text, n);
	if (!err && rename(name, path) < 0)
		err = -errno;
	if (err)
		unlink(name);
	free(name);
	if (!err)
		sync_directory(path);
	return err;
}

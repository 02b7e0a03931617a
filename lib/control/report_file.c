/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/report.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"

/* If poll() says that a pipe is writable, a write of so many bytes does not wait. */
#define PART 4096

/*
 * Write at most for ms milliseconds. The descriptor is not made non-blocking, because other
 * processes share it. A write of PART bytes does not wait if the descriptor is writable.
 */
static int write_within(int fd, const char *text, size_t n, unsigned ms)
{
	struct pollfd writable = {.fd = fd, .events = POLLOUT};
	int64_t end = clock_ms() + ms;

	while (n) {
		int64_t left = MAX(end - clock_ms(), 0);
		ssize_t written;

		/* syscalls: poll write */
		if (poll(&writable, 1, (int)left) == 0)
			return -EAGAIN;
		written = write(fd, text, MIN(n, PART));
		if (written < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (written > 0) {
			text += written;
			n -= written;
		}
	}
	return 0;
}

int report_print(const json_t *report, int fd, unsigned ms)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	int err = -ENOMEM;

	if (out) {
		report_text(report, out);
		fclose(out);
		err = write_within(fd, text, n, ms);
	}
	if (err)
		log_warn("cannot print the table of ports: %s",
		    err == -EAGAIN ? "nobody reads standard output" : error_text(-err));
	free(text);
	return err;
}

/* Create a file beside path, with a name that cannot be predicted. */
static int open_beside(const char *path, char **ret_name)
{
	int fd;

	/* syscalls: openat getrandom fchmod rename unlink */
	if (asprintf(ret_name, "%s.XXXXXX", path) < 0) {
		*ret_name = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(*ret_name, O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int complain(const char *path, int err)
{
	log_error("cannot write counters to %s: %s", path, error_text(-err));
	return err;
}

int report_check(const char *path)
{
	struct stat st;
	char *name;
	int fd;

	/* A directory or /dev/stdout, for example, must not be replaced. */
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		log_error("cannot write counters to %s: it is not a regular file", path);
		return -EINVAL;
	}
	fd = open_beside(path, &name);
	if (fd >= 0) {
		unlink(name);
		close(fd);
	}
	free(name);
	return fd < 0 ? complain(path, fd) : 0;
}

static int write_whole(int fd, const char *text, size_t n)
{
	while (n) {
		ssize_t written = write(fd, text, n);

		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			text += written;
			n -= written;
		}
	}
	return 0;
}

/* Jansson's own function writes each word separately, which takes a second for 500 ports. */
static int write_json(int fd, const json_t *report)
{
	char *text = json_dumps(report, JSON_INDENT(1));
	int err = text ? write_whole(fd, text, strlen(text)) : -ENOMEM;

	free(text);
	return err;
}

int report_write(const json_t *report, const char *path)
{
	char *name;
	int fd = open_beside(path, &name), err = MIN(fd, 0);

	if (!err) {
		err = write_json(fd, report);
		if (!err && (fchmod(fd, 0644) < 0 || rename(name, path) < 0))
			err = -errno;
		if (err)
			unlink(name);
	}
	if (fd >= 0)
		close(fd);
	free(name);
	return err ? complain(path, err) : 0;
}

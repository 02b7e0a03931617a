/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every FUSE request names the thread that caused it, so the server can leave requests of other
 * processes without an answer. The server is a child process. It must outlive its parent: when the
 * parent ends, the kernel closes the parent's files and waits for the server's answers. After both
 * processes have ended, the mount is gone: it is in a mount namespace of these two processes. The
 * FUSE connection ends when the last descriptor of /dev/fuse is closed.
 */
#include "silent_fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_SIZE (UINT64_C(16) << 20)
#define FILE_NODE 2

static int fuse_fd = -1;
static pid_t owner;
static char dir[128];

static void answer(const struct fuse_in_header *in, int error, void *body, size_t size)
{
	struct fuse_out_header out = {
	    .len = sizeof(out) + size, .error = error, .unique = in->unique};
	struct iovec iov[2] = {{&out, sizeof(out)}, {body, size}};

	if (writev(fuse_fd, iov, 2) < 0)
		return; /* the request was interrupted, so it needs no answer */
}

static struct fuse_attr attributes(uint64_t node)
{
	return (struct fuse_attr){
	    .ino = node,
	    .size = node == FILE_NODE ? FILE_SIZE : 0,
	    .mode = node == FILE_NODE ? S_IFREG | 0666 : S_IFDIR | 0777,
	    .nlink = 1,
	    .blksize = 4096,
	};
}

static void answer_init(const struct fuse_in_header *in, const struct fuse_init_in *init)
{
	struct fuse_init_out out = {
	    .major = FUSE_KERNEL_VERSION,
	    .minor = FUSE_KERNEL_MINOR_VERSION,
	    .max_readahead = init->max_readahead,
	    .max_write = 65536,
	    .max_background = 64,
	};

	answer(in, 0, &out, sizeof(out));
}

static void answer_lookup(const struct fuse_in_header *in)
{
	struct fuse_entry_out out = {
	    .nodeid = FILE_NODE, .entry_valid = 1000, .attr = attributes(FILE_NODE)};

	answer(in, 0, &out, sizeof(out));
}

/* The attributes have no validity time, so every fstat() causes a request. */
static void answer_getattr(const struct fuse_in_header *in)
{
	struct fuse_attr_out out = {.attr = attributes(in->nodeid)};

	answer(in, 0, &out, sizeof(out));
}

static void answer_one(const struct fuse_in_header *in, const void *body)
{
	struct fuse_open_out opened = {.fh = 1};

	if (in->opcode == FUSE_INIT)
		answer_init(in, body);
	else if (in->opcode == FUSE_FORGET || in->opcode == FUSE_BATCH_FORGET ||
	    in->pid != (uint32_t)owner)
		return;
	else if (in->opcode == FUSE_LOOKUP)
		answer_lookup(in);
	else if (in->opcode == FUSE_GETATTR)
		answer_getattr(in);
	else if (in->opcode == FUSE_OPEN)
		answer(in, 0, &opened, sizeof(opened));
	else
		answer(in, in->opcode == FUSE_FLUSH || in->opcode == FUSE_RELEASE ? 0 : -ENOSYS,
		    NULL, 0);
}

static _Noreturn void serve(void)
{
	static char request[1 << 18] __attribute__((aligned(8)));

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		ssize_t n = read(fuse_fd, request, sizeof(request));

		if (n >= (ssize_t)sizeof(struct fuse_in_header))
			answer_one((void *)request, request + sizeof(struct fuse_in_header));
		else if (n < 0 && errno == ENODEV)
			_exit(0);
	}
}

void silent_fuse_mount(struct peer_world *w)
{
	char options[128];
	pid_t server;

	owner = getpid();
	snprintf(dir, sizeof(dir), "%s/fuse", w->dir);
	mkdir(dir, 0700);
	fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse_fd < 0)
		peer_fail(w, "/dev/fuse", -errno);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		peer_fail(w, "a mount namespace", -errno);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
	    fuse_fd);
	if (mount("silent", dir, "fuse.silent", MS_NOSUID | MS_NODEV, options) < 0)
		peer_fail(w, "mounting FUSE", -errno);
	server = fork();
	if (server == 0) {
		dup2(fuse_fd, 0);
		close_range(3, ~0u, 0);
		fuse_fd = 0;
		serve();
	}
	if (server < 0)
		peer_fail(w, "a server", -errno);
	close(fuse_fd);
}

int silent_fuse_open(struct peer_world *w)
{
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		peer_fail(w, "a file on FUSE", -errno);
	return fd;
}

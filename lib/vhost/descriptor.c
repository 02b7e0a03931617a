/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/closer.h"
#include "base/errand.h"
#include "vhost/limits.h"
#include "vhost/ring.h"

bool vhost_fd_is_memory(int fd)
{
	/* syscalls: fcntl */
	return fcntl(fd, F_GET_SEALS) >= 0;
}

bool vhost_fd_is(int fd, const char *prefix)
{
	char link[32], target[32];
	ssize_t n;

	/* syscalls: readlink */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, sizeof(target) - 1);
	target[MAX(n, 0)] = '\0';
	return strncmp(target, prefix, strlen(prefix)) == 0;
}

/* F_GETPIPE_SZ would tell this, too, but it waits for the pipe's lock. */
bool vhost_fd_is_pipe(int fd)
{
	return vhost_fd_is(fd, "pipe:[");
}

int vhost_fd_check_memory(struct vhost_device *dev, int fd, const char *what)
{
	if (dev->memory_any || vhost_fd_is_memory(fd))
		return 0;
	return vhost_complain(dev, -EINVAL,
	    "the descriptor of %s is no memfd and no file on tmpfs or hugetlbfs; other files need "
	    "--memory any",
	    what);
}

/*
 * Even an eventfd (with many watchers) or a memfd (with much memory) may take long to close. So all
 * descriptors are closed by closers. Only tests run without closers.
 */
void vhost_fd_close(const struct vhost_device *dev, int fd)
{
	if (closer_running())
		errand_close_for(dev->owner, fd);
	else
		close(fd);
}

void vhost_fd_hang_up(const struct vhost_device *dev, int fd)
{
	/* syscalls: shutdown close */
	shutdown(fd, SHUT_RDWR);
	/*
	 * The socket may contain messages that were not read. Their descriptors are closed with the
	 * socket.
	 */
	vhost_fd_close(dev, fd);
}

bool vhost_fd_flooded(const struct vhost_device *dev)
{
	return closer_waiting(dev->owner) >= VHOST_CLOSING_MAX;
}

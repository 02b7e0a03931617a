/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * File descriptors that a front-end has passed.
 *
 * A file may be on a file system with a server that answers late or never (FUSE, NFS). So before it
 * is known what a descriptor is, only calls are made that do not ask the file system: no fstat,
 * fstatfs, mmap, ftruncate or close.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>

#include "vhost/device.h"

/* Is it memory: a memfd, or a file on tmpfs or hugetlbfs? */
bool vhost_fd_is_memory(int fd);

/* Does its name in /proc/self/fd begin with prefix, which is shorter than 32 characters? */
bool vhost_fd_is(int fd, const char *prefix);

/* Is it a pipe, but not a named one? */
bool vhost_fd_is_pipe(int fd);

/*
 * May fd be mapped? 0, or -EINVAL, which is logged with what is allowed. what: a name for the log
 * line. With --memory any, every file may be mapped.
 */
int vhost_fd_check_memory(struct vhost_device *dev, int fd, const char *what);

/* Close it, without waiting. */
void vhost_fd_close(const struct vhost_device *dev, int fd);

/* The same for a socket. The other end sees at once that it is closed. */
void vhost_fd_hang_up(const struct vhost_device *dev, int fd);

/* Are so many of the device's descriptors still being closed that no more should be received? */
bool vhost_fd_flooded(const struct vhost_device *dev);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * File descriptors that a front-end has passed.
 *
 * A file may be on a file system whose server answers late or never (FUSE, NFS). Some system calls
 * ask the file system: fstat, fstatfs, mmap, ftruncate and close. So the type of the file is found
 * with other calls first (fcntl, readlink). Closers close descriptors of any type. Files of any
 * type are mapped only with --memory any.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>

#include "vhost/device.h"

/* Is it memory: a memfd, or a file on tmpfs or hugetlbfs? */
bool vhost_fd_is_memory(int fd);

/*
 * Does the descriptor's name in /proc/self/fd begin with prefix? prefix is shorter than 32
 * characters.
 */
bool vhost_fd_is(int fd, const char *prefix);

/* Is it a pipe, but not a named one? */
bool vhost_fd_is_pipe(int fd);

/*
 * May fd be mapped? 0: yes. -EINVAL: no; a log line says so, and which files are allowed. what: a
 * name for the log line. With --memory any, every file may be mapped.
 */
int vhost_fd_check_memory(struct vhost_device *dev, int fd, const char *what);

/* Close it, without waiting. */
void vhost_fd_close(const struct vhost_device *dev, int fd);

/* The same for a socket. The other end sees at once that it is closed. */
void vhost_fd_hang_up(const struct vhost_device *dev, int fd);

/* Are too many of the device's descriptors still being closed? Then no more should be received. */
bool vhost_fd_flooded(const struct vhost_device *dev);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors that a front-end gave.
 *
 * They may belong to a file system whose server answers late or never (FUSE, NFS). So the system
 * is asked only what it knows by itself, until it is clear what a descriptor is: no fstat, fstatfs,
 * mmap, ftruncate or close before.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>

#include "vhost/device.h"

/* Is it memory: a memfd, or a file on tmpfs or hugetlbfs? */
bool vhost_fd_is_memory(int fd);

/* Does its name in /proc, which is short, begin like that? */
bool vhost_fd_is(int fd, const char *prefix);

/* Is it a pipe without a name? */
bool vhost_fd_is_pipe(int fd);

/*
 * May fd be mapped, as what? 0; or -EINVAL, after saying what would be right. With --memory any
 * every file may be.
 */
int vhost_fd_check_memory(struct vhost_device *dev, int fd, const char *what);

/* Close it, without waiting. */
void vhost_fd_close(const struct vhost_device *dev, int fd);

/* The same for a socket: the other end sees that at once. */
void vhost_fd_hang_up(const struct vhost_device *dev, int fd);

/* Are so many of the device's descriptors still being closed that no more should come? */
bool vhost_fd_flooded(const struct vhost_device *dev);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A FUSE file system with a server that answers only the process that mounted it. If another
 * process gets a descriptor of a file in it, each call of this process on the file waits for ever.
 */
#pragma once

#include "peer.h"

/* Mount the file system in a new mount namespace of this process, and serve it from a child. */
void silent_fuse_mount(struct peer_world *w);

/* Open a file of 16 MiB in the file system. */
int silent_fuse_open(struct peer_world *w);

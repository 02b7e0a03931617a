/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file system with a server that answers only the process that made it. If another process gets a
 * descriptor of one of its files, each call on the file waits there for ever.
 */
#pragma once

#include "peer.h"

/* Mount it, in a mount namespace of this process, and serve it from a child. */
void silent_fuse_mount(struct peer_world *w);

/* Open a file of 16 MiB on it. */
int silent_fuse_open(struct peer_world *w);

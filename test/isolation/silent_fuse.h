/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file system whose server answers the process that made it and nobody else. A descriptor of
 * one of its files that went to another process makes each call into the file wait there for ever.
 */
#pragma once

#include "peer.h"

/* Mount it, in a mount namespace of this process, and serve it from a child. */
void silent_fuse_mount(struct peer_world *w);

/* Open a file of 16 MiB on it. */
int silent_fuse_open(struct peer_world *w);

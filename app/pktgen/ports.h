/* SPDX-License-Identifier: BSD-3-Clause */
/* Open the port that --port names. */
#pragma once

#include "options.h"
#include "traffic/tport.h"

/* Open the port for frames up to frame_max bytes. Prints what is wrong. 0 or -errno. */
int port_open(
    const struct options *o, const char *spec, uint32_t frame_max, struct tport **ret_port);

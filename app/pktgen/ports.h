/* SPDX-License-Identifier: BSD-3-Clause */
/* From what --port says to a port. */
#pragma once

#include "options.h"
#include "traffic/tport.h"

/* Is it a DPDK device, so that devices_start() has to come first? */
bool port_is_device(const char *spec);

/* Open it for frames up to frame_max bytes; says what is wrong. 0 or -errno. */
int port_open(
    const struct options *o, const char *spec, uint32_t frame_max, struct tport **ret_port);

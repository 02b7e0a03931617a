/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's Ethernet devices as ports: "vdev:NAME[,ARGUMENTS]" and "pci:ADDRESS[,ARGUMENTS]".
 *
 * Frames are built in mbufs, and are looked at where they arrived. What a device does not take at
 * once waits, and nothing more is sent there until it has taken that.
 *
 * Threads: devices_start(), device_open() and destroying: one. Then see tport.h.
 */
#pragma once

#include <stddef.h>

#include "traffic/tport.h"

struct device_config {
	unsigned n_pairs;
	uint16_t ring_size; /* wanted; devices have limits */
	uint32_t frame_max; /* wanted, too: struct tport says what the device takes */
	bool segment;       /* frames are to be segmented by the device or its peer */
};

/*
 * Start DPDK's run time for these devices, on the CPUs this thread may run on. Says what is wrong;
 * 0 or -errno.
 */
int devices_start(
    const char *const specs[], unsigned n, const struct device_config *config, bool no_huge);
void devices_stop(void); /* after all ports are destroyed */

/* About how much memory one of them takes. */
size_t device_memory(const struct device_config *config);

/* Says what is wrong; 0 or -errno. */
int device_open(const char *spec, const struct device_config *config, struct tport **ret_port);

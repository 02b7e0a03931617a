/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's Ethernet devices as ports: "vdev:NAME[,ARGUMENTS]" and "pci:ADDRESS[,ARGUMENTS]".
 *
 * Frames are built in mbufs, and received frames are read where they arrived. If a device does not
 * take all frames of a burst, the rest waits, and no new frames are made until the device has taken
 * the rest.
 *
 * Threads: one thread for devices_start(), device_open() and destroying. Otherwise see tport.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "traffic/tport.h"

/* Does this --port name a DPDK device? Then devices_start() must come first. */
bool device_is_named(const char *spec);

struct device_config {
	unsigned n_pairs;
	uint16_t ring_size; /* wanted; a device may have limits */
	uint32_t frame_max; /* wanted; struct tport has what the device accepts */
	bool segment;       /* the device or its peer must segment frames */
};

/*
 * Start DPDK's run time for these devices, on the CPUs that this thread may use. Prints what is
 * wrong. 0 or -errno.
 */
int devices_start(
    const char *const specs[], unsigned n, const struct device_config *config, bool no_huge);
void devices_stop(void); /* after all ports are destroyed */

/* About how much memory one device needs. */
size_t device_memory(const struct device_config *config);

/* Prints what is wrong. 0 or -errno. */
int device_open(const char *spec, const struct device_config *config, struct tport **ret_port);

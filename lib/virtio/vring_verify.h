/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a ring stands, by what the ring itself shows. For devices that leave nothing in flight:
 * what was fetched has been completed, or will be fetched again.
 *
 * Front-ends tell a position that may be an old one (DPDK's virtio-user: always 0; QEMU, of a
 * packed ring whose back-end died: the one it told before), or another index than ours (Cloud
 * Hypervisor: how far the driver is, not the device).
 */
#pragma once

#include "virtio/vring.h"

enum vring_verdict {
	VRING_VERDICT_AGREES,      /* it may be so; or the ring says nothing */
	VRING_VERDICT_CORRECTED,   /* it is not so, and *position is now where the ring stands */
	VRING_VERDICT_CONTRADICTS, /* it cannot be so, and the ring does not say what is */
};

/*
 * What the ring of config, whose areas are mapped, says of a position that was told. Reads guest
 * memory, all descriptors of a packed ring. The driver may be running.
 */
enum vring_verdict vring_verify(const struct vring_config *config, struct vring_position *position);

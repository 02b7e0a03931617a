/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds the device's position from the contents of the ring. This works for devices that leave
 * nothing in flight: every chain that such a device has fetched is completed, or will be fetched
 * again.
 *
 * A front-end may tell a wrong position. It may be an old position: DPDK's virtio-user always tells
 * 0, and QEMU repeats the last position that it told if the back-end of a packed ring died. Or it
 * may be the position of the driver, not of the device (Cloud Hypervisor).
 */
#pragma once

#include "virtio/vring.h"

enum vring_verdict {
	VRING_VERDICT_AGREES,      /* the position may be right, or the ring shows nothing */
	VRING_VERDICT_CORRECTED,   /* it was wrong; *position is now what the ring shows */
	VRING_VERDICT_CONTRADICTS, /* it is wrong, and the ring does not show the right one */
};

/*
 * Compare the position that the front-end told with the contents of the ring of config. The ring's
 * areas must be mapped. Reads guest memory; in a packed ring it reads all descriptors. The driver
 * may run meanwhile.
 */
enum vring_verdict vring_verify(const struct vring_config *config, struct vring_position *position);

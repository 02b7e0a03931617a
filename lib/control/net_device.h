/* SPDX-License-Identifier: BSD-3-Clause */
/* The network device, as a plug-in of lib/vhost: what it offers, and how its rings become a port.
 */
#pragma once

#include "vhost/device.h"

/* The opaque pointer of such a device is its struct vport. */
extern const struct vhost_device_type net_device_type;

/* SPDX-License-Identifier: BSD-3-Clause */
/* The network device as a device type of lib/vhost: what it offers, how its rings become a port. */
#pragma once

#include "datapath/port.h"
#include "vhost/device.h"

/* The opaque pointer of such a device is its struct vport. */
extern const struct vhost_device_type net_device_type;

/* Fill in what follows from the negotiated features. This only changes while the port is down. */
void net_device_describe(const struct vhost_device *dev, struct port *port);

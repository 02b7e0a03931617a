/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of a port that migrates with its guest: the addresses learned behind the port.
 *
 * Format, version 1, little endian: magic "vswN", u16 version, u16 of 0, u32 count, then count
 * times 6 bytes of address, and nothing more. Addresses that do not fit are left out. They will be
 * learned again.
 */
#pragma once

#include "vhost/device.h"

/* Members of struct vhost_device_type. */
ssize_t net_state_save(struct vhost_device *dev, void *bytes, size_t room);
int net_state_load(struct vhost_device *dev, const void *bytes, size_t len);

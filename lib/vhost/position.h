/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a ring begins: what the front-end told, what was journalled, and what the ring itself shows
 * are compared.
 *
 * Threads: the control thread; the workers do not use the ring.
 */
#pragma once

#include "vhost/device.h"

/*
 * Ring index is about to start with config at the position that the front-end told, or at the
 * beginning because it told none: put config->position right if that can be known.
 */
void vhost_position_check(
    struct vhost_device *dev, unsigned index, const struct vring_config *config);

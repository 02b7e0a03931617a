/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds the position at which a ring starts. It compares the position that the front-end told, the
 * position in the journal, and the contents of the ring.
 *
 * Threads: the control thread; the workers do not use the ring.
 */
#pragma once

#include "vhost/device.h"

/*
 * To be called before ring index starts with config. config->position is the position that the
 * front-end told, or the beginning of the ring if it told none. It is corrected if the right
 * position is known.
 */
void vhost_position_check(
    struct vhost_device *dev, unsigned index, const struct vring_config *config);

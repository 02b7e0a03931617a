/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds out where a ring begins: compares what the front-end told, what was journalled, and what
 * the ring itself shows.
 *
 * Threads: the control thread; the workers do not use the ring.
 */
#pragma once

#include "vhost/device.h"

/*
 * Ring index is about to start with config. config->position is what the front-end told, or the
 * beginning if it told nothing. Correct it if the right position is known.
 */
void vhost_position_check(
    struct vhost_device *dev, unsigned index, const struct vring_config *config);

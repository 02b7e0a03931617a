/* SPDX-License-Identifier: BSD-3-Clause */
/* The removal of ports, step by step. See ports.h. Threads: the control thread only. */
#pragma once

#include "control/ports.h"

int leaving_create(struct vswitch *sw);
void leaving_destroy(struct vswitch *sw);

/* Begin to remove the port. */
void leaving_begin(struct switch_port *sp);

/* Give back the memory of ports that were removed. Call this about once per second. */
void leaving_tick(struct vswitch *sw);

/* Tell all listeners. */
void vswitch_tell(struct switch_port *sp, enum port_event event);

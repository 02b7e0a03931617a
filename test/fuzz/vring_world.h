/* SPDX-License-Identifier: BSD-3-Clause */
/* A device-side ring in a small guest, driven by an input; for both formats. */
#pragma once

#include "input.h"

/* Run the whole input as a program of ring operations. */
void vring_world_run(struct input *in, bool packed);

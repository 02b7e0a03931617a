/* SPDX-License-Identifier: BSD-3-Clause */
#include "vring_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	vring_world_run(&in, true);
	return 0;
}

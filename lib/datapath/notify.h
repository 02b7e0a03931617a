/* SPDX-License-Identifier: BSD-3-Clause */
/* Tell the driver that buffers were used, if it asked to be told. */
#pragma once

#include <sys/eventfd.h>

#include "datapath/port.h"

/* The only system call a worker makes for a burst, and only for drivers that sleep. */
static inline void queue_notify(struct queue *q)
{
	if (q->call_fd >= 0 && vring_call_needed(q->ring))
		eventfd_write(q->call_fd, 1);
}

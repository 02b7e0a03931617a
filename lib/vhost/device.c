/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/call.h"
#include "vhost/channel.h"
#include "vhost/doorbell.h"
#include "vhost/inband.h"
#include "vhost/inflight.h"
#include "vhost/log.h"
#include "vhost/iommu.h"
#include "vhost/memory.h"
#include "vhost/postcopy.h"
#include "vhost/quiesce.h"
#include "vhost/ring.h"
#include "vhost/transfer.h"
#include "vhost/unshared.h"

int vhost_device_init(
    struct vhost_device *dev, const struct vhost_device_type *type, const char *name, void *opaque)
{
	if ((uintptr_t)dev % CACHE_LINE != 0 || type->n_rings > VHOST_RINGS_MAX)
		return -EINVAL;
	dev->type = type;
	dev->name = name;
	dev->opaque = opaque;
	dev->paused = true;
	dev->channel.fd = -1;
	dev->doorbell.fd = -1;
	dev->inband_fd = -1;
	dev->postcopy.fd = -1;
	return 0;
}

void vhost_device_reset(struct vhost_device *dev)
{
	vhost_device_pause(dev);
	vhost_calls_forget(dev);
	vhost_log_forget(dev);
	vhost_rings_forget(dev);
	vhost_inflight_forget(dev);
	vhost_iommu_forget(dev);
	vhost_postcopy_end(dev);
	vhost_memory_forget(dev);
	vhost_channel_forget(dev);
	vhost_doorbell_forget(dev);
	vhost_inband_forget(dev);
	vhost_transfer_forget(dev);
	vhost_unshared_forget(dev);
	dev->unshared.settled = false;
	memset(&dev->state, 0, sizeof(dev->state));
	dev->warned_pages = false;
	dev->complaints = 0;
	dev->handling = NULL;
}

void vhost_device_forget_events(struct vhost_device *dev)
{
	for (unsigned i = 0; i < VHOST_RINGS_MAX; i++) {
		free(dev->events[i]);
		dev->events[i] = NULL;
	}
}

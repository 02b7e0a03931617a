/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells (VHOST_USER_PROTOCOL_F_HOST_NOTIFIER): a page per ring that the front-end maps into the
 * guest where its notifications go. A kick is then a store into our page, without an exit to the
 * hypervisor, and without anybody being told.
 *
 * So a ring with a doorbell has to be looked at. Its page is not: it belongs to the guest, may hold
 * anything, and says less than the ring itself. A ring counts as having one from before its page is
 * offered until the front-end refuses it: whether a front-end takes pages away from a ring that
 * stops, or when its channel closes, is left to it. A ring that starts again is offered its page
 * again, which replaces the old one.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>

#include "vhost/device.h"

/*
 * Offer pages for rings that have none, one at a time, and hear what the front-end says. For the
 * owner to call every few milliseconds if dev->offer_doorbells. Nothing happens unless the
 * front-end has negotiated what it takes, and after it has refused.
 */
void vhost_doorbell_service(struct vhost_device *dev);

/* Ring index stops: the front-end may take its page out of the guest. */
void vhost_doorbell_stop(struct vhost_device *dev, unsigned index);

void vhost_doorbell_forget(struct vhost_device *dev);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells (VHOST_USER_PROTOCOL_F_HOST_NOTIFIER): a page per ring that the front-end maps into the
 * guest, where the guest's notifications of this ring go. A kick is then a store to our page,
 * without an exit to the hypervisor. No thread of the switch is notified of it.
 *
 * So a ring with a doorbell must be polled. Its page is not read: the guest can write anything to
 * it, and it shows less than the ring. A ring counts as having a doorbell from just before its page
 * is offered until the front-end refuses the page. A front-end may remove the page or leave it when
 * the ring stops or the channel closes. If a ring starts again, its page is offered again, and
 * replaces the old one.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>

#include "vhost/device.h"

/*
 * Offer pages for rings that have none, one at a time, and read the front-end's answers. The owner
 * calls this every few milliseconds if dev->offer_doorbells. Nothing happens if the front-end has
 * not negotiated what is needed, or has refused a page.
 */
void vhost_doorbell_service(struct vhost_device *dev);

/*
 * Ring `index` stops. The front-end may remove its page from the guest, so the page is offered
 * again later.
 */
void vhost_doorbell_stop(struct vhost_device *dev, unsigned index);

void vhost_doorbell_forget(struct vhost_device *dev);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells (VHOST_USER_PROTOCOL_F_HOST_NOTIFIER). A doorbell is a page of the switch. There is one
 * page per ring. The front-end maps the page into the guest, and the guest kicks the ring by a
 * store to this page. Such a kick needs no exit to the hypervisor. No thread of the switch is
 * notified of the store.
 *
 * So a ring with a doorbell must be polled. The switch does not read the page: the guest can write
 * anything to it, and the ring itself shows more. A ring counts as having a doorbell from the
 * moment before its page is offered. This ends only if the front-end refuses the page. When the
 * ring stops or the channel closes, some front-ends remove the page from the guest, and others do
 * not. If a ring starts again, its page is offered again, and replaces the old page.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>

#include "vhost/device.h"

/*
 * Offer pages for rings that have no page, one at a time, and read the front-end's answers. The
 * owner calls this every few milliseconds if dev->offer_doorbells is set. Nothing happens if the
 * front-end has not negotiated the needed features, or has refused a page.
 */
void vhost_doorbell_service(struct vhost_device *dev);

/*
 * Ring `index` stops. The front-end may remove its page from the guest, so the page is offered
 * again later.
 */
void vhost_doorbell_stop(struct vhost_device *dev, unsigned index);

void vhost_doorbell_forget(struct vhost_device *dev);

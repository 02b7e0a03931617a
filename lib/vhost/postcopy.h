/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The destination side of a postcopy migration ("Migration, post-copy"). The guest runs on this
 * host before all its memory has arrived. A thread that touches a missing page waits until the
 * front-end has fetched the page.
 *
 *	POSTCOPY_ADVISE	a userfaultfd is made, and sent to the front-end
 *	POSTCOPY_LISTEN	from now on the front-end is told the addresses of regions
 *	SET_MEM_TABLE	or ADD_MEM_REG, with only a 0: the front-end is ready, and handles missing
 *			pages from now on
 *	POSTCOPY_END	all pages are there
 *
 * A worker that waits for a page serves no port meanwhile. It waits until the page has come, or
 * until the owner calls vhost_postcopy_abort(). So PAGEFAULT is offered only if dev->offer_postcopy
 * is set.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>

#include "vhost/device.h"

/* Make a userfaultfd, which stays the device's. Negative errno. */
int vhost_postcopy_advise(struct vhost_device *dev, int *ret_fd);

/* -EINVAL: not advised, or there is memory already. */
int vhost_postcopy_listen(struct vhost_device *dev);

static inline bool vhost_postcopy_listening(const struct vhost_device *dev)
{
	return dev->postcopy.listening;
}

/* Let the front-end handle the missing pages of all memory. Negative errno. */
int vhost_postcopy_register(struct vhost_device *dev);

/* End the postcopy migration, complete or not. Nothing happens if there is none. */
void vhost_postcopy_end(struct vhost_device *dev);

/*
 * Let all threads go on that wait for a page. They find the page empty, so the guest's memory is
 * incomplete. The caller must drop the connection. False: there is no postcopy migration.
 */
bool vhost_postcopy_abort(struct vhost_device *dev);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The arriving side of a postcopy migration ("Migration, post-copy"): the guest runs here before
 *its memory has come. Whoever touches a page that is missing waits for the front-end to fetch it.
 *
 *	POSTCOPY_ADVISE   a userfaultfd is made, and goes to the front-end
 *	POSTCOPY_LISTEN   from now on the addresses of regions go back to it, too
 *	SET_MEM_TABLE or ADD_MEM_REG with nothing but a 0: it is ready, missing pages are its
 *business POSTCOPY_END      all pages are there
 *
 * A worker that waits for a page stands still, and with it the other ports that it serves: for as
 * long as the page takes, and at most until somebody gives up with vhost_postcopy_abort().
 * That is why a device type has to ask for it (PAGEFAULT).
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>

#include "vhost/device.h"

/* The userfaultfd, which stays the device's. Negative errno. */
int vhost_postcopy_advise(struct vhost_device *dev, int *ret_fd);

/* -EINVAL: not advised, or there is memory already. */
int vhost_postcopy_listen(struct vhost_device *dev);

static inline bool vhost_postcopy_listening(const struct vhost_device *dev)
{
	return dev->postcopy.listening;
}

/* Let the front-end handle the missing pages of all memory. Negative errno. */
int vhost_postcopy_register(struct vhost_device *dev);

/* Over, one way or another. Fine when there is none. */
void vhost_postcopy_end(struct vhost_device *dev);

/*
 * Let go whoever waits for a page, which will be found empty: the guest's memory is spoilt, so the
 * connection must be dropped. False: there is no postcopy.
 */
bool vhost_postcopy_abort(struct vhost_device *dev);

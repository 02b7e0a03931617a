/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a device still needs from its front-end before it runs. Messages may come in any order. If
 * several are missing, the one that usually comes first is named.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>

#include "vhost/device.h"

/* What a device waits for. */
struct vhost_awaited {
	enum {
		VHOST_AWAITS_FIRST,   /* any message */
		VHOST_AWAITS_MESSAGE, /* this request; of this ring if it concerns one */
		VHOST_AWAITS_MEMORY,  /* a ring that cannot run: its areas are not mapped */
		VHOST_AWAITS_NOTHING, /* it runs */
	} what;
	uint32_t request;
	unsigned ring;
};

#define VHOST_AWAITED_TEXT 96

struct vhost_awaited vhost_handshake_awaits(const struct vhost_device *dev);

bool vhost_awaited_equal(const struct vhost_awaited *a, const struct vhost_awaited *b);

/* For example "waiting for SET_VRING_KICK of ring 1". Returns text. */
const char *vhost_awaited_text(const struct vhost_awaited *a, char text[VHOST_AWAITED_TEXT]);

/* SPDX-License-Identifier: BSD-3-Clause */
/* Which virtio features net devices offer: all that the switch can serve, or fewer by request. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/virtio.h"

/*
 * What can be served: an offload that one guest uses and another does not understand is finished
 * in software (datapath/fallback.c). CTRL_VQ, STATUS and GUEST_ANNOUNCE are served by the
 * front-end, or it leaves them to us (net_control.h). GSO is how drivers before virtio 1.0 name all
 * segmentation by the host.
 */
#define NET_FEATURES \
	(VIRTIO_BIT(NET_F_CSUM) | VIRTIO_BIT(NET_F_GUEST_CSUM) | VIRTIO_BIT(NET_F_MTU) | \
	    VIRTIO_BIT(NET_F_GSO) | VIRTIO_BIT(NET_F_GUEST_TSO4) | VIRTIO_BIT(NET_F_GUEST_TSO6) | \
	    VIRTIO_BIT(NET_F_GUEST_ECN) | VIRTIO_BIT(NET_F_GUEST_UFO) | \
	    VIRTIO_BIT(NET_F_HOST_TSO4) | VIRTIO_BIT(NET_F_HOST_TSO6) | \
	    VIRTIO_BIT(NET_F_HOST_ECN) | VIRTIO_BIT(NET_F_HOST_UFO) | \
	    VIRTIO_BIT(NET_F_GUEST_USO4) | VIRTIO_BIT(NET_F_GUEST_USO6) | \
	    VIRTIO_BIT(NET_F_HOST_USO) | VIRTIO_BIT(NET_F_MRG_RXBUF) | VIRTIO_BIT(NET_F_STATUS) | \
	    VIRTIO_BIT(NET_F_CTRL_VQ) | VIRTIO_BIT(NET_F_CTRL_RX) | \
	    VIRTIO_BIT(NET_F_GUEST_ANNOUNCE) | VIRTIO_BIT(NET_F_MQ) | VIRTIO_BIT(F_ANY_LAYOUT) | \
	    VIRTIO_BIT(F_INDIRECT_DESC) | VIRTIO_BIT(F_EVENT_IDX) | VIRTIO_BIT(F_VERSION_1) | \
	    VIRTIO_BIT(F_RING_PACKED) | VIRTIO_BIT(F_IN_ORDER) | VIRTIO_BIT(F_RING_RESET))

/*
 * What is offered unless something else is asked for. QEMU 7.2 gives RING_RESET to guests, but does
 * not tell us of a reset: the guest frees memory that we go on using.
 */
#define NET_FEATURES_USUAL (NET_FEATURES & ~VIRTIO_BIT(F_RING_RESET))

/*
 * The features that text asks for, words with commas between: a named set, or a feature by its
 * name, which is added with or without a + before it, and taken away with a -. A list that begins
 * with a + or a - begins with the usual features. False: a word names nothing, ret_word is that.
 */
bool net_features_parse(
    const char *text, uint64_t *ret_features, char *ret_word, size_t ret_word_size);

/* The names of all sets and features, for people; at most size bytes. */
void net_features_names(char *text, size_t size);

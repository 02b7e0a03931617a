/* SPDX-License-Identifier: BSD-3-Clause */
/* The virtio features that net devices can offer, and the choice of a part of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/virtio.h"

/*
 * All features that the switch supports. If a guest uses an offload that another guest does not
 * understand, software finishes it (datapath/fallback.c). CTRL_VQ, STATUS and GUEST_ANNOUNCE are
 * served by the front-end, or by net_control.h. Drivers before virtio 1.0 use GSO for all kinds of
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
 * The features that are offered by default. RING_RESET is missing: QEMU 7.2 offers it to guests,
 * but does not tell the switch of a reset. So the guest would free memory that the switch still
 * uses.
 */
#define NET_FEATURES_USUAL (NET_FEATURES & ~VIRTIO_BIT(F_RING_RESET))

/*
 * Parse a list of words with commas in between. A word is the name of a set or of a feature. A word
 * with a + or without a sign adds its features. A word with a - removes them. If the first word has
 * a sign, the list starts with the usual features, otherwise with none. False: a word is unknown;
 * it is in ret_word.
 */
bool net_features_parse(
    const char *text, uint64_t *ret_features, char *ret_word, size_t ret_word_size);

/* Write the names of all sets and features into text, which has size bytes. */
void net_features_names(char *text, size_t size);

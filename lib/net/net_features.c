/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/net_features.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

/*
 * The features of a net_vhost port of DPDK 22.11, without bits 26 and 30, which the switch always
 * offers.
 */
#define DPDK_22_11 \
	(VIRTIO_BIT(NET_F_CSUM) | VIRTIO_BIT(NET_F_GUEST_CSUM) | VIRTIO_BIT(NET_F_MTU) | \
	    VIRTIO_BIT(NET_F_GSO) | VIRTIO_BIT(NET_F_GUEST_TSO4) | VIRTIO_BIT(NET_F_GUEST_TSO6) | \
	    VIRTIO_BIT(NET_F_GUEST_ECN) | VIRTIO_BIT(NET_F_GUEST_UFO) | \
	    VIRTIO_BIT(NET_F_HOST_ECN) | VIRTIO_BIT(NET_F_HOST_UFO) | \
	    VIRTIO_BIT(NET_F_MRG_RXBUF) | VIRTIO_BIT(NET_F_CTRL_VQ) | VIRTIO_BIT(NET_F_CTRL_RX) | \
	    VIRTIO_BIT(NET_F_GUEST_ANNOUNCE) | VIRTIO_BIT(NET_F_MQ) | VIRTIO_BIT(F_ANY_LAYOUT) | \
	    VIRTIO_BIT(F_INDIRECT_DESC) | VIRTIO_BIT(F_EVENT_IDX) | VIRTIO_BIT(F_VERSION_1) | \
	    VIRTIO_BIT(F_RING_PACKED) | VIRTIO_BIT(F_IN_ORDER))

static const struct {
	const char *name;
	uint64_t features;
} sets[] = {
    {"all", NET_FEATURES_USUAL},
    {"dpdk-22.11", DPDK_22_11},
    {"dpdk-22.11-tso", DPDK_22_11 | VIRTIO_BIT(NET_F_HOST_TSO4) | VIRTIO_BIT(NET_F_HOST_TSO6)},
};

static const struct {
	const char *name; /* for example NET_F_CSUM; users write csum, as log lines do */
	uint64_t mask;
} features[] = {
#define X(name, bit) {#name, UINT64_C(1) << (bit)},
    VIRTIO_FEATURES(X)
#undef X
};

static const char *short_name(const char *name)
{
	return strstr(name, "F_") + 2;
}

/* The features of a set, or the bit of a feature; 0: there is no such set or feature. */
static uint64_t find(const char *word)
{
	for (unsigned i = 0; i < ARRAY_SIZE(sets); i++) {
		if (strcmp(word, sets[i].name) == 0)
			return sets[i].features;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		if (strcasecmp(word, short_name(features[i].name)) == 0)
			return features[i].mask & NET_FEATURES;
	}
	return 0;
}

bool net_features_parse(
    const char *text, uint64_t *ret_features, char *ret_word, size_t ret_word_size)
{
	uint64_t sum = *text == '+' || *text == '-' ? NET_FEATURES_USUAL : 0;

	for (;;) {
		char sign = *text;
		size_t n = strcspn(text, ",");
		uint64_t mask;

		snprintf(ret_word, ret_word_size, "%.*s", (int)MIN(n, ret_word_size), text);
		mask = n < ret_word_size ? find(ret_word + (sign == '+' || sign == '-')) : 0;
		if (!mask)
			return false;
		sum = sign == '-' ? sum & ~mask : sum | mask;
		if (text[n] == '\0')
			break;
		text += n + 1;
	}
	*ret_features = sum;
	return true;
}

static void append(char *text, size_t size, const char *name)
{
	size_t n = strlen(text), len = strlen(name);

	if (n + len + 2 > size)
		return;
	if (n)
		text[n++] = ' ';
	for (size_t i = 0; i <= len; i++)
		text[n + i] = tolower((unsigned char)name[i]);
}

void net_features_names(char *text, size_t size)
{
	*text = '\0';
	for (unsigned i = 0; i < ARRAY_SIZE(sets); i++)
		append(text, size, sets[i].name);
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		if (features[i].mask & NET_FEATURES)
			append(text, size, short_name(features[i].name));
	}
}

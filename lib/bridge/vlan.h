/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VLANs of a port (IEEE 802.1Q). A domain is a number from 0 to 4095: a VLAN, or 0 for frames
 * without a VLAN. Addresses are learned and frames are flooded in one domain.
 *
 * Threads: values only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VLAN_MIN     1
#define VLAN_MAX     4094
#define VLAN_DOMAINS 4096

/* What a port does with tags. */
enum vlan_mode {
	/* Frames have the tags of their VLANs. Untagged frames are in the native VLAN. */
	VLAN_TRUNK,
	/* Frames have no tag. All are in one VLAN. A frame that comes with a tag is dropped. */
	VLAN_ACCESS,
	/* A tunnel (802.1ad): all frames are in one VLAN, whatever tags they have. */
	VLAN_QINQ,
};

/* A set of VLANs, one bit each. */
struct vlan_set {
	uint64_t word[VLAN_DOMAINS / 64];
};

/* Zeros are the default: a trunk of all VLANs on which untagged frames are in domain 0. */
struct vlan_config {
	bool set;      /* a VLAN setting was given; false: all other fields are 0 */
	uint8_t mode;  /* enum vlan_mode */
	uint16_t vlan; /* VLAN_ACCESS, VLAN_QINQ: the VLAN; VLAN_TRUNK: the native VLAN, or 0 */
	uint16_t tpid; /* VLAN_TRUNK: of written tags, 0x8100 or 0x88a8; 0: 0x8100 for new tags */
	struct vlan_set trunk; /* VLAN_TRUNK: the VLANs whose frames are tagged */
};

static inline bool vlan_set_has(const struct vlan_set *set, uint16_t vlan)
{
	return vlan < VLAN_DOMAINS && (set->word[vlan / 64] >> vlan % 64 & 1);
}

static inline void vlan_set_add(struct vlan_set *set, uint16_t vlan)
{
	if (vlan < VLAN_DOMAINS)
		set->word[vlan / 64] |= UINT64_C(1) << vlan % 64;
}

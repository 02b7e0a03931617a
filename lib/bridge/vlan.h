/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VLANs of a port (IEEE 802.1Q). A domain is a number from 0 to 4095: a VLAN, or 0 for frames
 * without a VLAN. Addresses are learned and frames are flooded in one domain.
 *
 * A frame comes with an outer tag, or without one. vlan_ingress() decides from the port and the tag
 * which domain the frame is in, or that it is dropped. vlan_egress() decides with which outer tag
 * the frame leaves by another port.
 *
 * Both TPIDs, 0x8100 and 0x88a8, are tags on every port. A frame of which a receiver could read
 * another VLAN than the frame's does not leave: this is why a port takes no frame with a priority
 * tag (VLAN 0) before another tag, and why a native VLAN is tagged if a tag follows. This is about
 * outer tags, and about receivers that are trunks. Inner tags are payload, which QinQ carries: a
 * frame leaves an access or a QinQ port without its outer tag, and an inner tag is the first then.
 *
 * Threads: values only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ethernet.h"

#define VLAN_MIN     1
#define VLAN_MAX     4094
#define VLAN_DOMAINS 4096

/* What a port does with tags. */
enum vlan_mode {
	/* Frames have the tags of their VLANs. Untagged frames are in the native VLAN. */
	VLAN_TRUNK,
	/*
	 * Frames have no tag of their VLAN. All are in one VLAN. A frame that comes with a tag is
	 * dropped. An inner tag stays in a frame that leaves.
	 */
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

#define VLAN_NONE    0xffff
#define VLAN_TAG_LEN 4
#define VLAN_TAG_AT  12 /* where the outer tag of a frame begins */

/* What the switch needs of a struct vlan_config for each frame. */
struct vlan_port {
	uint8_t mode;      /* enum vlan_mode */
	uint16_t untagged; /* the domain of untagged frames; VLAN_NONE: they are dropped */
	uint16_t tpid;     /* of written tags; 0: that of the frame's tag, or 0x8100 */
	bool all;          /* a member of each VLAN from VLAN_MIN to VLAN_MAX */
	struct vlan_set member;
};

/* The outer tag of a frame, and its domain. A tag is TPID << 16 | TCI; 0: no tag. */
struct vlan_frame {
	uint32_t came; /* the tag with which it came */
	uint32_t tag;  /* the tag that it has now */
	uint16_t domain;
	bool tag_follows; /* there is another tag behind the outer tag, or behind the addresses */
};

/* Is it a setting that a port can have? */
bool vlan_config_valid(const struct vlan_config *config);

/* config is valid. */
void vlan_port_init(struct vlan_port *port, const struct vlan_config *config);

static inline bool vlan_member(const struct vlan_port *port, uint16_t domain)
{
	return vlan_set_has(&port->member, domain);
}

/*
 * Find the domain of a frame that comes from the port. head has the first 18 bytes of the frame, or
 * all len bytes, at least 14. False: the port does not take the frame.
 */
static inline bool vlan_ingress(
    const struct vlan_port *port, const uint8_t *head, uint32_t len, struct vlan_frame *ret)
{
	uint16_t type = load16(head + VLAN_TAG_AT), tci, vlan;
	bool tagged = ethertype_is_tag(type);

	*ret = (struct vlan_frame){.domain = port->untagged, .tag_follows = tagged};
	if (port->mode == VLAN_QINQ || !tagged)
		return port->untagged != VLAN_NONE;
	if (len < VLAN_TAG_AT + VLAN_TAG_LEN + 2)
		return false;
	tci = load16(head + VLAN_TAG_AT + 2);
	vlan = tci % VLAN_DOMAINS;
	ret->came = ret->tag = (uint32_t)type << 16 | tci;
	ret->tag_follows = ethertype_is_tag(load16(head + VLAN_TAG_AT + VLAN_TAG_LEN));
	if (vlan == 0)
		return port->untagged != VLAN_NONE && !ret->tag_follows;
	ret->domain = vlan;
	return port->mode == VLAN_TRUNK && vlan_member(port, vlan);
}

/* The outer tag with which the frame leaves by a port that is a member of its domain. */
static inline uint32_t vlan_egress(const struct vlan_port *port, const struct vlan_frame *frame)
{
	uint32_t tpid = frame->came >> 16, priority = frame->came & 0xf000;

	if (frame->domain == port->untagged && !(frame->tag_follows && port->mode == VLAN_TRUNK))
		return 0;
	if (port->tpid)
		tpid = port->tpid;
	else if (!tpid)
		tpid = ETHERTYPE_VLAN;
	return tpid << 16 | priority | frame->domain;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 3: apply the policy of the source port to its frames, before their destinations are looked
 * up.
 *
 * A burst stays plain if the policy drops none of its frames. The VLAN of each frame is decided
 * here. With which tag a frame leaves is decided when its destination is known (edit.h).
 */
#include "datapath/burst.h"

#include <string.h>

#include "datapath/edit.h"

const struct port_policy port_policy_none = {0};

/* Drop frame i. A plain burst becomes general, because its frames have no destinations yet. */
static void drop(struct burst *b, unsigned i, enum drop_reason reason)
{
	if (b->plain) {
		burst_fill_in(b);
		for (unsigned k = 0; k < b->n; k++)
			b->frame[k].dest = DEST_FLOOD; /* until looked up */
	}
	burst_drop(b, i, reason);
}

/* Has an earlier stage dropped the frame? */
static bool dropped(const struct burst *b, unsigned i)
{
	return !b->plain && b->frame[i].dest == DEST_NONE;
}

/* Consecutive frames often have the same source: the list is searched once for them. */
static void classify_mac_allow(struct burst *b)
{
	uint64_t last = 0; /* the source address that is allowed for certain */

	for (unsigned i = 0; i < b->n; i++) {
		uint64_t mac = mac_load(b->head[i].data + 6);

		if (LIKELY(mac == last && last) || UNLIKELY(dropped(b, i)))
			continue; /* allowed, or dropped with its reason */
		if (policy_lists_mac(b->policy, mac))
			last = mac;
		else
			drop(b, i, DROP_MAC_NOT_ALLOWED);
	}
}

static bool same_vlan(const struct vlan_frame *a, const struct vlan_frame *b)
{
	return a->came == b->came && a->domain == b->domain && a->tag_follows == b->tag_follows;
}

/* Is no frame of a plain burst tagged? */
static bool none_tagged(const struct burst *b)
{
	bool tagged = false;

	for (unsigned i = 0; i < b->n; i++)
		tagged |= ethertype_is_tag(load16(b->head[i].data + VLAN_TAG_AT));
	return !tagged;
}

/* Do all heads have the same `bytes` bytes, less than 8, behind the addresses? */
static bool same_types(const struct burst *b, unsigned bytes)
{
	uint64_t first, word, differ = 0;

	memcpy(&first, b->head[0].data + VLAN_TAG_AT, sizeof(first));
	for (unsigned i = 1; i < b->n; i++) {
		memcpy(&word, b->head[i].data + VLAN_TAG_AT, sizeof(word));
		differ |= first ^ word;
	}
	return !(differ << (64 - 8 * bytes)); /* the first bytes are the low ones */
}

/* Do all frames of a plain burst have the same outer tag and the same type behind it, or no tag? */
static bool same_tags(const struct burst *b)
{
	if (ethertype_is_tag(load16(b->head[0].data + VLAN_TAG_AT)))
		return !b->shorts && same_types(b, VLAN_TAG_LEN + 2);
	return same_types(b, 2) || none_tagged(b);
}

/* Classify all frames of a plain burst at once. False: they differ, or they are to be dropped. */
static bool classify_alike(struct burst *b)
{
	const struct vlan_port *port = &b->policy->vlan;
	struct vlan_frame v;

	if (!b->plain || b->plain_needs || !same_tags(b) ||
	    !vlan_ingress(port, b->head[0].data, b->frame[0].len, &v))
		return false;
	for (unsigned i = 0; i < b->n; i++)
		b->vlan[i] = v;
	return true;
}

static void classify_vlan(struct burst *b)
{
	const struct vlan_port *port = &b->policy->vlan;

	b->alike = true;
	if (LIKELY(classify_alike(b)))
		return;
	for (unsigned i = 0; i < b->n; i++) {
		if (UNLIKELY(dropped(b, i))) {
			b->vlan[i] = (struct vlan_frame){0};
			continue; /* with its reason */
		}
		if (UNLIKELY(!vlan_ingress(port, b->head[i].data, b->frame[i].len, &b->vlan[i])))
			drop(b, i, DROP_VLAN);
		else if (UNLIKELY(!edit_possible(b, i)))
			drop(b, i, DROP_BAD_OFFLOAD);
		b->alike &= same_vlan(&b->vlan[0], &b->vlan[i]);
	}
}

void burst_classify(struct burst *b)
{
	if (b->policy->features & POLICY_MAC_ALLOW)
		classify_mac_allow(b);
	if (b->policy->features & POLICY_VLAN)
		classify_vlan(b);
}

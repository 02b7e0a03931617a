/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The change that is made to a frame on its way to a destination: its outer tag becomes the one
 * with which it leaves there.
 *
 * The tag is in the head of the frame, which is private memory. So an edit moves some bytes there,
 * and the offsets in the net header with them. The copy from guest to guest stays one copy.
 * If all frames of a plain burst get or lose the same tag, their heads stay as they are, the burst
 * stays plain, and the copy makes the change (deliver.c).
 */
#pragma once

#include "datapath/burst.h"

/* The length with which frame i came. */
static inline uint32_t edit_taken_len(const struct burst *b, unsigned i)
{
	const struct vlan_frame *v = &b->vlan[i];

	if (!(b->policy->features & POLICY_VLAN))
		return b->frame[i].len;
	return b->frame[i].len + (v->came && !v->tag ? VLAN_TAG_LEN : 0) -
	    (v->tag && !v->came ? VLAN_TAG_LEN : 0);
}

/*
 * Can frame i get and lose a tag? If not, the checksum that it asks for would begin in its tag, or
 * at an offset that does not fit into the net header. A frame that asks for no checksum can.
 */
bool edit_possible(const struct burst *b, unsigned i);

/*
 * Change frame i as its way to the port asks. If the copy can change all frames of the burst that
 * go there, the frame stays as it is, and the function returns the change. Otherwise it changes the
 * head, for which a plain burst becomes general, and returns no change.
 */
struct change edit_frame(struct burst *b, const struct port *to, unsigned i);

/* Give frame i the outer tag; 0: none. A plain burst becomes general. */
void edit_head(struct burst *b, unsigned i, uint32_t tag);

/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/edit.h"

#include <string.h>

bool edit_possible(const struct burst *b, unsigned i)
{
	const struct virtio_net_hdr *net = &b->head[i].net;
	uint16_t least = ETH_LEN + (b->vlan[i].came ? VLAN_TAG_LEN : 0);

	if ((b->plain && !b->plain_needs) || !(net->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	return net->csum_start >= least && net->csum_start <= UINT16_MAX - VLAN_TAG_LEN;
}

/* Add `by` bytes, or remove them if it is negative, before the type of the frame. */
static void resize(struct frame *f, struct head *h, int by)
{
	uint8_t *type = h->data + VLAN_TAG_AT;
	unsigned from = by < 0 ? -by : 0, to = by > 0 ? by : 0;

	memmove(type + to, type + from, f->head_len - VLAN_TAG_AT - from);
	f->head_len += by;
	f->len += by;
	if (h->net.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		h->net.csum_start += by;
	if (h->net.hdr_len >= ETH_LEN + from)
		h->net.hdr_len = MIN(h->net.hdr_len + by, UINT16_MAX);
}

void edit_head(struct burst *b, unsigned i, uint32_t tag)
{
	struct vlan_frame *v = &b->vlan[i];

	if (tag == v->tag)
		return;
	burst_fill_in(b);
	if (tag && !v->tag)
		resize(&b->frame[i], &b->head[i], VLAN_TAG_LEN);
	if (!tag)
		resize(&b->frame[i], &b->head[i], -VLAN_TAG_LEN);
	else
		store32(b->head[i].data + VLAN_TAG_AT, tag);
	v->tag = tag;
}

/*
 * Can the copy make the change? The queues of a port are chosen by the frames as they leave. The
 * choice is the same before the change unless there are several tags (flow_hash.c).
 */
static bool copy_can(const struct burst *b, const struct port *to, uint32_t tag)
{
	const struct vlan_frame *v = &b->vlan[0];

	return b->plain && b->alike && !b->plain_needs && !(tag && v->tag) &&
	    (to->n_egress == 1 || !v->tag_follows);
}

struct change edit_frame(struct burst *b, const struct port *to, unsigned i)
{
	const struct vlan_frame *v = &b->vlan[i];
	uint32_t tag = vlan_egress(&to->policy->vlan, v);

	if (tag == v->tag)
		return (struct change){0};
	if (copy_can(b, to, tag)) {
		b->verbatim = false;
		return (struct change){tag ? VLAN_TAG_LEN : -VLAN_TAG_LEN, tag};
	}
	edit_head(b, i, tag);
	return (struct change){0};
}

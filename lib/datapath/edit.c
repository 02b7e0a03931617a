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

void edit_frame(struct burst *b, const struct port *to, unsigned i)
{
	struct vlan_frame *v = &b->vlan[i];
	uint32_t tag = vlan_egress(&to->policy->vlan, v);

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

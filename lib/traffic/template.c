/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The UDP or TCP ports contain the number of the flow; the IPv4 checksum does not cover them. The
 * UDP checksum is 0, that is, none. TCP frames ask for their checksum in the net header, so their
 * checksum field has the sum of the pseudo header, which is the same for all frames of a size.
 *
 * If a TCP frame is too short for a tag as its payload, the tag is in the TCP header, and the rest
 * of the frame is options without meaning, as in an acknowledgement without data.
 */
#include "traffic/template.h"

#include "base/util.h"
#include "traffic/tport.h"

#define TCP_CHECKSUM 16
#define TCP_NOP      1
#define OPTIONS_MAX  40

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return sum + (sum >> 16);
}

static uint32_t sum_words(const uint8_t *at, unsigned len)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < len; i += 2)
		sum += (unsigned)at[i] << 8 | at[i + 1];
	return sum;
}

static void put_ip(uint8_t *ip, uint32_t len, bool tcp, uint16_t from, uint16_t to)
{
	memset(ip, 0, IP_LEN);
	ip[0] = 0x45;
	template_put16(ip + 2, len);
	ip[8] = 64;
	ip[9] = tcp ? 6 : 17;
	ip[12] = ip[16] = 10;
	template_put16(ip + 14, from + 1);
	template_put16(ip + 18, to + 1);
	template_put16(ip + 10, ~fold(sum_words(ip, IP_LEN)));
}

/* len: of the TCP header and all that follows. */
static void put_tcp(uint8_t *tcp, const uint8_t *ip, uint32_t len, unsigned options)
{
	memset(tcp + TCP_LEN, TCP_NOP, options);
	tcp[12] = (TCP_LEN + options) / 4 << 4;
	tcp[13] = 0x10;
	template_put16(tcp + TCP_CHECKSUM, fold(6 + len + sum_words(ip + 12, 8)));
}

static void put_net_header(struct stream_template *t, const struct stream_profile *p)
{
	uint16_t l4 = t->layout.l2 + IP_LEN, payload = l4 + TCP_LEN;

	if (!profile_tcp(p) || t->layout.protocol != TAG_OVER_TCP)
		return;
	t->net.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	t->net.csum_start = l4;
	t->net.csum_offset = TCP_CHECKSUM;
	if (!p->gso || t->len - payload <= p->gso)
		return;
	t->net.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	t->net.gso_size = p->gso;
	t->net.hdr_len = payload;
}

/* The bytes after the TCP header, if they can only be options. */
static unsigned options_of(const struct stream_template *t)
{
	unsigned rest = t->len - t->layout.end;

	return t->layout.form == TAG_TCP && rest % 4 == 0 && rest <= OPTIONS_MAX ? rest : 0;
}

void template_make(struct stream_template *t, const struct stream_profile *p, uint16_t from,
    uint16_t to, uint32_t len)
{
	bool tcp = profile_tcp(p);
	uint8_t *at = t->bytes + 12;

	memset(t, 0, sizeof(*t));
	t->len = len;
	t->layout = tag_layout(p->vlan, tcp, len);
	t->tag_end = t->layout.end + options_of(t);
	if (p->vlan) {
		template_put16(at, 0x8100);
		template_put16(at + 2, p->vlan);
		at += VLAN_LEN;
	}
	template_put16(at, t->layout.protocol == TAG_OVER_ETHERNET ? TAG_ETHERTYPE : 0x0800);
	at += 2;
	len -= at - t->bytes;
	if (t->layout.protocol != TAG_OVER_ETHERNET) {
		put_ip(at, len, tcp, from, to);
		if (tcp)
			put_tcp(at + IP_LEN, at, len - IP_LEN, options_of(t));
		else
			template_put16(at + IP_LEN + 4, len - IP_LEN);
	}
	template_put_flow(t, t->bytes, from, to, 0, 0);
	put_net_header(t, p);
}

static const char *size_fault(const struct stream_profile *p, uint32_t len)
{
	struct tag_layout layout;

	if (len > STREAM_FRAME_MAX)
		return "a frame has at most 65,535 bytes";
	if (len < STREAM_FRAME_MIN)
		return "a frame has at least 14 bytes";
	if (p->vlan && len < ETH_LEN + VLAN_LEN)
		return "a frame with a VLAN tag has at least 18 bytes";
	layout = tag_layout(p->vlan, profile_tcp(p), len);
	if (profile_tcp(p) && layout.protocol != TAG_OVER_TCP)
		return p->vlan ? "a TCP frame with a VLAN tag has at least 58 bytes"
			       : "a TCP frame has at least 54 bytes";
	if (layout.protocol == TAG_OVER_ETHERNET && layout.form != TAG_FULL && p->flows != p->macs)
		return p->vlan ? "frames below 40 bytes have no more flows than MAC addresses"
			       : "frames below 36 bytes have no more flows than MAC addresses";
	return NULL;
}

const char *profile_fault(const struct stream_profile *p)
{
	const char *fault = NULL;

	if (p->n_sizes == 0 || p->n_sizes > STREAM_SIZES_MAX || p->n_order > STREAM_ORDER_MAX)
		return "there are too few or too many sizes";
	for (unsigned i = 0; i < p->n_order; i++) {
		if (p->order[i] >= p->n_sizes)
			return "the order names a size that is not there";
	}
	if (p->flows == 0 || p->macs == 0 || p->macs > 1 << 24)
		return "there are too few or too many flows or addresses";
	if (p->lanes == 0 || p->lanes > MIN(p->flows, (unsigned)TPORT_PAIRS_MAX))
		return "there are more queue pairs than flows";
	for (unsigned i = 0; !fault && i < p->n_sizes; i++)
		fault = size_fault(p, p->size[i]);
	return fault;
}

enum tag_form profile_weakest_form(const struct stream_profile *p)
{
	enum tag_form weakest = TAG_FULL;

	for (unsigned i = 0; i < p->n_sizes; i++) {
		struct tag_layout l = tag_layout(p->vlan, profile_tcp(p), p->size[i]);

		weakest = MAX(weakest, (enum tag_form)l.form);
	}
	return weakest;
}

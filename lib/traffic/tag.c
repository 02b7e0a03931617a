/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A received frame is read at the place that its own headers name. If there is no tag, the headers
 * may have been changed, so all possible places are searched for a tag that is intact. A full tag
 * has a mark and a check sum, and one of them must be right. So if a switch changes one byte, the
 * frame is corrupt, not foreign.
 *
 * A smaller tag has no room for the flow. With IPv4 the ports of the transport header contain it,
 * otherwise the number of the MAC address.
 */
#include "traffic/tag.h"

#include <endian.h>
#include <string.h>

#include "base/util.h"

#define FULL_LEN   ((uint32_t)sizeof(struct tag))
#define LENGTH_MIN 64 /* the shortest frame with IPv4, UDP and a full tag */
#define TCP_CHECK  10 /* from the sequence number to the window */

#define X(name, bytes, order, age, sum) [TAG_##name] = {order, age, sum},
const struct tag_tells tag_tells[TAG_FORM_COUNT] = {TAG_FORMS(X)};
#undef X

#define X(name, bytes, order, age, sum) [TAG_##name] = (bytes),
static const uint8_t form_bytes[TAG_FORM_COUNT] = {TAG_FORMS(X)};
#undef X

_Static_assert(sizeof(struct tag) == 22, "TAG_FORMS says so");

static uint16_t get16(const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, 2);
	return be16toh(value);
}

static struct tag_layout layout_of(
    enum tag_form form, enum tag_protocol protocol, uint32_t l2, uint32_t at)
{
	return (struct tag_layout){.form = form,
	    .protocol = protocol,
	    .l2 = l2,
	    .at = at,
	    .end = form == TAG_TCP ? l2 + IP_LEN + TCP_LEN : at + form_bytes[form]};
}

static struct tag_layout over_ethernet(uint32_t l2, uint32_t len)
{
	static const enum tag_form forms[] = {TAG_FULL, TAG_SHORT, TAG_NUMBER, TAG_ORDINAL};

	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		if (len >= l2 + form_bytes[forms[i]])
			return layout_of(forms[i], TAG_OVER_ETHERNET, l2, l2);
	}
	return layout_of(TAG_NONE, TAG_OVER_ETHERNET, l2, l2);
}

/* The layout with exactly this protocol. False: there is no room. */
static bool layout_over(
    enum tag_protocol protocol, uint32_t l2, uint32_t len, struct tag_layout *ret_layout)
{
	bool tcp = protocol == TAG_OVER_TCP;
	uint32_t l4 = l2 + IP_LEN, end = l4 + (tcp ? TCP_LEN : UDP_LEN);

	if (len < l2)
		return false;
	if (protocol == TAG_OVER_ETHERNET)
		*ret_layout = over_ethernet(l2, len);
	else if (len >= end + FULL_LEN)
		*ret_layout = layout_of(TAG_FULL, protocol, l2, end);
	else if (tcp && len >= end)
		*ret_layout = layout_of(TAG_TCP, protocol, l2, l4 + 4);
	else if (!tcp && len >= end + form_bytes[TAG_SHORT])
		*ret_layout = layout_of(TAG_SHORT, protocol, l2, end);
	else
		return false;
	return true;
}

struct tag_layout tag_layout(bool vlan, bool tcp, uint32_t len)
{
	uint32_t l2 = ETH_LEN + (vlan ? VLAN_LEN : 0);
	struct tag_layout layout;

	if (layout_over(tcp ? TAG_OVER_TCP : TAG_OVER_UDP, l2, len, &layout))
		return layout;
	return over_ethernet(l2, len);
}

/* Of the fields that a smaller form has. */
static uint16_t small_check(const struct stream_tag *tag)
{
	return tag_check(tag->from ^ (uint16_t)(tag->to << 8 | tag->to >> 8), tag->flow,
	    tag->number, (uint32_t)tag->time);
}

void tag_put(const struct tag_layout *l, uint8_t *frame, const struct stream_tag *tag)
{
	struct stream_tag small = *tag;
	uint16_t check, ordinal = tag->number;
	uint8_t *at = frame + l->at;

	if (l->form == TAG_FULL) {
		tag_put_full(at, tag->stream, tag->flow, tag->number, tag->time);
		return;
	}
	small.time = tag_tells[l->form].age ? (uint32_t)tag->time : 0;
	check = small_check(&small);
	switch (l->form) {
	case TAG_SHORT:
	case TAG_TCP:
		memcpy(at, &small.number, 4);
		memcpy(at + 4, &small.time, 4);
		memcpy(at + (l->form == TAG_TCP ? TCP_CHECK : 8), &check, 2);
		break;
	case TAG_NUMBER:
		memcpy(at, &small.number, 4);
		memcpy(at + 4, &check, 2);
		break;
	case TAG_ORDINAL:
		memcpy(at, &ordinal, 2);
		break;
	}
}

static inline bool full_tag_at(const uint8_t *frame, uint32_t at, struct stream_tag *ret_tag)
{
	const struct tag tag = *(const struct tag *)(frame + at);
	bool marked = tag.magic == TAG_MAGIC;
	bool sound = tag.check == tag_check(tag.stream, tag.flow, tag.number, tag.time);

	ret_tag->stream = tag.stream;
	ret_tag->flow = tag.flow;
	ret_tag->number = tag.number;
	ret_tag->time = tag.time;
	ret_tag->form = TAG_FULL;
	ret_tag->intact = marked && sound;
	return (marked || sound) && tag.stream != TAG_HELLO;
}

/* The flow, as the ports of the transport header or the MAC address name it. */
static uint32_t flow_of(const struct tag_layout *l, const uint8_t *frame)
{
	const uint8_t *ports = frame + l->l2 + IP_LEN;

	if (l->protocol == TAG_OVER_ETHERNET)
		return frame[3] << 16 | get16(frame + 4);
	return get16(ports) | (uint32_t)(uint16_t)(get16(ports + 2) - TAG_PORT_BASE) << 16;
}

/* Read a smaller tag. False: the MAC addresses are not those of a stream. */
static bool small_tag(const struct tag_layout *l, const uint8_t *frame, struct stream_tag *tag)
{
	const uint8_t *at = frame + l->at;
	uint16_t check = 0;

	*tag = (struct stream_tag){.form = l->form,
	    .from = get16(frame + 7),
	    .to = get16(frame + 1),
	    .flow = flow_of(l, frame)};
	if (l->form == TAG_ORDINAL) {
		memcpy(&check, at, 2);
		tag->number = check;
	} else if (l->form != TAG_NONE) {
		memcpy(&tag->number, at, 4);
	}
	if (tag_tells[l->form].age)
		memcpy(&tag->time, at + 4, 4);
	if (tag_tells[l->form].sum)
		memcpy(&check, at + (l->form == TAG_TCP ? TCP_CHECK : form_bytes[l->form] - 2), 2);
	tag->intact = !tag_tells[l->form].sum || check == small_check(tag);
	return (frame[0] == 2 && frame[6] == 2) || (tag_tells[l->form].sum && tag->intact);
}

static bool read_at(const struct tag_layout *l, const uint8_t *frame, struct stream_tag *ret_tag)
{
	if (l->form == TAG_FULL)
		return full_tag_at(frame, l->at, ret_tag);
	return small_tag(l, frame, ret_tag);
}

/* The protocol, as the headers themselves say; TAG_OVER_ETHERNET only for our own type. */
static bool protocol_of(
    const uint8_t *frame, uint32_t l2, uint32_t len, enum tag_protocol *ret_protocol)
{
	uint16_t type = get16(frame + l2 - 2);

	*ret_protocol = TAG_OVER_ETHERNET;
	if (type == TAG_ETHERTYPE)
		return true;
	if (type != 0x0800 || len < l2 + IP_LEN)
		return false;
	*ret_protocol = frame[l2 + 9] == 6 ? TAG_OVER_TCP : TAG_OVER_UDP;
	return true;
}

/*
 * Any frame that has no full tag behind IPv4, or whose headers were changed. Not inline, so that
 * the other frames do not need its registers.
 */
static __attribute__((noinline)) bool search(
    const uint8_t *frame, uint32_t len, struct stream_tag *ret_tag)
{
	uint32_t l2 = ETH_LEN;
	enum tag_protocol protocol;
	struct tag_layout layout;

	if (len < ETH_LEN)
		return false;
	if (len >= ETH_LEN + VLAN_LEN && get16(frame + 12) == 0x8100)
		l2 += VLAN_LEN;
	if (protocol_of(frame, l2, len, &protocol) && layout_over(protocol, l2, len, &layout) &&
	    read_at(&layout, frame, ret_tag))
		return true;
	for (unsigned i = 0; i < 6; i++) {
		l2 = ETH_LEN + (i / 3 ? VLAN_LEN : 0);
		if (layout_over(i % 3, l2, len, &layout) && tag_tells[layout.form].sum &&
		    read_at(&layout, frame, ret_tag) && ret_tag->intact)
			return true;
	}
	return false;
}

/* The end of the headers, as the headers themselves say. */
static inline uint32_t headers_end(const uint8_t *frame)
{
	uint32_t ip = ETH_LEN + (frame[12] == 0x81 && frame[13] == 0 ? VLAN_LEN : 0);

	return ip + IP_LEN + (frame[ip + 9] == 6 ? TCP_LEN : UDP_LEN);
}

bool stream_read_tag(const uint8_t *frame, uint32_t len, struct stream_tag *ret_tag)
{
	if (LIKELY(len >= LENGTH_MIN)) {
		uint32_t at = headers_end(frame);

		if (LIKELY(len >= at + FULL_LEN && full_tag_at(frame, at, ret_tag)))
			return true;
	}
	return search(frame, len, ret_tag);
}

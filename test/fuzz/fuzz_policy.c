/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Four ports of two bridges send bursts of short frames to each other. The input chooses the
 * frames, and the settings of the ports: bridge, VLANs, mac-allow, mac-limit, mac-move, isolated,
 * storm limits, static addresses. It changes settings and forgets addresses in between.
 *
 * A model says what happens to each frame. It has its own address table, which knows few addresses,
 * and asks nothing of the switch. After each burst each port must have got exactly the frames of
 * the model, byte by byte, and each drop reason must have been counted as often as in the model.
 */
#include "../unit/datapath/null_queue.h"
#include "base/ethernet.h"
#include "bridge/fdb.h"
#include "datapath/burst.h"
#include "datapath/forwarding.h"
#include "input.h"

#define PORTS      4
#define BRIDGES    2
#define DOMAINS    4 /* VLANs 1 to 3, and none */
#define STATIONS   6
#define ZERO       STATIONS /* as source address */
#define NOBODY     0xff
#define FRAME_MOST 128
#define BUFFER     (VIRTIO_NET_HDR_LEN + FRAME_MOST + VLAN_TAG_LEN)

/* Destination addresses after the stations'; BROADCAST is also a wrong source address. */
enum { BROADCAST = STATIONS, MULTICAST, LINK_LOCAL, DESTINATIONS };

/* Outcomes besides a port: 0 to PORTS - 1. */
enum { FLOOD = PORTS, DROPPED };

struct setting {
	unsigned bridge;
	struct vlan_config vlan;
	bool only_allowed, isolated, guard;
	unsigned allowed; /* bit 1 << station */
	unsigned limit;   /* of learned addresses; 0: none */
	unsigned storm[STORM_KINDS];
};

/* A frame as it was sent: a tag is TPID << 16 | TCI, or 0. */
struct sent {
	unsigned src, dst;
	uint32_t tag, inner;
	uint32_t len; /* with its tags */
	unsigned domain;
	unsigned outcome;
};

static struct model {
	struct setting of[PORTS];
	bool vlans[BRIDGES], drop_unknown[BRIDGES];
	struct {
		uint8_t owner; /* port or NOBODY */
		bool is_static;
	} known[BRIDGES][DOMAINS][STATIONS];
	unsigned learned[BRIDGES][PORTS];
	struct {
		uint32_t second;
		unsigned frames;
	} storm[PORTS][STORM_KINDS];
	uint64_t drops[PORTS][DROP_N];
	bool due[PORTS][BURST_FRAMES]; /* by receiver and number of the frame */
} model;

static struct port port[PORTS];
static struct port_policy policy[PORTS];
static struct storm_count storm_count[PORTS];
static struct queue ingress[PORTS], egress[PORTS];
static uint8_t buffers[PORTS][BURST_FRAMES][BUFFER];
static struct burst *burst;
static struct fdb *fdb[BRIDGES];
static struct forwarding *fwd;
static uint32_t now_s;

static void station_bytes(unsigned station, uint8_t ret[6])
{
	const uint8_t mac[6] = {2, 0, 0, 0, 0, station == ZERO ? 0 : 1 + station};

	memcpy(ret, mac, sizeof(mac));
	if (station == ZERO)
		ret[0] = 0;
}

static uint64_t station_address(unsigned station, unsigned domain)
{
	uint8_t mac[6];

	station_bytes(station, mac);
	return fdb_address(mac_load(mac), domain);
}

/* What the frame is in the end: with this outer tag, or without one. Returns its length. */
static uint32_t write_frame(const struct sent *f, unsigned number, uint32_t tag, uint8_t *ret)
{
	static const uint8_t groups[][6] = {
	    {255, 255, 255, 255, 255, 255}, {1, 0, 0x5e, 1, 2, 3}, {1, 0x80, 0xc2, 0, 0, 14}};
	uint32_t at = 12, len = f->len - (f->tag ? 4 : 0) + (tag ? 4 : 0);

	memset(ret, number + 100, len);
	if (f->dst < STATIONS)
		station_bytes(f->dst, ret);
	else
		memcpy(ret, groups[f->dst - STATIONS], 6);
	if (f->src <= ZERO)
		station_bytes(f->src, ret + 6);
	else
		memcpy(ret + 6, groups[0], 6);
	if (tag) {
		store32(ret + at, tag);
		at += 4;
	}
	if (f->inner) {
		store32(ret + at, f->inner);
		at += 4;
	}
	store16(ret + at, 0x88b5);
	return len;
}

/* The VLAN of frames without a tag; 0: none; -1: they are not taken. */
static int native_of(const struct setting *s)
{
	if (!s->vlan.set)
		return 0;
	return s->vlan.vlan ? s->vlan.vlan : -1;
}

static bool is_member(const struct setting *s, unsigned domain)
{
	if (!s->vlan.set || (int)domain == native_of(s))
		return true;
	return s->vlan.mode == VLAN_TRUNK && domain > 0 && (s->vlan.trunk.word[0] >> domain & 1);
}

/* The domain of a frame; -1: it is not taken. */
static int domain_of(const struct setting *s, const struct sent *f)
{
	unsigned vlan = f->tag & 0xfff;

	if (!f->tag || (s->vlan.set && s->vlan.mode == VLAN_QINQ))
		return native_of(s);
	if (vlan == 0)
		return f->inner ? -1 : native_of(s);
	if (vlan >= DOMAINS || (s->vlan.set && s->vlan.mode == VLAN_ACCESS))
		return -1;
	return is_member(s, vlan) ? (int)vlan : -1;
}

/* What the receiver gets of the frame, if it is in VLANs. Returns the length. */
static uint32_t expected_frame(const struct setting *from, const struct setting *to,
    const struct sent *f, unsigned number, uint8_t *ret)
{
	bool tunnel = from->vlan.set && from->vlan.mode == VLAN_QINQ;
	struct sent taken = *f;
	uint32_t tpid;

	if (!model.vlans[from->bridge])
		return write_frame(f, number, f->tag, ret);
	if (!tunnel && f->tag) {
		/* The tag is taken off; `taken` has the length without it. */
		taken.tag = 0;
		taken.len -= 4;
	}
	tpid = to->vlan.tpid;
	if (!tpid)
		tpid = tunnel || !f->tag ? 0x8100 : f->tag >> 16;
	if (tunnel && f->tag) {
		/* Both tags are payload. Build it as it came, and put a tag before them. */
		uint8_t bytes[BUFFER];
		uint32_t len = write_frame(f, number, f->tag, bytes);
		bool tagged = !(
		    (int)f->domain == native_of(to) && to->vlan.set && to->vlan.mode != VLAN_TRUNK);

		if (!tagged) {
			memcpy(ret, bytes, len);
			return len;
		}
		memcpy(ret, bytes, 12);
		store32(ret + 12, tpid << 16 | f->domain);
		memcpy(ret + 16, bytes + 12, len - 12);
		return len + 4;
	}
	if ((int)f->domain == native_of(to) &&
	    !(taken.inner && (!to->vlan.set || to->vlan.mode == VLAN_TRUNK)))
		return write_frame(&taken, number, 0, ret);
	return write_frame(
	    &taken, number, tpid << 16 | (tunnel ? 0 : f->tag & 0xf000) | f->domain, ret);
}

static unsigned drop_as(unsigned from, enum drop_reason reason)
{
	model.drops[from][reason]++;
	return DROPPED;
}

/* Note that the station is there now, unless it is static. */
static void learn(unsigned bridge, unsigned domain, unsigned station, unsigned on)
{
	uint8_t *owner = &model.known[bridge][domain][station].owner;

	if (model.known[bridge][domain][station].is_static || *owner == on)
		return;
	if (*owner != NOBODY)
		model.learned[bridge][*owner]--;
	*owner = on;
	model.learned[bridge][on]++;
}

/* Where the frame goes by its destination. */
static unsigned look_up(unsigned from, const struct sent *f)
{
	const struct setting *s = &model.of[from], *to;
	unsigned owner;

	if (f->dst == LINK_LOCAL)
		return drop_as(from, DROP_LINK_LOCAL);
	if (f->dst >= STATIONS)
		return FLOOD;
	owner = model.known[s->bridge][f->domain][f->dst].owner;
	if (owner == from)
		return drop_as(from, DROP_HAIRPIN);
	to = owner == NOBODY ? NULL : &model.of[owner];
	if (to && to->bridge != s->bridge)
		return drop_as(from, DROP_PORT_DOWN);
	if (!to || (model.vlans[s->bridge] && !is_member(to, f->domain)))
		return model.drop_unknown[s->bridge] ? drop_as(from, DROP_UNKNOWN) : FLOOD;
	if (s->isolated && to->isolated)
		return drop_as(from, DROP_ISOLATED);
	return owner;
}

/* What becomes of the frame, before floods are limited. */
static unsigned decide(unsigned from, struct sent *f)
{
	const struct setting *s = &model.of[from];
	int domain = model.vlans[s->bridge] ? domain_of(s, f) : 0;
	uint8_t owner;

	if (s->only_allowed && !(f->src < STATIONS && (s->allowed >> f->src & 1)))
		return drop_as(from, DROP_MAC_NOT_ALLOWED);
	if (domain < 0)
		return drop_as(from, DROP_VLAN);
	f->domain = domain;
	if (f->src >= STATIONS)
		return drop_as(from, DROP_BAD_SOURCE);
	owner = model.known[s->bridge][domain][f->src].owner;
	if (owner != from && owner != NOBODY && s->guard)
		return drop_as(from, DROP_MAC_MOVE);
	if (owner != from && s->limit && model.learned[s->bridge][from] >= s->limit)
		return drop_as(from, DROP_MAC_LIMIT);
	learn(s->bridge, domain, f->src, from);
	return look_up(from, f);
}

static bool storm_is_over(unsigned from, const struct sent *f)
{
	unsigned kind = f->dst < STATIONS ? STORM_UNKNOWN
	    : f->dst == BROADCAST         ? STORM_BROADCAST
					  : STORM_MULTICAST;

	if (!model.of[from].storm[kind])
		return true;
	if (model.storm[from][kind].second != now_s) {
		model.storm[from][kind].second = now_s;
		model.storm[from][kind].frames = 0;
	}
	if (model.storm[from][kind].frames >= model.of[from].storm[kind])
		return false;
	model.storm[from][kind].frames++;
	return true;
}

/* Note which ports get the flooded frame. */
static void flood(unsigned from, struct sent *f, unsigned number)
{
	const struct setting *s = &model.of[from];
	unsigned copies = 0;

	if (!storm_is_over(from, f)) {
		f->outcome = drop_as(from, DROP_STORM);
		return;
	}
	for (unsigned p = 0; p < PORTS; p++) {
		const struct setting *to = &model.of[p];
		bool gets = p != from && to->bridge == s->bridge &&
		    (!model.vlans[s->bridge] || is_member(to, f->domain)) &&
		    !(s->isolated && to->isolated);

		model.due[p][number] |= gets;
		copies += gets;
	}
	if (!copies)
		f->outcome = drop_as(from, DROP_NO_DESTINATION);
}

static void draw_vlan(struct input *in, struct vlan_config *ret)
{
	uint8_t list = input_u8(in);

	*ret = (struct vlan_config){.set = input_below(in, 6) > 0, .mode = input_below(in, 3)};
	if (!ret->set) {
		*ret = (struct vlan_config){0};
		return;
	}
	ret->vlan = ret->mode == VLAN_TRUNK ? input_below(in, 4) : 1 + input_below(in, 3);
	if (ret->mode != VLAN_TRUNK)
		return;
	ret->trunk.word[0] = list & 0xe;
	if (list & 1)
		ret->tpid = list & 0x10 ? 0x8100 : 0x88a8;
}

/* Let the port have its settings. */
static void set_policy(unsigned p)
{
	const struct setting *s = &model.of[p];

	policy[p] = (struct port_policy){.storm_count = &storm_count[p], .mac_limit = s->limit};
	if (model.vlans[s->bridge]) {
		policy[p].features |= POLICY_VLAN;
		vlan_port_init(&policy[p].vlan, &s->vlan);
	}
	for (unsigned i = 0; s->only_allowed && i < STATIONS; i++)
		if (s->allowed >> i & 1)
			policy[p].allow[policy[p].n_allow++] = station_address(i, 0);
	for (unsigned i = 0; i < STORM_KINDS; i++) {
		policy[p].storm[i] = s->storm[i];
		policy[p].features |= s->storm[i] ? POLICY_STORM : 0;
	}
	policy[p].features |= (s->only_allowed ? POLICY_MAC_ALLOW : 0) |
	    (s->isolated ? POLICY_ISOLATED : 0) | (s->guard ? POLICY_MAC_GUARD : 0) |
	    (s->limit ? POLICY_MAC_LIMIT : 0) |
	    (model.drop_unknown[s->bridge] ? POLICY_DROP_UNKNOWN : 0);
	port[p] = (struct port){.index = p,
	    .bridge = s->bridge,
	    .policy = &policy[p],
	    .hdr_len = VIRTIO_NET_HDR_LEN,
	    .n_egress = 1,
	    .egress = {&egress[p]}};
}

static void draw_setting(struct input *in, unsigned p)
{
	struct setting *s = &model.of[p];
	uint8_t which = input_u8(in);

	*s = (struct setting){.bridge = input_below(in, 8) == 0,
	    .only_allowed = which & 1,
	    .isolated = which & 2,
	    .guard = which & 4};
	if (s->only_allowed)
		s->allowed = input_u8(in);
	if (which & 8)
		s->limit = 1 + input_below(in, 3);
	for (unsigned i = 0; i < STORM_KINDS; i++)
		s->storm[i] = which & 16 ? input_below(in, 4) : 0;
	draw_vlan(in, &s->vlan);
	set_policy(p);
}

static void publish(void)
{
	const struct bridge_setup bridge[BRIDGES] = {
	    {.fdb = fdb[0], .vlans = model.vlans[0]}, {.fdb = fdb[1], .vlans = model.vlans[1]}};
	struct port *ports[PORTS];
	const struct forwarding_config config = {.n_bridges = BRIDGES,
	    .bridge = bridge,
	    .n_ports = PORTS,
	    .port = ports,
	    .n_workers = 1};

	for (unsigned p = 0; p < PORTS; p++)
		ports[p] = &port[p];
	forwarding_destroy(fwd);
	promise(forwarding_create(&config, &fwd) == 0);
}

static void forget(unsigned bridge, unsigned p)
{
	fdb_flush_port(fdb[bridge], p);
	while (fdb_flush_some(fdb[bridge], UINT32_MAX))
		;
	model.learned[bridge][p] = 0;
	for (unsigned d = 0; d < DOMAINS; d++)
		for (unsigned i = 0; i < STATIONS; i++)
			if (model.known[bridge][d][i].owner == p &&
			    !model.known[bridge][d][i].is_static)
				model.known[bridge][d][i].owner = NOBODY;
}

static void set_static(unsigned bridge, unsigned domain, unsigned station, unsigned p)
{
	bool was = model.known[bridge][domain][station].is_static;
	uint8_t *owner = &model.known[bridge][domain][station].owner;
	int err = fdb_static_set(fdb[bridge], station_address(station, domain), p);

	promise((err == 0) == (!was || *owner == p));
	if (err)
		return;
	if (!was && *owner != NOBODY)
		model.learned[bridge][*owner]--;
	*owner = p;
	model.known[bridge][domain][station].is_static = true;
}

static void clear_static(unsigned bridge, unsigned domain, unsigned station, unsigned p)
{
	bool was = model.known[bridge][domain][station].is_static &&
	    model.known[bridge][domain][station].owner == p;
	int err = fdb_static_clear(fdb[bridge], station_address(station, domain), p);

	promise((err == 0) == was);
	if (!was)
		return;
	model.known[bridge][domain][station].is_static = false;
	model.known[bridge][domain][station].owner = NOBODY;
}

static uint32_t draw_tag(struct input *in)
{
	static const uint16_t vlans[] = {1, 2, 3, 0, 4095, 1, 2, 3};
	uint8_t shape = input_u8(in);

	return (shape & 8 ? 0x88a80000 : 0x81000000) | (shape & 0xf0) << 8 | vlans[shape & 7];
}

static void draw_frame(struct input *in, unsigned from, struct sent *f)
{
	static const uint8_t destinations[] = {0, 1, 2, 3, 4, 5, 0, 1, 2, 3, BROADCAST, BROADCAST,
	    MULTICAST, MULTICAST, MULTICAST, LINK_LOCAL};
	static const uint8_t lens[] = {60, 64, 100, 120};
	uint8_t shape = input_u8(in), addresses = input_u8(in);

	/* Mostly stations of their own ports, so that ports have addresses that others send to. */
	*f = (struct sent){.src = (addresses & 8) ? from : (addresses & 7),
	    .dst = destinations[addresses >> 4],
	    .len = lens[shape & 3]};
	if (shape & 4)
		f->tag = draw_tag(in);
	if (f->tag && (shape & 8))
		f->inner = draw_tag(in);
}

/* Often the same as the frame before it, or the same with another tag. */
static void draw_next(struct input *in, unsigned from, const struct sent *before, struct sent *f)
{
	unsigned kind = before ? input_below(in, 4) : 3;

	if (kind > 1)
		draw_frame(in, from, f);
	else
		*f = *before;
	if (kind == 1) {
		f->tag = f->tag ? 0 : draw_tag(in);
		f->inner = 0;
	}
}

static void check_received(unsigned from, unsigned p, const struct sent sent[])
{
	const struct null_queue *nq = null_queue_of(&egress[p]);

	for (unsigned i = 0; i < nq->completed; i++) {
		const uint8_t *got = buffers[p][i] + VIRTIO_NET_HDR_LEN;
		uint32_t len = nq->buffer[i].len - VIRTIO_NET_HDR_LEN, expected_len;
		uint8_t expected[BUFFER];
		unsigned number = got[30] - 100;

		promise(number < BURST_FRAMES && model.due[p][number]);
		model.due[p][number] = false;
		expected_len =
		    expected_frame(&model.of[from], &model.of[p], &sent[number], number, expected);
		promise(len == expected_len && memcmp(got, expected, len) == 0);
	}
	for (unsigned i = 0; i < BURST_FRAMES; i++)
		promise(!model.due[p][i]);
}

static void check_counters(unsigned from)
{
	const struct queue_stats *s = &ingress[from].stats;
	uint64_t drops = 0;

	for (unsigned i = 0; i < DROP_N; i++) {
		promise(s->drops[i] == model.drops[from][i]);
		drops += s->drops[i];
	}
	promise(s->frames == s->unicast + s->flooded + drops);
}

static void queue_reset(struct queue *q)
{
	struct null_queue *nq = null_queue_of(q);

	nq->offered = nq->fetched = nq->completed = 0;
}

static void send_burst(struct input *in)
{
	unsigned from = input_below(in, PORTS), n = 1 + input_below(in, BURST_FRAMES);
	struct sent sent[BURST_FRAMES];
	uint8_t *bytes[BURST_FRAMES];

	now_s += input_below(in, 2);
	queue_reset(&ingress[from]);
	for (unsigned p = 0; p < PORTS; p++) {
		queue_reset(&egress[p]);
		for (unsigned i = 0; i < BURST_FRAMES; i++)
			null_queue_offer(&egress[p], buffers[p][i], BUFFER, 1);
	}
	for (unsigned i = 0; i < n; i++) {
		draw_next(in, from, i ? &sent[i - 1] : NULL, &sent[i]);
		bytes[i] = calloc(1, VIRTIO_NET_HDR_LEN + sent[i].len);
		promise(bytes[i]);
		write_frame(&sent[i], i, sent[i].tag, bytes[i] + VIRTIO_NET_HDR_LEN);
		null_queue_offer(&ingress[from], bytes[i], VIRTIO_NET_HDR_LEN + sent[i].len, 1);
		sent[i].outcome = decide(from, &sent[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		if (sent[i].outcome == FLOOD)
			flood(from, &sent[i], i);
		else if (sent[i].outcome < PORTS)
			model.due[sent[i].outcome][i] = true;
	}
	promise(burst_run(burst, fwd, &ingress[from], now_s, BURST_FRAMES) == n);
	for (unsigned i = 0; i < n; i++)
		free(bytes[i]);
	for (unsigned p = 0; p < PORTS; p++)
		check_received(from, p, sent);
	check_counters(from);
}

static void change(struct input *in)
{
	unsigned p = input_below(in, PORTS), bridge = input_below(in, BRIDGES);
	unsigned domain = input_below(in, DOMAINS), station = input_below(in, STATIONS);

	switch (input_below(in, 4)) {
	case 0:
		draw_setting(in, p);
		publish();
		break;
	case 1:
		forget(bridge, p);
		break;
	case 2:
		set_static(bridge, domain, station, p);
		break;
	default:
		clear_static(bridge, domain, station, p);
		break;
	}
}

static void begin(struct input *in)
{
	uint8_t shape = input_u8(in);

	model = (struct model){.vlans = {shape & 1, shape & 2},
	    .drop_unknown = {(shape & 12) == 4, (shape & 12) == 8}};
	memset(storm_count, 0, sizeof(storm_count));
	for (unsigned b = 0; b < BRIDGES; b++)
		for (unsigned d = 0; d < DOMAINS; d++)
			for (unsigned i = 0; i < STATIONS; i++)
				model.known[b][d][i].owner = NOBODY;
	now_s++;
	for (unsigned p = 0; p < PORTS; p++) {
		draw_setting(in, p);
		ingress[p] = (struct queue){.port = &port[p], .index = 1, .enabled = true};
		egress[p] = (struct queue){.port = &port[p], .enabled = true};
		null_queue_open(&ingress[p]);
		null_queue_open(&egress[p]);
	}
	publish();
}

/* The tables are used again, empty. */
static void end(void)
{
	for (unsigned b = 0; b < BRIDGES; b++) {
		for (unsigned d = 0; d < DOMAINS; d++)
			for (unsigned i = 0; i < STATIONS; i++)
				if (model.known[b][d][i].is_static)
					clear_static(b, d, i, model.known[b][d][i].owner);
		for (unsigned p = 0; p < PORTS; p++) {
			promise(fdb_port_count(fdb[b], p) == model.learned[b][p]);
			fdb_flush_port(fdb[b], p);
		}
		while (fdb_flush_some(fdb[b], UINT32_MAX))
			;
		promise(fdb_count(fdb[b]) == 0 && fdb_static_count(fdb[b]) == 0);
	}
	for (unsigned p = 0; p < PORTS; p++) {
		null_queue_close(&ingress[p]);
		null_queue_close(&egress[p]);
	}
	forwarding_destroy(fwd);
	fwd = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	if (!burst) {
		promise(burst_create(&burst) == 0);
		for (unsigned b = 0; b < BRIDGES; b++) {
			fdb[b] = fdb_create(256, 300);
			promise(fdb[b]);
		}
	}
	begin(&in);
	while (in.left) {
		if (input_below(&in, 4) == 0)
			change(&in);
		else
			send_burst(&in);
	}
	end();
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames go from one guest to another through the whole hot path. The input chooses everything: net
 * headers that agree with the frame or do not, the pieces of the frame, the offloads that the
 * receiver accepts, the VLANs of both ports, and the sizes of its buffers. The counters must
 * balance. No guest may get an offload that it did not negotiate, or a frame of a VLAN that its
 * port is not in.
 */
#include "bridge/fdb.h"
#include "datapath/burst.h"
#include "datapath/forwarding.h"
#include "datapath/vhost_queue.h"
#include "input.h"

#define BUFFER 80000
#define ROOM   (32 * 65600) /* receive buffers */
#define SIZE   64
#define AREA   16384 /* room for a ring's three areas */

struct guest {
	uint8_t *ring;    /* AREA bytes: descriptors, avail at 4096, used at 8192 */
	uint8_t *buffers; /* ROOM bytes */
	struct guest_memory *memory;
	struct vring vring;
	struct vring_position position;
	struct queue queue;
	struct port port;
	uint16_t next; /* descriptor */
};

static struct guest from, to;
static struct port_policy policy[2]; /* of the ports of both guests, with VLANs */
static struct burst *burst;
static struct fdb *fdb;

static void guest_open(struct guest *g, unsigned index, enum vring_direction direction)
{
	*g = (struct guest){.position = vring_position_initial(false)};
	g->ring = aligned_alloc(64, AREA);
	g->buffers = malloc(ROOM);
	promise(g->ring && g->buffers);
	memset(g->ring, 0, AREA);
	struct guest_region region = {.gpa = 0, .size = ROOM, .uaddr = 0, .host = g->buffers};
	struct vring_config c = {
	    .direction = direction,
	    .features = VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(NET_F_MRG_RXBUF),
	    .size = SIZE,
	    .desc = g->ring,
	    .driver = g->ring + 4096,
	    .device = g->ring + 8192,
	    .position = &g->position,
	};

	promise(guest_memory_create(&region, 1, &g->memory) == 0);
	c.memory = g->memory;
	promise(vring_start(&g->vring, &c) == 0);
	g->port.index = index;
	g->port.hdr_len = 12;
	g->port.policy = &port_policy_none;
	g->port.sends_offload = true;
	g->queue = (struct queue){.port = &g->port, .index = index, .enabled = true, .call_fd = -1};
	vhost_queue_set(&g->queue, &g->vring);
}

static void guest_close(struct guest *g)
{
	guest_memory_destroy(g->memory);
	free(g->ring);
	free(g->buffers);
}

/*
 * Offer a chain of buffers that cover [at, at + len), in pieces of `piece` bytes, but at most
 * `left` of them.
 */
static void offer(
    struct guest *g, uint32_t at, uint32_t len, uint32_t piece, uint16_t flags, unsigned left)
{
	struct vring_split_desc *desc = (void *)g->ring;
	struct vring_split_avail *avail = (void *)(g->ring + 4096);
	uint16_t chain_head = g->next % SIZE;

	while (len && left) {
		uint32_t n = --left ? MIN(piece, len) : len;

		desc[g->next % SIZE] = (struct vring_split_desc){.addr = at,
		    .len = n,
		    .flags = flags | (n < len ? VRING_DESC_F_NEXT : 0),
		    .next = (g->next + 1) % SIZE};
		g->next++;
		at += n;
		len -= n;
	}
	avail->ring[avail->idx % SIZE] = chain_head;
	avail->idx++;
}

static uint32_t put16(uint8_t *at, uint16_t value)
{
	at[0] = value >> 8;
	at[1] = value;
	return 2;
}

/* Build a frame of len bytes with correct headers, which the input changes afterwards. */
static void build_frame(struct input *in, uint8_t *frame, uint32_t len)
{
	static const uint8_t addresses[2][12] = {
	    {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}, {255, 255, 255, 255, 255, 255, 2}};
	uint8_t shape = input_u8(in);
	bool ipv6 = shape & 1, tcp = shape & 2;
	uint32_t l3 = 14, l4;

	memset(frame, shape, len);
	memcpy(frame, addresses[shape >> 2 & 1], 12);
	for (unsigned tags = shape >> 3 & 3; tags; tags--, l3 += 4) {
		uint8_t tag = input_u8(in);

		put16(frame + l3 - 2, tag & 8 ? 0x88a8 : 0x8100);
		put16(frame + l3, (tag & 0xf0) << 8 | (tag & 7));
	}
	put16(frame + l3 - 2, ipv6 ? 0x86dd : 0x0800);
	l4 = l3 + (ipv6 ? 40 : 20);
	if (len < l4 + 20)
		return;
	frame[l3] = ipv6 ? 0x60 : 0x45;
	put16(frame + l3 + (ipv6 ? 4 : 2), len - (ipv6 ? l4 : l3));
	frame[l3 + (ipv6 ? 6 : 9)] = tcp ? 6 : 17;
	if (!ipv6)
		put16(frame + l3 + 6, 0); /* no fragment */
	if (tcp)
		frame[l4 + 12] = 0x50 + (shape & 0x10);
	else
		put16(frame + l4 + 4, len - l4);
}

static struct virtio_net_hdr draw_header(struct input *in, uint32_t len)
{
	static const uint8_t kinds[] = {0, 1, 3, 4, 5, 0x81, 0x84, 2, 0xff};
	struct virtio_net_hdr h;

	if (input_below(in, 8) == 0) {
		input_bytes(in, &h, sizeof(h));
		return h;
	}
	h = (struct virtio_net_hdr){
	    .flags = input_below(in, 8) ? VIRTIO_NET_HDR_F_NEEDS_CSUM : input_u8(in),
	    .gso_type = kinds[input_below(in, sizeof(kinds))],
	    .gso_size = input_below(in, 2) ? 1448 : input_u16(in),
	    .hdr_len = 54,
	    .csum_start = input_below(in, 4) ? 34u + 20u * input_below(in, 2) : input_u16(in),
	    .csum_offset = input_below(in, 4) ? (input_below(in, 2) ? 16u : 6u) : input_u16(in),
	};
	if (input_below(in, 16) == 0)
		h.csum_start = len - input_below(in, 4);
	return h;
}

static void send_frame(struct input *in)
{
	static const uint32_t sizes[] = {14, 60, 64, 65, 1514, 9014, 65535, 65557};
	uint32_t len =
	    input_below(in, 2) ? sizes[input_below(in, ARRAY_SIZE(sizes))] : 1u + input_u16(in);
	struct virtio_net_hdr h;

	build_frame(in, from.buffers + 12, MAX(len, 14u));
	h = draw_header(in, len);
	memcpy(from.buffers, &h, 12);
	for (unsigned corrupted = input_below(in, 4); corrupted; corrupted--)
		from.buffers[12 + input_below(in, 128)] = input_u8(in);
	offer(&from, 0, len + 12, input_below(in, 2) ? 1 + input_u16(in) : BUFFER, 0, SIZE / 2);
}

static uint64_t all_drops(const struct queue_stats *s)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < DROP_N; i++)
		n += s->drops[i];
	return n;
}

/* Check that the frame that arrived needs no offload that the guest does not accept. */
static void check_delivered(const struct queue_stats *before, uint16_t used_before)
{
	const struct vring_split_used *used = (void *)(to.ring + 8192);
	const struct vring_split_desc *desc = (void *)to.ring;
	struct virtio_net_hdr h;

	if (to.queue.stats.frames == before->frames || all_drops(&to.queue.stats))
		return; /* a dropped frame leaves no header in its buffer */
	promise(used->idx != used_before);
	memcpy(&h, to.buffers + desc[used->ring[used_before % SIZE].id].addr, sizeof(h));
	if (!(to.port.accepts & OFFLOAD_CSUM))
		promise(!(h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM));
	if (!(to.port.accepts & ~(uint32_t)OFFLOAD_CSUM))
		promise(h.gso_type == 0 && h.gso_size == 0);
	promise(h.num_buffers >= 1);
}

static void check_totals(void)
{
	const struct queue_stats *in = &from.queue.stats, *out = &to.queue.stats;

	promise(in->frames == in->unicast + in->flooded + all_drops(in));
	promise(in->unicast + in->flood_copies + in->gso_segments == out->frames + all_drops(out));
}

/* VLANs 1 to 3: the mode, the VLAN, and the list of a trunk. */
static void draw_policy(struct input *in, struct port_policy *p)
{
	struct vlan_config c = {.set = input_below(in, 8) > 0, .mode = input_below(in, 3)};
	uint8_t list = input_u8(in);

	c.vlan = c.mode == VLAN_TRUNK ? input_below(in, 4) : 1 + input_below(in, 3);
	for (uint16_t vlan = 1; vlan <= 3 && c.mode == VLAN_TRUNK; vlan++)
		if (list >> vlan & 1)
			vlan_set_add(&c.trunk, vlan);
	if (c.mode == VLAN_TRUNK && (list & 1))
		c.tpid = list & 2 ? 0x8100 : 0x88a8;
	if (!c.set)
		c = (struct vlan_config){0};
	promise(vlan_config_valid(&c));
	*p = (struct port_policy){.features = POLICY_VLAN};
	vlan_port_init(&p->vlan, &c);
}

/* May the frame at the beginning of the sender's buffers reach the receiver? */
static bool may_pass(void)
{
	const uint8_t *frame = from.buffers + VIRTIO_NET_HDR_LEN;
	struct vlan_frame v;

	return !to.port.policy->features ||
	    (vlan_ingress(&from.port.policy->vlan, frame, 18, &v) &&
		vlan_member(&to.port.policy->vlan, v.domain));
}

static void run(struct input *in)
{
	struct port *ports[2] = {&from.port, &to.port};
	struct queue *polled[1] = {&from.queue};
	struct bridge_setup bridge = {.fdb = fdb, .vlans = input_below(in, 2)};
	struct forwarding_config config = {.n_bridges = 1,
	    .bridge = &bridge,
	    .n_ports = 2,
	    .n_workers = 1,
	    .n_queues = 1,
	    .port = ports,
	    .queue = polled};
	struct forwarding *fwd;
	uint32_t size = 64 + input_u16(in);

	to.port.accepts = input_u8(in) & 0x7f;
	to.port.egress[0] = &to.queue;
	to.port.n_egress = 1;
	for (unsigned i = 0; bridge.vlans && i < 2; i++) {
		draw_policy(in, &policy[i]);
		ports[i]->policy = &policy[i];
	}
	promise(forwarding_create(&config, &fwd) == 0);
	for (unsigned i = 0; i < 32; i++)
		offer(&to, i * (ROOM / 32), size, input_below(in, 8) ? size : 100,
		    VRING_DESC_F_WRITE, 2);
	while (in->left) {
		const struct vring_split_used *used = (void *)(to.ring + 8192);
		struct queue_stats before = to.queue.stats;
		uint16_t used_before = used->idx;

		bool passes;

		send_frame(in);
		passes = may_pass();
		burst_run(burst, fwd, &from.queue, 1, BURST_FRAMES);
		promise(passes || to.queue.stats.frames == before.frames);
		check_delivered(&before, used_before);
		check_totals();
		if (to.vring.broken || from.vring.broken)
			break;
	}
	forwarding_destroy(fwd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	if (!burst) {
		fdb = fdb_create(256, 300);
		promise(fdb && burst_create(&burst) == 0);
	}
	fdb_flush_port(fdb, 0);
	fdb_flush_port(fdb, 1);
	while (fdb_flush_some(fdb, 1000))
		;
	guest_open(&from, 0, VRING_TRANSMIT);
	guest_open(&to, 1, VRING_RECEIVE);
	run(&in);
	guest_close(&from);
	guest_close(&to);
	return 0;
}

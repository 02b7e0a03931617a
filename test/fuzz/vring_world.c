/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Guest memory is two heap blocks. They are adjacent in guest addresses and separate in this
 * process, so that the address sanitizer detects every access beyond one of them. The ring is in
 * the first block. The input writes any bytes anywhere into the blocks, with more well-formed
 * descriptors than chance would give. Between the writes the device fetches, reserves, completes,
 * gives back, and decides about notifications. After each step the guarantees of vring.h are
 * checked, and every byte of every segment is touched.
 */
#include "vring_world.h"

#include "base/cpu.h"
#include "virtio/vring.h"

#define REGION  4096
#define LOW     UINT64_C(0x10000)
#define HIGH    (LOW + REGION)
#define STEPS   512
#define DESC    0
#define DRIVER  2048
#define DEVICE  2560
#define BUFFERS 3072

struct world {
	struct input *in;
	uint8_t *block[2];
	struct guest_memory *memory;
	struct vring ring;
	struct vring_position position;
	uint16_t size;
	bool packed, receive;
	struct vring_batch batch;
};

static uint64_t draw_address(struct world *w)
{
	switch (input_below(w->in, 4)) {
	case 0:
		return LOW + BUFFERS + input_u8(w->in) * 4;
	case 1:
		return HIGH - input_below(w->in, 64); /* near the end of the block, or across it */
	case 2:
		return LOW + input_u16(w->in) % (2 * REGION + 16);
	default:
		return input_u64(w->in);
	}
}

static uint32_t draw_length(struct world *w)
{
	switch (input_below(w->in, 4)) {
	case 0:
		return 16 * (1 + input_below(w->in, 8)); /* the length of an indirect table */
	case 1:
		return input_u8(w->in);
	case 2:
		return input_u16(w->in);
	default:
		return input_u32(w->in);
	}
}

/* Write a descriptor into the ring, or into memory that indirect descriptors may name. */
static void write_desc(struct world *w)
{
	bool in_ring = input_below(w->in, 2);
	unsigned slot = input_below(w->in, in_ring ? w->size : 64);
	uint8_t *table = in_ring ? w->block[0] + DESC : w->block[0] + BUFFERS;
	uint64_t addr = draw_address(w);
	uint32_t len = draw_length(w);
	uint16_t flags = input_u16(w->in);

	if (w->packed) {
		struct vring_packed_desc d = {
		    .addr = addr, .len = len, .id = input_u8(w->in), .flags = flags};
		if (input_below(w->in, 4)) /* mostly available in this lap */
			d.flags = (flags & 7) |
			    (w->position.avail_wrap ? VRING_DESC_F_AVAIL : VRING_DESC_F_USED);
		memcpy(table + slot * sizeof(d), &d, sizeof(d));
	} else {
		struct vring_split_desc d = {
		    .addr = addr, .len = len, .flags = flags & 7, .next = input_u8(w->in)};
		memcpy(table + slot * sizeof(d), &d, sizeof(d));
	}
}

/* Make chains available. In packed rings write_desc() does this. */
static void offer(struct world *w)
{
	struct vring_split_avail *avail = (void *)(w->block[0] + DRIVER);

	if (w->packed)
		return;
	for (unsigned i = 0; i < w->size; i++)
		avail->ring[i] = input_u8(w->in) % (w->size + (i % 16 == 15));
	if (input_below(w->in, 8))
		avail->idx = w->position.avail + 1 + input_below(w->in, w->size);
	else
		avail->idx = input_u16(w->in);
}

static void scribble(struct world *w)
{
	uint8_t *block = w->block[input_below(w->in, 2)];
	unsigned at = input_u16(w->in) % (REGION - 8);

	input_bytes(w->in, block + at, 1 + input_below(w->in, 8));
}

static bool inside(const struct world *w, const struct vring_segment *s)
{
	for (unsigned i = 0; i < 2; i++) {
		if (s->addr >= w->block[i] && s->addr < w->block[i] + REGION)
			return s->len <= (size_t)(w->block[i] + REGION - s->addr);
	}
	return false;
}

static void check_chain(struct world *w, const struct vring_chain *c)
{
	uint64_t len = 0;

	promise(c->segment + c->n_segments <= w->batch.n_segments);
	promise(!c->fault || (c->n_segments == 0 && c->len == 0));
	promise(c->written <= c->len && c->len <= VRING_CHAIN_BYTES_MAX);
	promise(c->slots >= 1 && c->slots <= w->size);
	for (unsigned k = 0; k < c->n_segments; k++) {
		const struct vring_segment *s = &w->batch.segment[c->segment + k];

		promise(s->len > 0 && inside(w, s));
		len += s->len;
	}
	promise(len == c->len);
}

static void check(struct world *w)
{
	promise(w->batch.n <= VRING_BATCH_CHAINS && w->batch.n_segments <= VRING_BATCH_SEGMENTS);
	for (unsigned i = 0; i < w->batch.n; i++) {
		const struct vring_chain *c = &w->batch.chain[i];

		check_chain(w, c);
		promise(!w->batch.single_segment ||
		    (c->slots == 1 && c->n_segments == 1 && c->segment == i && !c->fault));
	}
	promise(!w->packed || (w->position.avail < w->size && w->position.used < w->size));
}

/* Read or write all segments, as a device does. */
static void touch(struct world *w)
{
	for (unsigned i = 0; i < w->batch.n_segments; i++) {
		struct vring_segment s = w->batch.segment[i];

		for (uint32_t k = 0; k < s.len; k++) {
			if (w->receive)
				s.addr[k] = (uint8_t)k;
			else
				(void)*(volatile uint8_t *)&s.addr[k];
		}
	}
}

static void complete(struct world *w)
{
	check(w);
	touch(w);
	vring_complete(&w->ring, &w->batch);
	w->batch.n = w->batch.n_segments = 0;
	check(w);
	vring_call_needed(&w->ring);
}

static void restart(struct world *w)
{
	uint64_t features = VIRTIO_BIT(F_VERSION_1);
	uint8_t bits = input_u8(w->in);
	struct vring_config c;

	features |= bits & 1 ? 0 : VIRTIO_BIT(F_INDIRECT_DESC);
	features |= bits & 2 ? VIRTIO_BIT(F_EVENT_IDX) : 0;
	features |= bits & 4 ? VIRTIO_BIT(F_IN_ORDER) : 0;
	features |= bits & 8 ? 0 : VIRTIO_BIT(NET_F_MRG_RXBUF);
	features |= w->packed ? VIRTIO_BIT(F_RING_PACKED) : 0;
	w->receive = bits & 16;
	cpu_allow_level(bits & 128 ? CPU_LEVEL_AVX2
		: bits & 64        ? CPU_LEVEL_BASELINE
				   : CPU_LEVEL_AVX512);
	w->size = w->packed ? 1 + input_below(w->in, 100) : 1u << input_below(w->in, 7);
	w->position = vring_position_initial(w->packed);
	if (bits & 32)
		w->position.avail = w->position.used = input_u16(w->in);
	c = (struct vring_config){
	    .direction = w->receive ? VRING_RECEIVE : VRING_TRANSMIT,
	    .features = features,
	    .size = w->size,
	    .desc = w->block[0] + DESC,
	    .driver = w->block[0] + DRIVER,
	    .device = w->block[0] + DEVICE,
	    .position = &w->position,
	    .memory = w->memory,
	};
	w->batch.n = w->batch.n_segments = 0;
	if (vring_start(&w->ring, &c) == 0)
		return;
	/* vring_start() only fails if the position is outside a packed ring. */
	promise(w->packed && w->position.avail >= w->size);
	w->position = vring_position_initial(w->packed);
	promise(vring_start(&w->ring, &c) == 0);
}

/* Reserve with the lengths in an array, or with those of the chains of another batch. */
static void reserve_single(struct world *w, const uint32_t len[], unsigned n, bool alike)
{
	static struct vring_batch from;
	unsigned got;

	for (unsigned i = 0; i < n; i++)
		from.chain[i].len = len[i];
	got = alike ? vring_reserve_alike(&w->ring, &w->batch, &from, 0, n)
		    : vring_reserve_single(&w->ring, &w->batch, len, n);

	promise(got <= n && got == w->batch.n);
	for (unsigned i = 0; i < got; i++)
		promise(w->batch.single_segment && w->batch.chain[i].written == len[i] &&
		    w->batch.segment[i].len >= len[i]);
	complete(w);
}

static void reserve(struct world *w)
{
	struct vring_reservation reserved[32];
	uint32_t len[32];
	unsigned n = 1 + input_below(w->in, 32), decided;

	if (!w->receive || w->batch.n)
		return;
	for (unsigned i = 0; i < n; i++)
		len[i] = 1 + input_u16(w->in) % 2000;
	if (len[0] % 4 == 0) {
		reserve_single(w, len, n, len[0] % 8);
		return;
	}
	vring_visit(&w->batch);
	decided = vring_reserve(&w->ring, &w->batch, len, n, reserved);
	promise(decided <= n);
	for (unsigned i = 0; i < decided; i++) {
		uint64_t written = 0;

		if (reserved[i].status != VRING_RESERVE_OK)
			continue; /* a room without chains */
		promise(reserved[i].chain + reserved[i].n_chains <= w->batch.n);
		for (unsigned k = 0; k < reserved[i].n_chains; k++)
			written += w->batch.chain[reserved[i].chain + k].written;
		promise(written == len[i]);
	}
	complete(w);
}

static void step(struct world *w)
{
	switch (input_below(w->in, 10)) {
	case 0:
	case 1:
	case 2:
		write_desc(w);
		break;
	case 3:
		offer(w);
		break;
	case 4:
		scribble(w);
		break;
	case 5:
		vring_fetch(&w->ring, &w->batch, input_u8(w->in));
		break;
	case 6:
		vring_unfetch(&w->ring, &w->batch, input_below(w->in, 256) % (w->batch.n + 1));
		break;
	case 7:
		complete(w);
		break;
	case 8:
		reserve(w);
		break;
	default:
		if (input_below(w->in, 4) == 0)
			restart(w);
		else if (input_below(w->in, 2))
			vring_kick_enable(&w->ring);
		else
			vring_kick_disable(&w->ring);
	}
	check(w);
}

void vring_world_run(struct input *in, bool packed)
{
	static struct world w; /* too large for a stack */
	struct guest_region r[2] = {{.gpa = LOW, .size = REGION, .uaddr = LOW},
	    {.gpa = HIGH, .size = REGION, .uaddr = HIGH}};

	w.in = in;
	w.packed = packed;
	for (unsigned i = 0; i < 2; i++) {
		r[i].host = w.block[i] = aligned_alloc(64, REGION);
		promise(w.block[i]);
		memset(w.block[i], 0, REGION);
	}
	promise(guest_memory_create(r, 2, &w.memory) == 0);
	restart(&w);
	for (unsigned i = 0; i < STEPS && in->left; i++)
		step(&w);
	guest_memory_destroy(w.memory);
	free(w.block[0]);
	free(w.block[1]);
}

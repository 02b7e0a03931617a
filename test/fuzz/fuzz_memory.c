/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory regions are added, removed and moved while rings are in use. Two files are cut into slots,
 * and each slot may be anywhere in guest memory. The rings are in one of the slots. Descriptors
 * point into all slots.
 */
#include "vhost_world.h"

#define STEPS  96
#define SLOTS  6
#define SLOT   UINT64_C(16384)
#define UADDR  UINT64_C(0x7f0000000000)
#define SIZE   16
#define DESC   UINT64_C(0)
#define AVAIL  UINT64_C(1024)
#define USED   UINT64_C(2048)
#define STRIDE UINT64_C(4096) /* from one ring's areas to the next one's */

struct fuzz {
	struct input in;
	struct vhost_world w;
	bool packed;
};

/* The region of slot i, rarely with another address, length or offset. */
static struct vhost_wire_region draw_region(struct fuzz *f, unsigned slot)
{
	struct vhost_wire_region r = {
	    .gpa = slot * SLOT,
	    .size = SLOT,
	    .uaddr = UADDR + slot * SLOT,
	    .mmap_offset = slot / 2 * SLOT,
	};

	switch (input_below(&f->in, 16)) {
	case 0:
		r.gpa += input_u8(&f->in) * UINT64_C(4096);
		break;
	case 1:
		r.size = input_u16(&f->in);
		break;
	case 2:
		r.mmap_offset = input_u32(&f->in);
	}
	return r;
}

static void send_request(
    struct fuzz *f, uint32_t request, const void *payload, uint32_t size, int fd)
{
	enum world_fd fds[1] = {fd < 0 ? 0 : fd};

	vhost_world_send(
	    &f->w, request, VHOST_VERSION | VHOST_NEED_REPLY, payload, size, fds, fd >= 0);
	vhost_world_run(&f->w);
}

static void add_or_remove(struct fuzz *f, bool add)
{
	unsigned slot = input_below(&f->in, SLOTS);
	struct vhost_wire_mem_region payload = {.region = draw_region(f, slot)};

	send_request(f, add ? VHOST_USER_ADD_MEM_REG : VHOST_USER_REM_MEM_REG, &payload,
	    sizeof(payload), add ? (int)slot % 2 : -1);
}

static void set_table(struct fuzz *f)
{
	struct vhost_wire_mem_table table = {0};
	enum world_fd fds[SLOTS];
	uint8_t which = input_u8(&f->in);

	for (unsigned slot = 0; slot < SLOTS; slot++) {
		if (!(which & 1u << slot))
			continue; /* not in this table */
		fds[table.n_regions] = slot % 2;
		table.region[table.n_regions++] = draw_region(f, slot);
	}
	vhost_world_send(&f->w, VHOST_USER_SET_MEM_TABLE, VHOST_VERSION | VHOST_NEED_REPLY, &table,
	    8 + table.n_regions * sizeof(table.region[0]), fds, table.n_regions);
	vhost_world_run(&f->w);
}

static void send_state(struct fuzz *f, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_wire_vring_state state = {index, num};

	send_request(f, request, &state, sizeof(state), -1);
}

static void start_ring(struct fuzz *f, uint32_t index)
{
	uint64_t at = UADDR + input_below(&f->in, SLOTS) * SLOT + index * STRIDE;
	struct vhost_wire_vring_addr addr = {
	    .index = index, .desc = at + DESC, .avail = at + AVAIL, .used = at + USED};
	uint64_t u64 = index;

	send_state(f, VHOST_USER_SET_VRING_NUM, index, SIZE);
	send_request(f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	send_request(f, VHOST_USER_SET_VRING_KICK, &u64, sizeof(u64), WORLD_EVENT);
	send_state(f, VHOST_USER_SET_VRING_ENABLE, index, 1);
}

static void send_u64(struct fuzz *f, uint32_t request, uint64_t value)
{
	send_request(f, request, &value, sizeof(value), -1);
}

static void negotiate(struct fuzz *f)
{
	uint64_t features = VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_INDIRECT_DESC) |
	    VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);

	f->packed = input_below(&f->in, 2);
	if (f->packed)
		features |= VIRTIO_BIT(F_RING_PACKED);
	send_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES,
	    VHOST_PROTOCOL_BIT(REPLY_ACK) | VHOST_PROTOCOL_BIT(CONFIGURE_MEM_SLOTS));
	send_u64(f, VHOST_USER_SET_FEATURES, features);
}

/* Offer a buffer to one of the rings, near the border of two slots. */
static void offer(struct fuzz *f)
{
	unsigned file = input_below(&f->in, 2), index = input_below(&f->in, 2);
	uint8_t *at = f->w.memory[file] + input_below(&f->in, SLOTS / 2) * SLOT + index * STRIDE;
	uint64_t addr = input_below(&f->in, SLOTS + 1) * SLOT + (int8_t)input_u8(&f->in);
	uint32_t len = input_u8(&f->in);
	uint16_t flags = (index == 0 ? VRING_DESC_F_WRITE : 0) | (input_u8(&f->in) & 5);
	unsigned slot = input_below(&f->in, SIZE);

	if (f->packed) {
		struct vring_packed_desc d = {.addr = addr,
		    .len = len,
		    .id = slot,
		    .flags = flags | (input_below(&f->in, 2) ? 0x80 : 0x8000)};
		memcpy(at + slot * sizeof(d), &d, sizeof(d));
	} else {
		struct vring_split_desc d = {
		    .addr = addr, .len = len, .flags = flags, .next = (slot + 1) % SIZE};
		struct vring_split_avail *avail = (void *)(at + AVAIL);

		memcpy(at + slot * sizeof(d), &d, sizeof(d));
		avail->ring[avail->idx % SIZE] = slot;
		avail->idx++;
	}
}

static void step(struct fuzz *f)
{
	switch (input_below(&f->in, 12)) {
	case 0:
	case 1:
		add_or_remove(f, true);
		break;
	case 2:
		add_or_remove(f, false);
		break;
	case 3:
		set_table(f);
		break;
	case 4:
		start_ring(f, input_below(&f->in, 2));
		break;
	case 5:
		send_state(f, VHOST_USER_GET_VRING_BASE, input_below(&f->in, 2), 0);
		break;
	case 6:
		if (input_below(&f->in, 8) == 0) {
			vhost_world_reconnect(&f->w);
			negotiate(f);
		}
		break;
	case 7:
	case 8:
	case 9:
		offer(f);
		break;
	default:
		vhost_world_poll(&f->w);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz f;

	f.in = (struct input){data, size};
	vhost_world_open(&f.w);
	negotiate(&f);
	for (unsigned i = 0; i < STEPS && f.in.left; i++)
		step(&f);
	vhost_world_close(&f.w);
	return 0;
}

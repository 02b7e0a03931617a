/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Streams of messages of three kinds: well-formed messages with values close to the right values,
 * right headers with any payload, and bytes that are not a message. Each has descriptors of every
 * kind.
 */
#include <sys/socket.h>

#include "vhost_world.h"

#define STEPS     48
#define REQUESTS  47 /* all message ids, and some that do not exist */
#define UADDR     UINT64_C(0x7f0000000000)
#define ANYWHERE  8
#define FDS_DRAWN 3

struct fuzz {
	struct input in;
	struct vhost_world w;
	enum world_fd fds[32];
	unsigned n_fds;
};

static uint64_t draw_number(struct fuzz *f)
{
	static const uint64_t choice[] = {0, 1, 2, 3, 16, 4096, WORLD_MEMORY_SIZE,
	    VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | VIRTIO_BIT(F_VERSION_1),
	    VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | VIRTIO_BIT(F_RING_PACKED), 0xffffffff};
	unsigned i = input_below(&f->in, ARRAY_SIZE(choice) + 2);

	if (i < ARRAY_SIZE(choice))
		return choice[i];
	return i == ARRAY_SIZE(choice) ? input_u64(&f->in) : input_u8(&f->in);
}

static uint64_t draw_uaddr(struct fuzz *f)
{
	return input_below(&f->in, ANYWHERE) ? UADDR + input_u8(&f->in) * UINT64_C(512)
					     : draw_number(f);
}

static void draw_fds(struct fuzz *f, unsigned right, enum world_fd kind)
{
	f->n_fds = input_below(&f->in, ANYWHERE) ? right : input_below(&f->in, 32);
	for (unsigned i = 0; i < f->n_fds; i++)
		f->fds[i] = input_below(&f->in, ANYWHERE)
		    ? (kind == WORLD_EVENT || kind == WORLD_PIPE ? kind : i % 2)
		    : input_below(&f->in, WORLD_FDS);
}

static struct vhost_wire_region draw_region(struct fuzz *f, unsigned i)
{
	struct vhost_wire_region r = {
	    .gpa = i * WORLD_MEMORY_SIZE,
	    .size = WORLD_MEMORY_SIZE,
	    .uaddr = UADDR + i * WORLD_MEMORY_SIZE,
	};

	switch (input_below(&f->in, ANYWHERE)) {
	case 0:
		r.gpa = draw_number(f);
		break;
	case 1:
		r.size = draw_number(f);
		break;
	case 2:
		r.uaddr = draw_number(f);
		break;
	case 3:
		r.mmap_offset = draw_number(f);
	}
	return r;
}

/* Draw a plausible payload for the message. Returns its size. */
static uint32_t draw_payload(struct fuzz *f, uint32_t request, union vhost_payload *p)
{
	unsigned n;

	f->n_fds = 0;
	switch (request) {
	case VHOST_USER_SET_MEM_TABLE:
		n = input_below(&f->in, 3);
		p->table.n_regions = n;
		for (unsigned i = 0; i < n; i++)
			p->table.region[i] = draw_region(f, i);
		draw_fds(f, n, WORLD_MEMORY_A);
		return 8 + n * sizeof(p->table.region[0]);
	case VHOST_USER_ADD_MEM_REG:
	case VHOST_USER_REM_MEM_REG:
		p->mem.region = draw_region(f, input_below(&f->in, 4));
		draw_fds(f, request == VHOST_USER_ADD_MEM_REG, WORLD_MEMORY_A);
		return sizeof(p->mem);
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_BASE:
	case VHOST_USER_GET_VRING_BASE:
	case VHOST_USER_SET_VRING_ENABLE:
	case VHOST_USER_SET_VRING_ENDIAN:
	case VHOST_USER_VRING_KICK:
		p->state.index = input_below(&f->in, WORLD_RINGS + 1);
		p->state.num = draw_number(f);
		return sizeof(p->state);
	case VHOST_USER_SET_VRING_ADDR:
		p->addr.index = input_below(&f->in, WORLD_RINGS + 1);
		p->addr.flags = input_below(&f->in, 2);
		p->addr.desc = draw_uaddr(f);
		p->addr.avail = draw_uaddr(f);
		p->addr.used = draw_uaddr(f);
		p->addr.log = draw_number(f);
		return sizeof(p->addr);
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		p->u64 = input_below(&f->in, WORLD_RINGS + 1);
		draw_fds(f, 1, WORLD_EVENT);
		if (input_below(&f->in, ANYWHERE) == 0)
			p->u64 |= VHOST_VRING_NOFD;
		return sizeof(p->u64);
	case VHOST_USER_SET_LOG_BASE:
		p->log = (struct vhost_wire_log){.size = draw_number(f), .offset = draw_number(f)};
		draw_fds(f, 1, WORLD_MEMORY_A);
		return sizeof(p->log);
	case VHOST_USER_IOTLB_MSG:
		p->iotlb = (struct vhost_wire_iotlb){.iova = draw_number(f),
		    .size = draw_number(f),
		    .uaddr = draw_uaddr(f),
		    .perm = input_below(&f->in, 5),
		    .type = input_below(&f->in, 6)};
		return sizeof(p->iotlb);
	case VHOST_USER_GET_CONFIG:
	case VHOST_USER_SET_CONFIG:
		p->config.offset = draw_number(f);
		p->config.size = input_u8(&f->in);
		p->config.flags = input_below(&f->in, 3);
		return 12 + p->config.size;
	case VHOST_USER_GET_INFLIGHT_FD:
	case VHOST_USER_SET_INFLIGHT_FD:
		p->inflight = (struct vhost_wire_inflight){.mmap_size = draw_number(f),
		    .mmap_offset = draw_number(f),
		    .n_queues = input_below(&f->in, WORLD_RINGS + 2),
		    .queue_size = draw_number(f)};
		draw_fds(f, request == VHOST_USER_SET_INFLIGHT_FD, WORLD_MEMORY_A);
		return sizeof(p->inflight);
	case VHOST_USER_SET_DEVICE_STATE_FD:
		p->device_state.direction = input_below(&f->in, 3);
		p->device_state.phase = input_below(&f->in, 2);
		draw_fds(f, 1, WORLD_PIPE);
		return sizeof(p->device_state);
	case VHOST_USER_SET_BACKEND_REQ_FD:
		draw_fds(f, 1, WORLD_SOCKET);
		return 0;
	default:
		p->u64 = draw_number(f);
		return input_below(&f->in, 2) ? sizeof(p->u64) : 0;
	}
}

static void send_message(struct fuzz *f)
{
	uint32_t request = input_below(&f->in, REQUESTS);
	uint32_t flags = VHOST_VERSION | (input_below(&f->in, 2) ? VHOST_NEED_REPLY : 0);
	union vhost_payload payload;
	uint32_t size;

	memset(&payload, 0, sizeof(payload));
	size = draw_payload(f, request, &payload);
	vhost_world_send(&f->w, request, flags, &payload, size, f->fds, f->n_fds);
}

/* Send a header with any numbers, and any payload. */
static void send_noise(struct fuzz *f)
{
	uint8_t payload[300];
	uint32_t size = input_u8(&f->in) + input_below(&f->in, 44);

	input_bytes(&f->in, payload, size);
	draw_fds(f, input_below(&f->in, FDS_DRAWN), WORLD_EVENT);
	vhost_world_send(&f->w, input_below(&f->in, REQUESTS), input_u32(&f->in), payload, size,
	    f->fds, f->n_fds);
}

static void send_bytes(struct fuzz *f)
{
	uint8_t bytes[64];
	size_t n = input_below(&f->in, sizeof(bytes));

	input_bytes(&f->in, bytes, n);
	send(f->w.peer, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void write_memory(struct fuzz *f)
{
	uint8_t *at = f->w.memory[input_below(&f->in, 2)] + input_u8(&f->in) * 16;

	input_bytes(&f->in, at, 16);
}

static void step(struct fuzz *f)
{
	switch (input_below(&f->in, 16)) {
	case 0:
		send_noise(f);
		break;
	case 1:
		send_bytes(f);
		break;
	case 2:
		write_memory(f);
		return;
	case 3:
		vhost_world_poll(&f->w);
		return;
	case 4:
		if (input_below(&f->in, ANYWHERE) == 0)
			vhost_world_reconnect(&f->w);
		return;
	default:
		send_message(f);
	}
	if (input_below(&f->in, ANYWHERE))
		vhost_world_run(&f->w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz f;

	f.in = (struct input){data, size};
	vhost_world_open(&f.w);
	for (unsigned i = 0; i < STEPS && f.in.left; i++)
		step(&f);
	vhost_world_close(&f.w);
	return 0;
}

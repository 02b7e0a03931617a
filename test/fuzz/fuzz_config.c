/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET_CONFIG and SET_CONFIG with any offset, size, flags and message length, against a simple model
 * of the space: a read returns what was written, an answer has the size of the request or none, and
 * a refused write changes nothing.
 */
#include <sys/socket.h>

#include "vhost_world.h"

#define STEPS 64

struct fuzz {
	struct input in;
	struct vhost_world w;
	uint8_t model[WORLD_CONFIG];
};

struct answer {
	struct vhost_header header;
	uint8_t payload[4096];
};

static uint32_t draw(struct fuzz *f, uint32_t usual)
{
	switch (input_below(&f->in, 8)) {
	case 0:
		return input_u32(&f->in);
	case 1:
		return input_u16(&f->in);
	case 2:
		return UINT32_MAX - input_u8(&f->in);
	default:
		return input_u8(&f->in) % (usual + 2);
	}
}

/*
 * Send one message, and let it be handled. False: the connection was dropped, and there is a new
 * one.
 */
static bool say(struct fuzz *f, uint32_t request, uint32_t flags, const void *payload,
    uint32_t size, struct answer *ret)
{
	int error;

	memset(&ret->header, 0, sizeof(ret->header));
	vhost_world_send(&f->w, request, flags, payload, size, NULL, 0);
	error = session_receive(f->w.session);
	if (recv(f->w.peer, ret, sizeof(*ret), MSG_DONTWAIT) < (ssize_t)sizeof(ret->header))
		ret->header.size = UINT32_MAX;
	if (error)
		vhost_world_reconnect(&f->w);
	return !error;
}

static void negotiate(struct fuzz *f)
{
	uint64_t features = VHOST_PROTOCOL_BIT(CONFIG) | VHOST_PROTOCOL_BIT(REPLY_ACK);
	struct answer answer;

	say(f, VHOST_USER_SET_PROTOCOL_FEATURES, VHOST_VERSION, &features, sizeof(features),
	    &answer);
}

static void one_message(struct fuzz *f)
{
	bool set = input_below(&f->in, 2);
	struct vhost_wire_config wire = {
	    .offset = draw(f, WORLD_CONFIG),
	    .size = draw(f, WORLD_CONFIG),
	    .flags = input_below(&f->in, 4) ? 0 : input_u32(&f->in),
	};
	uint32_t len = VHOST_WIRE_CONFIG_HEADER +
	    (wire.size <= VHOST_WIRE_CONFIG_MAX && input_below(&f->in, 8) ? wire.size
									  : draw(f, 256) % 300);
	bool right = wire.offset <= WORLD_CONFIG && wire.size <= WORLD_CONFIG - wire.offset &&
	    len == VHOST_WIRE_CONFIG_HEADER + wire.size;
	uint8_t bytes[400] = {0};
	struct answer answer;

	input_bytes(&f->in, wire.bytes, MIN(wire.size, sizeof(wire.bytes)));
	memcpy(bytes, &wire, sizeof(wire));
	if (!say(f, set ? VHOST_USER_SET_CONFIG : VHOST_USER_GET_CONFIG,
		VHOST_VERSION | (set ? VHOST_NEED_REPLY : 0), bytes, len, &answer)) {
		promise(!right);
		negotiate(f);
		return;
	}
	if (set) {
		promise(answer.header.size == 8);
		/*
		 * The acknowledgement may be a failure, because the change cannot be announced. The
		 * bytes are written nevertheless.
		 */
		if (right)
			memcpy(f->model + wire.offset, wire.bytes, wire.size);
	} else if (right) {
		promise(answer.header.size == len);
		promise(memcmp(answer.payload + VHOST_WIRE_CONFIG_HEADER, f->model + wire.offset,
			    wire.size) == 0);
	} else {
		promise(answer.header.size == 0);
	}
	promise(memcmp(f->w.config, f->model, WORLD_CONFIG) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = {.in = {data, size}};

	vhost_world_open(&f.w);
	memcpy(f.model, f.w.config, WORLD_CONFIG);
	negotiate(&f);
	for (unsigned i = 0; i < STEPS && f.in.left; i++)
		one_message(&f);
	vhost_world_close(&f.w);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/message.h"

#include <stddef.h>

#include "vhost/descriptor.h"
#include "vhost/handlers.h"

/* The gate ANY: not a feature. */
#define VHOST_USER_PROTOCOL_F_ANY 64
#define GATE(name) \
	(VHOST_USER_PROTOCOL_F_##name < 64 ? UINT64_C(1) << (VHOST_USER_PROTOCOL_F_##name & 63) : 0)

static const struct vhost_message_spec specs[] = {
#define X(id, payload_min, payload_max, fds_min, fds_max, gate, reply, handler) \
	[VHOST_USER_##id] = {#id, payload_min, payload_max, fds_min, fds_max, VHOST_REPLY_##reply, \
	    GATE(gate), handler},
    VHOST_MESSAGE_TABLE(X)
#undef X
};

/* Every message of the wire format has a row. */
#define X(...) +1 /* NOLINT(bugprone-macro-parentheses): a term of a sum */
_Static_assert(0 VHOST_MESSAGE_TABLE(X) == 0 VHOST_FRONTEND_MESSAGES(X), "a message lacks a row");
#undef X

#define X(id, payload_min, payload_max, ...) \
	_Static_assert(payload_min <= payload_max && payload_max <= VHOST_PAYLOAD_MAX, #id);
VHOST_MESSAGE_TABLE(X)
#undef X

const struct vhost_message_spec *vhost_message_find(uint32_t request)
{
	if (request >= ARRAY_SIZE(specs) || !specs[request].name)
		return NULL;
	return &specs[request];
}

const char *vhost_message_name(uint32_t request)
{
	const struct vhost_message_spec *spec = vhost_message_find(request);

	return spec ? spec->name : NULL;
}

int vhost_message_take_fd(struct vhost_message *msg, unsigned i)
{
	if (i >= msg->n_fds)
		return -1;
	int fd = msg->fd[i];
	msg->fd[i] = -1;
	return fd;
}

void vhost_message_close_fds(const struct vhost_device *dev, struct vhost_message *msg)
{
	for (unsigned i = 0; i < msg->n_fds; i++) {
		if (msg->fd[i] >= 0)
			vhost_fd_close(dev, msg->fd[i]);
	}
	msg->n_fds = 0;
}

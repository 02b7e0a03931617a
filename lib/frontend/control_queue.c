/* SPDX-License-Identifier: BSD-3-Clause */
#include "frontend/control_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "virtio/vring.h"

#define DESC      0
#define DRIVER    4096
#define DEVICE    8192
#define DATA      16384
#define REGION    (DATA + CONTROL_ENTRIES * CONTROL_DATA)
#define NO_ANSWER 0xee

int control_queue_create(struct frontend *fe, struct control_queue **ret_queue)
{
	struct control_queue *cq = calloc(1, sizeof(*cq));
	int region;

	if (!cq)
		return -ENOMEM;
	region = frontend_region_create(fe, CONTROL_GPA, REGION, 0, false);
	cq->fe = fe;
	cq->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	cq->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (region < 0 || cq->kick_fd < 0 || cq->call_fd < 0) {
		control_queue_destroy(cq);
		return -ENOMEM;
	}
	cq->host = fe->region[region].host;
	*ret_queue = cq;
	return 0;
}

void control_queue_destroy(struct control_queue *cq)
{
	if (!cq)
		return;
	if (cq->ring.slot)
		driver_ring_cleanup(&cq->ring);
	if (cq->kick_fd >= 0)
		close(cq->kick_fd);
	if (cq->call_fd >= 0)
		close(cq->call_fd);
	free(cq);
}

static int tell_ring(struct control_queue *cq)
{
	struct frontend *fe = cq->fe;
	uint64_t at = frontend_uaddr(fe, CONTROL_GPA);
	int err = frontend_set_vring_num(fe, cq->index, CONTROL_ENTRIES);

	if (!err)
		err = frontend_set_vring_base(fe, cq->index, cq->ring.packed ? 0x80008000 : 0);
	if (!err)
		err = frontend_set_vring_addr(fe, cq->index, at + DESC, at + DRIVER, at + DEVICE);
	if (err || cq->kick == CONTROL_KICK_INBAND)
		return err;
	err = frontend_set_vring_fd(fe, VHOST_USER_SET_VRING_CALL, cq->index, cq->call_fd);
	return err ? err
		   : frontend_set_vring_fd(fe, VHOST_USER_SET_VRING_KICK, cq->index,
			 cq->kick == CONTROL_KICK_EVENTFD ? cq->kick_fd : -1);
}

int control_queue_start(struct control_queue *cq, unsigned index, enum control_kick kick)
{
	int err;

	memset(cq->host, 0, REGION);
	if (cq->ring.slot)
		driver_ring_cleanup(&cq->ring);
	cq->index = index;
	cq->kick = kick;
	cq->next = 0;
	err = driver_ring_init(&cq->ring, cq->fe->features, CONTROL_ENTRIES, cq->host + DESC,
	    cq->host + DRIVER, cq->host + DEVICE);
	return err ? err : tell_ring(cq);
}

int control_queue_kick(struct control_queue *cq)
{
	struct vhost_wire_vring_state wire = {.index = cq->index};

	switch (cq->kick) {
	case CONTROL_KICK_EVENTFD:
		return eventfd_write(cq->kick_fd, 1) < 0 ? -errno : 0;
	case CONTROL_KICK_INBAND:
		return frontend_call(cq->fe, VHOST_USER_VRING_KICK, &wire, sizeof(wire), NULL, 0);
	case CONTROL_KICK_NONE:
		break;
	}
	return 0;
}

int control_queue_send(
    struct control_queue *cq, uint8_t class, uint8_t command, const void *data, uint32_t len)
{
	uint32_t offset = DATA + cq->next % CONTROL_ENTRIES * CONTROL_DATA;
	uint8_t *at = cq->host + offset;
	struct driver_buffer buffer[3] = {
	    {CONTROL_GPA + offset, 2},
	    {CONTROL_GPA + offset + 2, len},
	};
	unsigned n_out = len ? 2 : 1;
	int err;

	if (len > CONTROL_DATA - 3)
		return -EINVAL;
	at[0] = class;
	at[1] = command;
	if (len)
		memcpy(at + 2, data, len);
	at[2 + len] = NO_ANSWER;
	buffer[n_out] = (struct driver_buffer){CONTROL_GPA + offset + 2 + len, 1};
	err = driver_ring_add(&cq->ring, buffer, n_out, 1, at + 2 + len);
	if (err)
		return err;
	cq->next++;
	driver_ring_publish(&cq->ring);
	return driver_ring_kick_needed(&cq->ring) ? control_queue_kick(cq) : 0;
}

int control_queue_wait(struct control_queue *cq, unsigned timeout_ms)
{
	void *token;
	uint32_t len;

	for (unsigned tries = 0; tries < timeout_ms * 10; tries++) {
		int got = driver_ring_reap(&cq->ring, &token, &len);

		if (got < 0)
			return got;
		if (got == 1)
			return len == 1 ? *(uint8_t *)token : -EBADMSG;
		usleep(100);
	}
	return -ETIMEDOUT;
}

int control_queue_command(
    struct control_queue *cq, uint8_t class, uint8_t command, const void *data, uint32_t len)
{
	int err = control_queue_send(cq, class, command, data, len);

	return err ? err : control_queue_wait(cq, cq->fe->timeout_ms);
}

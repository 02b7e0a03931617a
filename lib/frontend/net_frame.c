/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames through a network driver's queues. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "frontend/net_driver.h"

static void kick(struct net_queue *q)
{
	uint64_t one = 1;

	driver_ring_publish(&q->ring);
	/* If the eventfd is full, an earlier kick has not been read: nothing to do. */
	if (driver_ring_kick_needed(&q->ring) && write(q->kick_fd, &one, sizeof(one)) < 0)
		return;
}

/* Offer a slot with its fragments to the device. -ENOSPC: the ring is full. */
static int offer(struct net_driver *nd, struct net_queue *q, struct net_slot *slot,
    const struct driver_buffer buffers[], unsigned n)
{
	unsigned n_out = q->index % 2 ? n : 0, n_in = n - n_out;
	bool indirect = slot->shape.indirect && VIRTIO_HAS(nd->fe.features, F_INDIRECT_DESC);
	int err;

	if (indirect)
		err = driver_ring_add_indirect(
		    &q->ring, buffers, n_out, n_in, slot->host, slot->gpa, slot);
	else
		err = driver_ring_add(&q->ring, buffers, n_out, n_in, slot);
	if (err)
		return err;
	q->free = slot->next;
	q->n_outstanding++;
	return 0;
}

static void slot_free(struct net_queue *q, struct net_slot *slot)
{
	slot->next = q->free;
	q->free = slot;
	q->n_outstanding--;
}

int net_reap_sent(struct net_driver *nd, unsigned pair)
{
	struct net_queue *q = &nd->queue[2 * pair + 1];
	int n = 0;

	net_serve(nd);
	for (;;) {
		void *token;
		uint32_t len;
		int got = driver_ring_reap(&q->ring, &token, &len);

		if (got <= 0)
			return got < 0 ? got : n;
		slot_free(q, token);
		n++;
	}
}

int net_send(struct net_driver *nd, unsigned pair, const void *frame, uint32_t len,
    const struct virtio_net_hdr *hdr, const struct net_shape *shape)
{
	static const struct virtio_net_hdr no_offload;
	struct net_shape plain = {.n = 2, .len = {nd->hdr_len}};
	struct net_queue *q = &nd->queue[2 * pair + 1];
	struct driver_buffer buffers[NET_SHAPE_MAX];
	struct net_slot *slot;
	unsigned n;
	int err;

	if (len > NET_FRAME_MAX)
		return -EMSGSIZE;
	err = net_reap_sent(nd, pair);
	if (err < 0)
		return err;
	slot = q->free;
	if (!slot)
		return -EAGAIN;
	n = net_slot_cut(slot, shape ? shape : &plain, nd->hdr_len + len, buffers);
	net_slot_scatter(slot, 0, hdr ? hdr : &no_offload, nd->hdr_len);
	net_slot_scatter(slot, nd->hdr_len, frame, len);
	err = offer(nd, q, slot, buffers, n);
	if (err)
		return err == -ENOSPC ? -EAGAIN : err;
	kick(q);
	return 0;
}

/*
 * A device must not rely on the old contents of a buffer. So three cases take turns, each for 300
 * buffers: the net header of the last frame stays; every third buffer gets a random header; every
 * buffer gets a random header.
 */
static void soil_header(struct net_queue *q, struct net_slot *slot)
{
	static const uint8_t rubbish[VIRTIO_NET_HDR_LEN] = {
	    1, 1, 0xff, 0xff, 2, 3, 4, 5, 6, 7, 0xff, 0xff};
	unsigned n = q->n_offered++, phase = n / 300 % 3;

	if (phase == 2 || (phase == 1 && n % 3 == 0))
		net_slot_scatter(slot, 0, rubbish, sizeof(rubbish));
}

int net_refill(struct net_driver *nd, unsigned pair)
{
	const struct net_shape *shape = &nd->config.receive_shape;
	struct net_queue *q = &nd->queue[2ul * pair];
	unsigned limit = nd->config.n_receive ? nd->config.n_receive : nd->config.ring_size;
	struct driver_buffer buffers[NET_SHAPE_MAX];
	uint32_t total = 0;
	bool any = false;

	for (unsigned i = 0; i < shape->n; i++)
		total += shape->len[i];
	while (q->free && q->n_outstanding < limit) {
		struct net_slot *slot = q->free;
		unsigned n = net_slot_cut(slot, shape, total, buffers);
		int err;

		if (!nd->config.clean)
			soil_header(q, slot);
		err = offer(nd, q, slot, buffers, n);
		if (err == -ENOSPC)
			break;
		if (err)
			return err;
		any = true;
	}
	if (any)
		kick(q);
	return 0;
}

/* The first buffer of a frame begins with the net header, which has the number of buffers. */
static int begin_frame(struct net_driver *nd, struct net_queue *q, uint32_t len)
{
	struct virtio_net_hdr hdr;

	if (len < nd->hdr_len)
		return -EBADMSG;
	memcpy(&hdr, q->frame, sizeof(hdr));
	q->buffers_left = nd->hdr_len == VIRTIO_NET_HDR_LEN ? hdr.num_buffers : 1;
	if (q->buffers_left == 0 ||
	    (q->buffers_left > 1 && !VIRTIO_HAS(nd->fe.features, NET_F_MRG_RXBUF)))
		return -EBADMSG;
	return 0;
}

/* Append the contents of one used buffer to the frame that is being collected. */
static int append_buffer(
    struct net_driver *nd, struct net_queue *q, const struct net_slot *slot, uint32_t len)
{
	int err = 0;

	if (len > NET_FRAME_MAX + VIRTIO_NET_HDR_LEN - q->frame_len ||
	    !net_slot_gather(slot, q->frame + q->frame_len, len) || !net_slot_gaps_intact(slot))
		return -EBADMSG;
	if (q->frame_len == 0)
		err = begin_frame(nd, q, len);
	q->frame_len += len;
	q->buffers_left--;
	return err;
}

static void finish_frame(struct net_driver *nd, struct net_queue *q, struct net_frame *ret)
{
	ret->hdr = (struct virtio_net_hdr){.num_buffers = 1};
	memcpy(&ret->hdr, q->frame, nd->hdr_len);
	ret->bytes = q->frame + nd->hdr_len;
	ret->len = q->frame_len - nd->hdr_len;
	q->frame_len = 0;
}

int net_receive(struct net_driver *nd, unsigned pair, struct net_frame *ret_frame)
{
	struct net_queue *q = &nd->queue[2ul * pair];

	net_serve(nd);
	for (;;) {
		void *token;
		uint32_t len;
		int got = driver_ring_reap(&q->ring, &token, &len);

		if (got <= 0)
			return got;
		/* Length 0: the device could not use the buffer. */
		if (len || q->frame_len)
			got = append_buffer(nd, q, token, len);
		else
			got = 1;
		slot_free(q, token);
		if (got < 0)
			return got;
		got = net_refill(nd, pair);
		if (got < 0)
			return got;
		if (q->frame_len && q->buffers_left == 0) {
			finish_frame(nd, q, ret_frame);
			return 1;
		}
	}
}

int net_wait(struct net_driver *nd, unsigned pair, int timeout_ms)
{
	struct net_queue *q = &nd->queue[2ul * pair];
	struct pollfd p = {.fd = q->call_fd, .events = POLLIN};
	uint64_t ignored;
	int n;

	if (driver_ring_call_enable(&q->ring)) {
		driver_ring_call_disable(&q->ring);
		return 1;
	}
	n = poll(&p, 1, timeout_ms);
	if (n > 0 && read(q->call_fd, &ignored, sizeof(ignored)) < 0)
		n = 0;
	driver_ring_call_disable(&q->ring);
	return n > 0;
}

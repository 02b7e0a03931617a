/* SPDX-License-Identifier: BSD-3-Clause */
/* The fast driver: its memory, its connection, and the code that both ring formats share. */
#include "traffic/vport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/util.h"
#include "virtio/vring.h"

#define GPA        UINT64_C(0x100000000)
#define LINE       64u
#define PAGE       4096u
#define HUGE_PAGE  (2u << 20)
#define REST_TRIES 100000 /* looks for the rest of a frame whose first buffer has arrived */

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* Bytes for the ring areas of one queue in either format; each area has its own pages. */
static uint64_t ring_bytes(uint16_t size)
{
	struct vring_layout split = vring_layout(size, false), packed = vring_layout(size, true);

	return round_up(MAX(split.desc, packed.desc), PAGE) +
	    round_up(MAX(split.driver, packed.driver), PAGE) +
	    round_up(MAX(split.device, packed.device), PAGE);
}

static uint32_t buffer_bytes(const struct vport_config *c, bool writable)
{
	return writable && c->buffer ? c->buffer : c->frame_max;
}

/* Bytes beside each buffer: for a chain, the net header and the indirect table. */
static uint32_t extra_bytes(const struct vport_config *c)
{
	if (c->chain == 0)
		return 0;
	return LINE + round_up((c->chain + 1) * sizeof(struct vring_split_desc), LINE);
}

static uint64_t queue_bytes(const struct vport_config *c, bool writable)
{
	uint64_t stride = LINE + round_up(buffer_bytes(c, writable), LINE);

	return ring_bytes(c->ring_size) + round_up((stride + extra_bytes(c)) * c->ring_size, PAGE);
}

/* How many buffers there are: a power of two, and all fit into the ring. */
static void set_slots(struct vport_queue *q, const struct vport_config *c, bool writable)
{
	bool merged = writable && VIRTIO_HAS(c->features, NET_F_MRG_RXBUF);

	q->pieces = c->chain && !merged ? c->chain + 1 : 0;
	q->indirect = q->pieces && c->indirect;
	q->per = q->pieces && !q->indirect ? q->pieces : 1;
	for (q->n_slots = q->size; q->n_slots * q->per > q->size; q->n_slots /= 2)
		;
	q->slot_mask = q->n_slots - 1;
}

static int make_queue(struct vport *vp, unsigned index, uint64_t *gpa)
{
	const struct vport_config *c = &vp->config;
	struct vport_queue *q = &vp->queue[index];
	uint64_t bytes = queue_bytes(c, index % 2 == 0);
	uint8_t *host = frontend_memory(&vp->fe, *gpa, bytes);
	uint64_t rings = ring_bytes(c->ring_size);

	q->size = c->ring_size;
	q->mask = c->ring_size - 1;
	q->room = VIRTIO_NET_HDR_LEN + buffer_bytes(c, index % 2 == 0);
	q->stride = LINE + round_up(buffer_bytes(c, index % 2 == 0), LINE);
	q->desc = host;
	q->buffers = host + rings;
	q->gpa = *gpa + rings + LINE - VIRTIO_NET_HDR_LEN;
	q->extra_stride = extra_bytes(c);
	q->extra = q->buffers + (size_t)q->stride * q->size;
	q->extra_gpa = *gpa + rings + (uint64_t)q->stride * q->size;
	q->calls = c->calls;
	set_slots(q, c, index % 2 == 0);
	q->ids = calloc(q->size, sizeof(*q->ids));
	q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!q->ids || q->kick_fd < 0 || q->call_fd < 0)
		return -ENOMEM;
	*gpa += bytes;
	return 0;
}

int vport_create(const struct vport_config *config, struct vport **ret_vport)
{
	uint16_t size = config->ring_size;
	struct vport *vp;
	uint64_t bytes = 0, gpa = GPA;
	int err = 0;

	if (config->n_pairs == 0 || config->n_pairs > TPORT_PAIRS_MAX || size < TPORT_BURST ||
	    size > VRING_SIZE_MAX || (size & (size - 1)) || config->frame_max < 64 ||
	    config->chain > VPORT_CHAIN_MAX || (config->indirect && config->chain == 0))
		return -EINVAL;
	vp = calloc(1, sizeof(*vp));
	if (!vp)
		return -ENOMEM;
	frontend_init(&vp->fe);
	vp->config = *config;
	vp->tport = (struct tport){
	    .ops = &vport_ops, .n_pairs = config->n_pairs, .frame_max = config->frame_max};
	vp->n_queues = 2 * config->n_pairs;
	for (unsigned i = 0; i < vp->n_queues; i++) {
		vp->queue[i].kick_fd = vp->queue[i].call_fd = -1;
		bytes += queue_bytes(config, i % 2 == 0);
	}
	bytes = round_up(bytes, config->huge ? HUGE_PAGE : PAGE);
	vp->region = frontend_region_create(&vp->fe, GPA, bytes, 0, config->huge);
	if (vp->region < 0)
		err = vp->region;
	for (unsigned i = 0; !err && i < vp->n_queues; i++)
		err = make_queue(vp, i, &gpa);
	if (err) {
		vport_destroy(vp);
		return err;
	}
	*ret_vport = vp;
	return 0;
}

void vport_destroy(struct vport *vp)
{
	if (!vp)
		return;
	for (unsigned i = 0; i < vp->n_queues; i++) {
		free(vp->queue[i].ids);
		if (vp->queue[i].kick_fd >= 0)
			close(vp->queue[i].kick_fd);
		if (vp->queue[i].call_fd >= 0)
			close(vp->queue[i].call_fd);
	}
	frontend_cleanup(&vp->fe);
	free(vp);
}

static void offer(struct vport_queue *q, const uint32_t len[], unsigned n, bool writable)
{
	if (UNLIKELY(q->pieces))
		vport_chain_offer(q, len, n, writable);
	else if (q->packed)
		vport_packed_offer(q, len, n, writable);
	else
		vport_split_offer(q, len, n, writable);
	q->oldest += n;
	q->n_free -= n;
	if (q->packed ? vport_packed_kick_needed(q) : vport_split_kick_needed(q)) {
		eventfd_write(q->kick_fd, 1);
		q->kicks++;
	}
}

static void offer_buffers(struct vport_queue *q, unsigned n)
{
	uint32_t room[TPORT_BURST];

	for (unsigned k = 0; k < TPORT_BURST; k++)
		room[k] = q->room;
	for (; n; n -= MIN(n, TPORT_BURST))
		offer(q, room, MIN(n, TPORT_BURST), true);
}

/* Make the ring empty. */
static void reset_queue(struct vport *vp, unsigned index)
{
	struct vport_queue *q = &vp->queue[index];
	uint64_t features = vp->fe.features;
	struct vring_layout layout;

	q->packed = VIRTIO_HAS(features, F_RING_PACKED);
	q->in_order = VIRTIO_HAS(features, F_IN_ORDER);
	q->event_idx = VIRTIO_HAS(features, F_EVENT_IDX);
	q->mergeable = VIRTIO_HAS(features, NET_F_MRG_RXBUF);
	layout = vring_layout(q->size, q->packed);
	memset(q->desc, 0, ring_bytes(q->size));
	q->driver = (char *)q->desc + round_up(layout.desc, PAGE);
	q->device = (char *)q->driver + round_up(layout.driver, PAGE);
	q->next = q->used = q->oldest = q->n_taken = q->kicked = 0;
	q->wrap = q->used_wrap = true;
	q->broken = false;
	q->n_free = q->n_slots;
	for (unsigned i = 0; i < q->n_slots; i++)
		q->ids[i] = i;
	q->asked = false;
	if (!q->calls || index % 2)
		vport_calls_never(q);
	else
		vport_calls_ask(q, 0);
	if (index % 2 == 0)
		offer_buffers(q, q->n_slots);
}

static int start_queue(struct vport *vp, unsigned index)
{
	struct frontend *fe = &vp->fe;
	struct vport_queue *q = &vp->queue[index];
	uint64_t desc = (uintptr_t)q->desc - (uintptr_t)fe->region[vp->region].host +
	    fe->region[vp->region].uaddr;
	int err = frontend_set_vring_num(fe, index, q->size);

	if (!err)
		err = frontend_set_vring_base(fe, index, q->packed ? 0x80008000 : 0);
	if (!err)
		err = frontend_set_vring_addr(fe, index, desc,
		    desc + ((char *)q->driver - (char *)q->desc),
		    desc + ((char *)q->device - (char *)q->desc));
	if (!err)
		err = frontend_set_vring_fd(fe, VHOST_USER_SET_VRING_CALL, index, q->call_fd);
	if (!err)
		err = frontend_set_vring_fd(fe, VHOST_USER_SET_VRING_KICK, index, q->kick_fd);
	return err ? err : frontend_set_vring_enable(fe, index, true);
}

int vport_connect(struct vport *vp, const char *path)
{
	uint64_t wanted = vp->config.features | VIRTIO_BIT(F_VERSION_1) |
	    VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	struct frontend *fe = &vp->fe;
	int err = frontend_connect(fe, path);

	if (!err)
		err = frontend_negotiate(
		    fe, wanted, VHOST_PROTOCOL_BIT(MQ) | VHOST_PROTOCOL_BIT(REPLY_ACK));
	if (!err && wanted & ~fe->features)
		err = -ENOTSUP;
	if (!err)
		err = frontend_set_mem_table(fe);
	for (unsigned i = 0; !err && i < vp->n_queues; i++) {
		reset_queue(vp, i);
		err = start_queue(vp, i);
	}
	return err ? err : frontend_sync(fe);
}

/* A driver without room asks for a call when most frames are sent. */
static void expect_room(struct vport_queue *q, unsigned want)
{
	if (q->n_free >= want)
		q->asked = false;
	else if (!q->asked)
		vport_calls_ask(q, vport_outstanding(q) * 3 / 4);
}

unsigned vport_room(struct vport_queue *q, unsigned want)
{
	if (q->n_free < want && !q->broken) {
		if (q->packed)
			vport_packed_reap_sent(q);
		else
			vport_split_reap_sent(q);
		if (UNLIKELY(q->calls))
			expect_room(q, want);
	}
	return q->broken ? 0 : MIN(q->n_free, want);
}

void vport_send(struct vport_queue *q, const uint32_t len[], unsigned n)
{
	uint32_t total[TPORT_BURST];

	for (unsigned k = 0; k < n; k++)
		total[k] = len[k] + VIRTIO_NET_HDR_LEN;
	if (n)
		offer(q, total, n, false);
}

static unsigned reap(struct vport_queue *q, struct vport_used used[], unsigned max)
{
	return q->packed ? vport_packed_reap(q, used, max) : vport_split_reap(q, used, max);
}

/* Take back n used buffers. False: an id or a length cannot be right. */
static bool take(
    struct vport_queue *q, const struct vport_used used[], struct tport_piece pieces[], unsigned n)
{
	for (unsigned k = 0; k < n; k++) {
		if (UNLIKELY(used[k].id >= q->n_slots || used[k].len > q->room))
			return false;
		pieces[k] = (struct tport_piece){
		    .bytes = q->buffers + (size_t)used[k].id * q->stride + LINE,
		    .len = used[k].len - VIRTIO_NET_HDR_LEN,
		};
		q->ids[(q->oldest + q->n_taken++) & q->slot_mask] = used[k].id;
	}
	for (unsigned k = 0; q->pieces && k < n; k++)
		vport_chain_take_header(q, used[k].id);
	return true;
}

/*
 * Sets *ret_more to the number of pieces after the first piece of a frame. False: the header cannot
 * be right. Without merged buffers num_buffers is not read, because some devices leave it
 * unchanged.
 */
static bool count_more(
    const struct vport_queue *q, const struct tport_piece *piece, uint16_t *ret_more)
{
	const struct virtio_net_hdr *hdr = (const void *)(piece->bytes - VIRTIO_NET_HDR_LEN);
	uint16_t n = q->mergeable ? READ_ONCE(hdr->num_buffers) : 1;

	*ret_more = n - 1;
	return n >= 1 && n <= TPORT_PIECES - TPORT_BURST && (int32_t)piece->len > 0;
}

/*
 * A burst has ended in the middle of a frame. Take the rest of this frame. Its buffers have
 * arrived, or arrive very soon.
 */
static bool take_rest(
    struct vport_queue *q, struct tport_piece pieces[], unsigned have, unsigned missing)
{
	struct vport_used used;

	for (unsigned tries = 0; missing && tries < REST_TRIES; tries++) {
		if (reap(q, &used, 1) == 0)
			continue; /* not yet */
		if (!take(q, &used, &pieces[have++], 1))
			return false;
		missing--;
	}
	return missing == 0;
}

/* A driver that found nothing asks for a call; it wants none while it finds frames. */
static void expect_call(struct vport_queue *q, unsigned found)
{
	if (found)
		q->asked = false;
	else if (!q->asked)
		vport_calls_ask(q, 0);
}

unsigned vport_receive(struct vport_queue *q, struct tport_piece pieces[TPORT_PIECES], unsigned max)
{
	struct vport_used used[TPORT_BURST];
	unsigned n, k;

	if (UNLIKELY(q->broken))
		return 0;
	n = reap(q, used, MIN(max, TPORT_BURST));
	if (UNLIKELY(q->calls))
		expect_call(q, n);
	q->broken |= !take(q, used, pieces, n);
	for (k = 0; k < n && !q->broken; k++) {
		uint16_t more;

		if (!count_more(q, &pieces[k], &more) ||
		    (k + more >= n && !take_rest(q, pieces, n, k + more + 1 - n))) {
			q->broken = true;
			break;
		}
		pieces[k].more = more;
		n = MAX(n, k + more + 1);
		for (unsigned i = 1; i <= more; i++) {
			/*
			 * Only the first buffer has a header; in the other buffers the frame's
			 * bytes are in its place.
			 */
			pieces[k + i].bytes -= VIRTIO_NET_HDR_LEN;
			pieces[k + i].len += VIRTIO_NET_HDR_LEN;
			pieces[k + i].more = 0;
		}
		k += more;
	}
	return q->broken ? 0 : n;
}

void vport_give_back(struct vport_queue *q)
{
	unsigned n = q->n_taken;

	q->n_taken = 0;
	q->n_free += n;
	offer_buffers(q, n);
}

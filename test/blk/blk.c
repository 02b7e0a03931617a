/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A vhost-user block device on lib/vhost, with a file as its disk. It exists for tests: it shows
 * that the library serves a device that is not a network, that answers requests in any order, and
 * that is killed in the middle of requests.
 *
 * One thread does everything. A timer reads the rings, and executes and completes some requests,
 * chosen at random. So at any time requests are in every state that a crash could find them in. A
 * pause executes and completes all requests.
 *
 * usage: vhost-blk SOCKET DISK JOURNAL
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "request.h"
#include "vhost/endpoint.h"
#include "virtio/vhost_user.h"

#define RINGS   4
#define IN_HAND 64
#define LOOK_US 300

/* Virtio 1.2, 5.2.3 and 5.2.4; as far as we offer it. */
#define BLK_F_SIZE_MAX (1ULL << 1)
#define BLK_F_SEG_MAX  (1ULL << 2)
#define BLK_F_BLK_SIZE (1ULL << 6)
#define BLK_F_FLUSH    (1ULL << 9)
#define BLK_F_MQ       (1ULL << 12)

struct blk_config {
	uint64_t capacity;
	uint32_t size_max;
	uint32_t seg_max;
	uint32_t geometry;
	uint32_t blk_size;
	uint64_t topology;
	uint8_t writeback;
	uint8_t unused;
	uint16_t num_queues;
};

struct blk {
	struct vhost_device device;
	struct disk disk;
	bool running;
	struct queue {
		unsigned n;
		struct request request[IN_HAND];
	} queue[RINGS];
	struct vring_batch batch;
};

static struct blk blk CACHE_ALIGNED;

static void fetch(struct vring *vr, struct queue *q)
{
	struct vring_batch *batch = &blk.batch;

	vring_visit(batch);
	vring_fetch(vr, batch, IN_HAND - q->n);
	for (unsigned i = 0; i < batch->n; i++)
		request_take(&q->request[q->n++], batch, &batch->chain[i]);
}

/* Complete some requests that were executed, in random order; or all. */
static void complete(struct vhost_vring *ring, struct queue *q, bool all)
{
	struct vring_batch *batch = &blk.batch;
	struct request finished[IN_HAND];
	unsigned n = 0;

	batch->n = 0;
	batch->single_segment = false;
	for (unsigned tries = all ? 0 : q->n; q->n; tries--) {
		unsigned k = random() % q->n;

		if (!all && tries == 0)
			break;
		if (!q->request[k].done || (!all && random() % 4))
			continue; /* not this time */
		finished[n] = q->request[k];
		q->request[k] = q->request[--q->n];
		batch->chain[batch->n] = finished[n].chain;
		batch->chain[batch->n++].written = finished[n].written;
		n++;
	}
	if (!n)
		return;
	vring_complete(&ring->ring, batch);
	for (unsigned i = 0; i < n; i++)
		request_note_completion(&finished[i], &blk.disk);
	if (ring->call_fd >= 0 && vring_call_needed(&ring->ring))
		eventfd_write(ring->call_fd, 1);
}

static void service(bool all)
{
	for (unsigned i = 0; i < blk.device.n_vrings; i++) {
		struct vhost_vring *ring = blk.device.vring[i];
		struct queue *q = &blk.queue[i];

		if (!ring || !ring->active || !ring->enabled)
			continue;
		if (!all)
			fetch(&ring->ring, q);
		for (unsigned k = 0; k < q->n; k++) {
			if (!q->request[k].done && (all || random() % 4 == 0))
				request_execute(&q->request[k], &blk.disk);
		}
		complete(ring, q, all);
	}
}

static void blk_pause(struct vhost_device *dev)
{
	(void)dev;
	service(true);
	for (unsigned i = 0; i < RINGS; i++)
		blk.queue[i].n = 0;
	blk.running = false;
}

static void blk_resume(struct vhost_device *dev)
{
	(void)dev;
	blk.running = true;
}

static enum vring_direction blk_ring_direction(const struct vhost_device *dev, unsigned index)
{
	(void)dev;
	(void)index;
	return VRING_REQUEST;
}

static void blk_get_config(struct vhost_device *dev, uint8_t *space)
{
	struct blk_config config = {.capacity = blk.disk.sectors,
	    .size_max = 4096,
	    .seg_max = 16,
	    .blk_size = BLOCK_SECTOR,
	    .num_queues = RINGS};

	(void)dev;
	memcpy(space, &config, sizeof(config));
}

static const struct vhost_device_type blk_type = {
    .name = "blk",
    .features = VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_RING_PACKED) | VIRTIO_BIT(F_EVENT_IDX) |
	VIRTIO_BIT(F_INDIRECT_DESC) | BLK_F_SIZE_MAX | BLK_F_SEG_MAX | BLK_F_BLK_SIZE |
	BLK_F_FLUSH | BLK_F_MQ,
    .protocol_features = VHOST_PROTOCOL_BIT(MQ) | VHOST_PROTOCOL_BIT(CONFIG) |
	VHOST_PROTOCOL_BIT(REPLY_ACK) | VHOST_PROTOCOL_BIT(INFLIGHT_SHMFD) |
	VHOST_PROTOCOL_BIT(CONFIGURE_MEM_SLOTS),
    .n_rings = RINGS,
    .defers = true,
    .pause = blk_pause,
    .resume = blk_resume,
    .ring_direction = blk_ring_direction,
    .config_size = 256,
    .get_config = blk_get_config,
};

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (blk.running)
		service(false);
}

static int open_disk(const char *disk, const char *journal)
{
	struct stat st;

	blk.disk.fd = open(disk, O_RDWR | O_CLOEXEC);
	if (blk.disk.fd < 0 || fstat(blk.disk.fd, &st) < 0) {
		perror(disk);
		return -errno;
	}
	blk.disk.sectors = st.st_size / BLOCK_SECTOR;
	blk.disk.journal_fd = open(journal, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (blk.disk.journal_fd < 0)
		perror(journal);
	return blk.disk.journal_fd < 0 ? -errno : 0;
}

int main(int argc, char *argv[])
{
	const struct timeval look = {.tv_usec = LOOK_US};
	struct vhost_endpoint_config config = {
	    .mode = VHOST_ENDPOINT_SERVER, .fd = -1, .socket_mode = -1, .owner = -1, .group = -1};
	struct vhost_endpoint *endpoint;
	struct event_base *base;
	struct event *timer;

	if (argc != 4) {
		fprintf(stderr, "usage: vhost-blk SOCKET DISK JOURNAL\n");
		return 2;
	}
	srandom(getpid());
	signal(SIGPIPE, SIG_IGN);
	config.path = argv[1];
	if (open_disk(argv[2], argv[3]) < 0 ||
	    vhost_device_init(&blk.device, &blk_type, argv[1], NULL) < 0)
		return 1;
	base = event_base_new();
	timer = base ? event_new(base, -1, EV_PERSIST, on_timer, NULL) : NULL;
	if (!timer || event_add(timer, &look) < 0 ||
	    vhost_endpoint_create(base, &config, &blk.device, &endpoint) < 0)
		return 1;
	return event_base_dispatch(base) < 0;
}

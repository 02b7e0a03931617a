/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A device and its session are at one end of a socket pair, and the fuzzer is at the other end. All
 * run in one thread: a message is sent, then the session is told that its socket is readable. The
 * device polls its rings: it runs a batch of every active ring, touches the segments, and completes
 * it. So memory that was unmapped too early causes a fault.
 *
 * Leaks are counted from outside: open descriptors by testing each small number, shared mappings by
 * wrapping mmap and munmap at link time (with 64-bit offsets mmap is mmap64; reading /proc would
 * take most of the time).
 */
#include "vhost_world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/errand.h"
#include "base/log.h"
#include "vhost/call.h"

#define FDS_LOOKED_AT 128
#define POLL_BURST    8

void *__real_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *addr, size_t len);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *addr, size_t len);

static size_t mapped; /* bytes of files */
static unsigned fds_before;
static struct vring_batch batch; /* too large for a stack */

void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	void *at = __real_mmap64(addr, len, prot, flags, fd, offset);

	if (at != MAP_FAILED && fd >= 0)
		mapped += len;
	return at;
}

int __wrap_munmap(void *addr, size_t len)
{
	mapped -= len;
	return __real_munmap(addr, len);
}

static unsigned count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < FDS_LOOKED_AT; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void touch(const struct vring *ring)
{
	for (unsigned i = 0; i < batch.n_segments; i++) {
		const struct vring_segment *s = &batch.segment[i];

		if (ring->direction == VRING_TRANSMIT) {
			(void)*(volatile uint8_t *)s->addr;
			(void)*(volatile uint8_t *)(s->addr + s->len - 1);
		} else {
			s->addr[0] = s->addr[s->len - 1] = 0x55;
		}
	}
}

void vhost_world_poll(struct vhost_world *w)
{
	/* In a postcopy a missing page would never come. */
	if (!w->running || w->dev->postcopy.registered)
		return;
	for (unsigned i = 0; i < w->dev->n_vrings; i++) {
		struct vhost_vring *v = w->dev->vring[i];

		if (!v || !w->uses[i])
			continue; /* the device may not use this ring */
		promise(v->active && v->in_use);
		batch.n = batch.n_segments = 0;
		vring_fetch(&v->ring, &batch, POLL_BURST);
		touch(&v->ring);
		vring_complete(&v->ring, &batch);
		if (vring_call_needed(&v->ring) && v->call_fd >= 0)
			eventfd_write(v->call_fd, 1);
		vring_kick_enable(&v->ring);
	}
}

static void world_pause(struct vhost_device *dev)
{
	struct vhost_world *w = dev->opaque;

	promise(w->running);
	vhost_world_poll(w);
	memset(w->uses, 0, sizeof(w->uses));
	w->running = false;
}

static void world_pause_ring(struct vhost_device *dev, unsigned index)
{
	struct vhost_world *w = dev->opaque;

	promise(w->uses[index]);
	vhost_world_poll(w);
	w->uses[index] = w->running = false;
	for (unsigned i = 0; i < WORLD_RINGS; i++)
		w->running |= w->uses[i];
}

static void world_set_call(struct vhost_device *dev, unsigned index)
{
	struct vhost_world *w = dev->opaque;

	promise(w->uses[index]);
}

static void world_resume(struct vhost_device *dev)
{
	struct vhost_world *w = dev->opaque;

	promise(vhost_device_active(dev));
	for (unsigned i = 0; i < dev->n_vrings; i++)
		w->uses[i] = dev->vring[i] && dev->vring[i]->active;
	w->running = true;
	vhost_world_poll(w);
}

static enum vring_direction world_ring_direction(const struct vhost_device *dev, unsigned index)
{
	(void)dev;
	return index % 2 ? VRING_TRANSMIT : VRING_RECEIVE;
}

static int world_set_mtu(struct vhost_device *dev, uint16_t mtu)
{
	(void)dev;
	return mtu == 1000 ? -1 : 0;
}

static void world_get_config(struct vhost_device *dev, uint8_t *space)
{
	const struct vhost_world *w = dev->opaque;

	memcpy(space, w->config, WORLD_CONFIG);
}

/* The block has exactly the size of the space, so that a write beyond it is detected. */
static int world_set_config(
    struct vhost_device *dev, uint32_t offset, const uint8_t *bytes, uint32_t size)
{
	struct vhost_world *w = dev->opaque;

	memcpy(w->config + offset, bytes, size);
	return vhost_device_config_changed(dev);
}

static void world_synchronize(struct vhost_device *dev)
{
	if (dev->paused)
		abort();
}

static int world_announce(struct vhost_device *dev, const uint8_t mac[6])
{
	if (mac[0] & 1)
		return -EINVAL;
	return vhost_device_active(dev) ? 0 : -ENETDOWN;
}

static ssize_t world_save(struct vhost_device *dev, void *bytes, size_t room)
{
	(void)dev;
	memset(bytes, 1, room);
	return room;
}

static int world_load(struct vhost_device *dev, const void *bytes, size_t len)
{
	(void)dev;
	return len && ((const uint8_t *)bytes)[len - 1] == 0 ? -EINVAL : 0;
}

static const struct vhost_device_type world_type = {
    .name = "fuzzed",
    .features = VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_RING_PACKED) | VIRTIO_BIT(F_EVENT_IDX) |
	VIRTIO_BIT(F_IN_ORDER) | VIRTIO_BIT(F_INDIRECT_DESC),
    .protocol_features = ~UINT64_C(0),
    .n_rings = WORLD_RINGS,
    .pause = world_pause,
    .pause_ring = world_pause_ring,
    .set_call = world_set_call,
    .resume = world_resume,
    .synchronize = world_synchronize,
    .ring_direction = world_ring_direction,
    .set_mtu = world_set_mtu,
    .config_size = WORLD_CONFIG,
    .get_config = world_get_config,
    .set_config = world_set_config,
    .announce = world_announce,
    .save = world_save,
    .load = world_load,
};

static int memory_file(size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	promise(fd >= 0 && ftruncate(fd, size) == 0);
	return fd;
}

static void open_fds(struct vhost_world *w)
{
	int pipes[2], sockets[2];

	signal(SIGPIPE, SIG_IGN); /* as vswitchd does */
	promise(pipe2(pipes, O_CLOEXEC | O_NONBLOCK) == 0);
	promise(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
	close(pipes[0]);
	close(sockets[0]);
	w->fd[WORLD_MEMORY_A] = memory_file(WORLD_MEMORY_SIZE);
	w->fd[WORLD_MEMORY_B] = memory_file(WORLD_MEMORY_SIZE);
	w->fd[WORLD_MEMORY_SHORT] = memory_file(4096);
	w->fd[WORLD_MEMORY_EMPTY] = memory_file(0);
	w->fd[WORLD_EVENT] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->fd[WORLD_PIPE] = pipes[1];
	w->fd[WORLD_SOCKET] = sockets[1];
	w->fd[WORLD_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (unsigned i = 0; i < 2; i++) {
		w->memory[i] = mmap(NULL, WORLD_MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		    w->fd[WORLD_MEMORY_A + i], 0);
		promise(w->memory[i] != MAP_FAILED);
	}
}

static void disconnect(struct vhost_world *w)
{
	if (!w->session)
		return;
	session_destroy(w->session);
	w->session = NULL;
	close(w->peer);
	vhost_device_reset(w->dev);
	promise(!w->running);
}

void vhost_world_reconnect(struct vhost_world *w)
{
	int pair[2];

	disconnect(w);
	promise(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	w->peer = pair[0];
	promise(session_create(pair[1], w->dev, &w->session) == 0);
}

void vhost_world_open(struct vhost_world *w)
{
	size_t size = (sizeof(*w->dev) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;

	log_set_level(LOG_ERROR);
	fds_before = count_fds();
	mapped = 0;
	*w = (struct vhost_world){.peer = -1};
	open_fds(w);
	w->config = malloc(WORLD_CONFIG);
	promise(w->config);
	memset(w->config, 0x5a, WORLD_CONFIG);
	w->dev = aligned_alloc(CACHE_LINE, size);
	promise(w->dev);
	memset(w->dev, 0, size);
	promise(vhost_device_init(w->dev, &world_type, "fuzzed", w) == 0);
	w->dev->offer_postcopy = true;
	w->dev->offer_doorbells = true;
	w->dev->offer_inband = true;
	vhost_world_reconnect(w);
}

/* Wait for the threads that make calls and close descriptors. */
static void wait_for_errands(void)
{
	for (unsigned tries = 0; errand_pending() > 0 && tries < 50000; tries++)
		usleep(100);
	promise(errand_pending() == 0);
	vhost_calls_service();
}

void vhost_world_close(struct vhost_world *w)
{
	disconnect(w);
	vhost_calls_end(w->dev);
	free(w->dev);
	free(w->config);
	for (unsigned i = 0; i < 2; i++)
		munmap(w->memory[i], WORLD_MEMORY_SIZE);
	for (unsigned i = 0; i < WORLD_FDS; i++)
		close(w->fd[i]);
	wait_for_errands();
	promise(count_fds() == fds_before);
	promise(mapped == 0);
}

void vhost_world_send(struct vhost_world *w, uint32_t request, uint32_t flags, const void *payload,
    uint32_t size, const enum world_fd fds[], unsigned n_fds)
{
	struct vhost_header header = {request, flags, size};
	struct iovec iov[2] = {{&header, sizeof(header)}, {(void *)(uintptr_t)payload, size}};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(40 * sizeof(int))] = "";
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};

	if (n_fds) {
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		for (unsigned i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &w->fd[fds[i]], sizeof(int));
	}
	sendmsg(w->peer, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Check that every reply is a whole message with the flags of a reply. */
static void check_replies(struct vhost_world *w)
{
	struct vhost_header header;
	uint8_t payload[4096];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))];

	for (;;) {
		struct iovec iov = {&header, sizeof(header)};
		struct msghdr mh = {.msg_iov = &iov,
		    .msg_iovlen = 1,
		    .msg_control = control,
		    .msg_controllen = sizeof(control)};

		if (recvmsg(w->peer, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) !=
		    (ssize_t)sizeof(header))
			return;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&mh); c; c = CMSG_NXTHDR(&mh, c)) {
			int fd;

			promise(c->cmsg_len == CMSG_LEN(sizeof(fd)));
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
			close(fd);
		}
		promise(header.flags == VHOST_REPLY_FLAGS && header.size <= sizeof(payload));
		promise(!header.size ||
		    recv(w->peer, payload, header.size, MSG_DONTWAIT) == (ssize_t)header.size);
	}
}

void vhost_world_run(struct vhost_world *w)
{
	int error;

	while ((error = session_receive(w->session)) == SESSION_RESTS)
		usleep(100);
	promise(error <= 0);
	check_replies(w);
	if (error)
		vhost_world_reconnect(w);
}

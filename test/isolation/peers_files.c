/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors that make system calls of the switch slow: files with a server that does not answer,
 * eventfds that are full or have many watchers, and the last descriptors of large objects, which
 * take long to close.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "guest.h"
#include "silent_fuse.h"

#define PAIRS 128
#define MIB   (UINT64_C(1) << 20)
#define GIB   (UINT64_C(1) << 30)

static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
static const uint8_t hostile[6] = {2, 0, 0, 9, 0, 1};

static struct guest *make_guest(struct peer_world *w, unsigned n_pairs, const uint8_t dst[6])
{
	struct guest_config c = {
	    .n_pairs = n_pairs,
	    .size = 256,
	    .data = 2 * MIB,
	    .features = GUEST_FEATURES,
	    .protocol = VHOST_PROTOCOL_BIT(LOG_SHMFD) | VHOST_PROTOCOL_BIT(INFLIGHT_SHMFD) |
		VHOST_PROTOCOL_BIT(CONFIGURE_MEM_SLOTS),
	};
	struct guest *g = guest_create(w, &c);

	guest_fill(g, 1, GUEST_DATA_GPA, guest_frame(g, 0, dst, hostile, 60), 0);
	guest_fill(g, 0, GUEST_DATA_GPA + MIB, 2048, VRING_DESC_F_WRITE);
	return g;
}

static struct guest *connected_guest(struct peer_world *w, unsigned n_pairs)
{
	struct guest *g = make_guest(w, n_pairs, hostile);

	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	return g;
}

static void again_after_hang_up(struct guest *g, int err)
{
	if (err != -ECONNRESET)
		return;
	usleep(1000);
	guest_again(g);
}

#define MANY 250

/* Send some bytes with many descriptors. */
static ssize_t send_many(int sock, const void *bytes, size_t size, const int *fds, unsigned n)
{
	static char control[CMSG_SPACE(MANY * sizeof(int))];
	struct iovec iov = {(void *)bytes, size};
	struct msghdr msg = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	return sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * Send a message that wants an eventfd, with another descriptor, so that the switch has to close
 * the descriptor. The switch must close the last descriptor of the file. So the first byte of the
 * message is sent with the descriptor, then the peer closes its own copy, and then it sends the
 * other bytes.
 */
static void give_away(struct peer_world *w, struct guest *g, int fd)
{
	static const uint8_t ring[8];
	struct vhost_header header = {
	    .request = w->state->steps % 2 ? VHOST_USER_SET_VRING_CALL : VHOST_USER_SET_VRING_ERR,
	    .flags = VHOST_VERSION,
	    .size = sizeof(ring)};
	int err = 0;

	if (send_many(g->fe.fd, &header, 1, &fd, 1) < 0)
		err = -errno;
	close(fd);
	if (!err)
		err = frontend_send_bytes(&g->fe, (char *)&header + 1, sizeof(header) - 1);
	if (!err)
		err = frontend_send_bytes(&g->fe, ring, sizeof(ring));
	if (!err)
		err = frontend_sync(&g->fe);
	again_after_hang_up(g, err == -EPIPE ? -ECONNRESET : err);
	peer_step(w);
}

void peer_fuse_close(struct peer_world *w)
{
	struct guest *g = connected_guest(w, 1);
	int fd;

	silent_fuse_mount(w);
	fd = silent_fuse_open(w);
	g->fe.timeout_ms = 200;
	peer_attacks(w);
	for (;;) {
		int err =
		    frontend_send(&g->fe, VHOST_USER_GET_FEATURES, VHOST_VERSION, NULL, 0, &fd, 1);

		again_after_hang_up(g, err);
		usleep(1000);
		peer_step(w);
	}
}

void peer_fuse_call(struct peer_world *w)
{
	struct guest *g = connected_guest(w, 1);
	int fd;

	silent_fuse_mount(w);
	fd = silent_fuse_open(w);
	g->fe.timeout_ms = 200;
	peer_attacks(w);
	for (;;) {
		uint64_t ring = w->state->steps % 2;
		uint32_t id = ring ? VHOST_USER_SET_VRING_CALL : VHOST_USER_SET_VRING_KICK;
		int err = frontend_send(&g->fe, id, VHOST_VERSION, &ring, sizeof(ring), &fd, 1);

		again_after_hang_up(g, err);
		usleep(1000);
		peer_step(w);
	}
}

void peer_fuse_memory(struct peer_world *w)
{
	struct guest *g = make_guest(w, 1, all);
	struct frontend_region *data;
	int kept;

	silent_fuse_mount(w);
	g->fe.timeout_ms = 200;
	data = &g->fe.region[g->data_region];
	kept = data->fd; /* NOLINT(clang-analyzer-deadcode.DeadStores): held until it is killed */
	data->fd = silent_fuse_open(w);
	data->size = 16 * MIB;
	guest_negotiate(g, w->path[PORT_HOSTILE]);
	guest_start(g);
	peer_attacks(w);
	for (;;) {
		guest_offer_all(g, 0);
		guest_offer_all(g, 1);
		usleep(1000);
		if (frontend_sync(&g->fe) == -ECONNRESET)
			guest_again(g);
		frontend_add_mem_reg(&g->fe, g->data_region);
		frontend_set_mem_table(&g->fe);
		peer_step(w);
	}
	close(kept);
}

void peer_fuse_log(struct peer_world *w)
{
	struct guest *g = connected_guest(w, 1);
	struct vhost_wire_inflight area = {.mmap_size = 16 * MIB, .n_queues = 2, .queue_size = 256};
	struct vhost_wire_log log = {.size = MIB};
	int fd;

	silent_fuse_mount(w);
	fd = silent_fuse_open(w);
	g->fe.timeout_ms = 200;
	peer_attacks(w);
	for (;;) {
		int err = frontend_send(
		    &g->fe, VHOST_USER_SET_INFLIGHT_FD, VHOST_VERSION, &area, sizeof(area), &fd, 1);

		if (!err)
			err = frontend_send(&g->fe, VHOST_USER_SET_LOG_BASE, VHOST_VERSION, &log,
			    sizeof(log), &fd, 1);
		again_after_hang_up(g, err);
		usleep(1000);
		peer_step(w);
	}
}

/* Replace *fd by a blocking eventfd that is full: the next write blocks. */
static void fill_eventfd(struct peer_world *w, int *fd)
{
	const uint64_t most = UINT64_MAX - 1;

	close(*fd);
	*fd = eventfd(0, EFD_CLOEXEC);
	if (*fd < 0 || write(*fd, &most, sizeof(most)) < 0)
		peer_fail(w, "an eventfd", -errno);
}

/* Make the call eventfds blocking again: the switch made them non-blocking. */
static void block_calls(struct guest *g)
{
	for (unsigned ring = 0; ring < 2 * g->config.n_pairs; ring++)
		fcntl(g->ring[ring].call_fd, F_SETFL, O_RDWR);
}

static struct guest *blocking_guest(struct peer_world *w, const uint8_t dst[6])
{
	struct guest *g = make_guest(w, PAIRS, dst);

	g->fe.timeout_ms = 200;
	for (unsigned ring = 0; ring < 2 * PAIRS; ring++) {
		fill_eventfd(w, &g->ring[ring].call_fd);
		g->ring[ring].avail->flags = 0;
	}
	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	block_calls(g);
	return g;
}

void peer_blocking_calls(struct peer_world *w)
{
	struct guest *g = blocking_guest(w, hostile);

	uint64_t size = g->fe.region[g->rings_region].size;

	peer_attacks(w);
	for (unsigned i = 0;; i++) {
		g->fe.region[g->rings_region].size = i % 2 ? size : 0;
		again_after_hang_up(g, frontend_set_mem_table(&g->fe));
		again_after_hang_up(g, frontend_sync(&g->fe));
		block_calls(g);
		peer_step(w);
	}
}

void peer_blocking_calls_traffic(struct peer_world *w)
{
	struct guest *g = blocking_guest(w, all);

	peer_attacks(w);
	for (;;) {
		guest_offer_all(g, 0);
		guest_offer_all(g, 1);
		block_calls(g);
		peer_nap(w);
	}
}

void peer_blocking_calls_again(struct peer_world *w)
{
	struct guest *g = blocking_guest(w, hostile);

	peer_attacks(w);
	for (;;) {
		block_calls(g);
		guest_offer_all(g, 1);
		usleep(1000);
		guest_again(g);
		peer_step(w);
	}
}

void peer_slow_calls(struct peer_world *w)
{
	struct guest *g = make_guest(w, 1, hostile);

	for (unsigned ring = 0; ring < 2; ring++) {
		peer_watch(w, g->ring[ring].call_fd, 160000);
		g->ring[ring].avail->flags = 0;
	}
	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	peer_attacks(w);
	for (;;) {
		guest_offer_all(g, 0);
		guest_offer_all(g, 1);
		peer_nap(w);
	}
}

/* After this time the switch knows that an eventfd is quick. */
#define TRUST_US 30000

void peer_turning_blocking(struct peer_world *w)
{
	struct guest *g = make_guest(w, PAIRS, hostile);

	g->fe.timeout_ms = 200;
	for (unsigned ring = 0; ring < 2 * PAIRS; ring++)
		g->ring[ring].avail->flags = 0;
	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	peer_attacks(w);
	for (;;) {
		usleep(TRUST_US);
		for (unsigned ring = 0; ring < 2 * PAIRS; ring++) {
			const uint64_t most = UINT64_MAX - 10;

			if (write(g->ring[ring].call_fd, &most, sizeof(most)) < 0)
				continue; /* the eventfd is full enough */
		}
		block_calls(g);
		for (unsigned i = 0; i < 20; i++) {
			guest_offer_all(g, 1);
			usleep(500);
		}
		again_after_hang_up(g, frontend_sync(&g->fe));
		peer_step(w);
	}
}

void peer_turning_slow(struct peer_world *w)
{
	struct guest *g = make_guest(w, 1, hostile);

	for (unsigned ring = 0; ring < 2; ring++)
		g->ring[ring].avail->flags = 0;
	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	usleep(TRUST_US);
	peer_watch(w, g->ring[1].call_fd, 100000);
	peer_attacks(w);
	for (;;) {
		guest_offer_all(g, 1);
		peer_nap(w);
	}
}

void peer_full_kicks(struct peer_world *w)
{
	struct guest *g = make_guest(w, PAIRS, hostile);

	for (unsigned ring = 0; ring < 2 * PAIRS; ring++)
		fill_eventfd(w, &g->ring[ring].kick_fd);
	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	peer_attacks(w);
	for (;;) {
		const uint64_t most = UINT64_MAX - 1;

		for (unsigned ring = 0; ring < 2 * PAIRS; ring++) {
			int fd = g->ring[ring].kick_fd;

			fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
			if (write(fd, &most, sizeof(most)) < 0)
				usleep(1); /* the eventfd is still full */
		}
		peer_step(w);
	}
}

/*
 * Make an epoll set with 100,000 entries from 100 files. An entry is a pair of a file and a
 * descriptor number. It stays in the set when the number is used for another file, so each file
 * gets 1,000 numbers.
 */
static int make_epoll(struct peer_world *w, const int files[100], int first)
{
	int set = epoll_create1(EPOLL_CLOEXEC);

	for (int i = 0; i < 100; i++) {
		for (int number = first; number < first + 1000; number++) {
			struct epoll_event event = {.events = EPOLLIN};

			if (dup2(files[i], number) < 0 ||
			    epoll_ctl(set, EPOLL_CTL_ADD, number, &event) < 0)
				peer_fail(w, "an epoll entry", -errno);
		}
	}
	return set;
}

void peer_slow_close_epoll(struct peer_world *w)
{
	struct guest *g = connected_guest(w, 1);
	int files[100];

	for (unsigned i = 0; i < 100; i++)
		files[i] = eventfd(0, EFD_CLOEXEC);
	peer_attacks(w);
	for (;;)
		give_away(w, g, make_epoll(w, files, 1000));
}

void peer_slow_close_memory(struct peer_world *w)
{
	struct guest *g = connected_guest(w, 1);

	peer_attacks(w);
	for (;;) {
		int fd = memfd_create("large", MFD_CLOEXEC);

		if (fd < 0 || fallocate(fd, 0, 0, GIB) < 0)
			peer_fail(w, "a large file", -errno);
		give_away(w, g, fd);
	}
}

void peer_slow_unmap(struct peer_world *w)
{
	for (;;) {
		struct guest *g = make_guest(w, 1, hostile);
		int region = frontend_region_create(&g->fe, UINT64_C(1) << 40, GIB, 0, false);

		if (region < 0 || fallocate(g->fe.region[region].fd, 0, 0, GIB) < 0)
			peer_fail(w, "a large file", -errno);
		peer_attacks(w);
		if (guest_connect(g, w->path[PORT_HOSTILE]) == 0)
			peer_step(w);
		/* Unmap and close our copies first, so that the switch has the last ones. */
		frontend_region_destroy(&g->fe, region);
		for (unsigned ring = 0; ring < 2; ring++) {
			close(g->ring[ring].kick_fd);
			close(g->ring[ring].call_fd);
		}
		frontend_cleanup(&g->fe);
		free(g);
	}
}

void peer_nested_sockets(struct peer_world *w)
{
	struct guest *g = connected_guest(w, 1);
	int fds[MANY], one = eventfd(0, EFD_CLOEXEC);

	for (unsigned i = 0; i < MANY; i++)
		fds[i] = one;
	peer_attacks(w);
	for (;;) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			peer_fail(w, "a socket pair", -errno);
		for (unsigned i = 0; i < 200 && send_many(pair[0], "x", 1, fds, MANY) > 0; i++)
			fds[0] = i == 100 ? pair[0] : one; /* refers to its own socket */
		close(pair[0]);
		give_away(w, g, pair[1]);
	}
}

void peer_many_descriptors(struct peer_world *w)
{
	struct guest *g = connected_guest(w, 1);
	struct vhost_header header = {.request = VHOST_USER_GET_FEATURES, .flags = VHOST_VERSION};
	int fds[MANY];

	for (unsigned i = 0; i < MANY; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	peer_attacks(w);
	for (;;) {
		if (send_many(g->fe.fd, &header, sizeof(header), fds, MANY) < 0)
			again_after_hang_up(g, errno == EAGAIN ? 0 : -ECONNRESET);
		peer_step(w);
	}
}

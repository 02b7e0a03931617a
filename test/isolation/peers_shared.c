/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Slow objects that a front-end shares with the switch, other than eventfds: sockets with many
 * watchers, and a file with many mappings.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "guest.h"

#define MIB      (UINT64_C(1) << 20)
#define WATCHERS 160000
#define MAPPERS  2

static const uint8_t hostile[6] = {2, 0, 0, 9, 0, 1};

static struct guest *connected_guest(struct peer_world *w, uint64_t protocol)
{
	struct guest_config c = {.n_pairs = 1,
	    .size = 256,
	    .data = 2 * MIB,
	    .features = GUEST_FEATURES,
	    .protocol = protocol};
	struct guest *g = guest_create(w, &c);

	guest_fill(g, 0, GUEST_DATA_GPA + MIB, 2048, VRING_DESC_F_WRITE);
	guest_fill(g, 1, GUEST_DATA_GPA, guest_frame(g, 0, hostile, hostile, 60), 0);
	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	return g;
}

static void go_on(struct peer_world *w, struct guest *g, int err)
{
	if (err == -ECONNRESET) {
		usleep(1000);
		guest_again(g);
	}
	peer_step(w);
}

/*
 * All watchers of the socket are notified of each message that the switch reads, and of each
 * answer.
 */
void peer_slow_socket(struct peer_world *w)
{
	struct guest *g = connected_guest(w, 0);
	uint64_t features;

	peer_watch(w, g->fe.fd, WATCHERS);
	peer_attacks(w);
	for (;;)
		go_on(w, g, frontend_get_u64(&g->fe, VHOST_USER_GET_FEATURES, &features));
}

/* The same for the back-end channel, with a request for each missing translation. */
void peer_slow_channel(struct peer_world *w)
{
	struct guest_config c = {.n_pairs = 8,
	    .size = 256,
	    .data = 16 * MIB,
	    .iommu = true,
	    .features = GUEST_FEATURES | VIRTIO_BIT(F_ACCESS_PLATFORM),
	    .protocol = VHOST_PROTOCOL_BIT(BACKEND_REQ) | VHOST_PROTOCOL_BIT(REPLY_ACK)};
	struct guest *g = guest_create(w, &c);
	const struct frontend_region *rings = &g->fe.region[g->rings_region];
	char questions[4096];

	for (unsigned ring = 1; ring < 16; ring += 2) {
		for (unsigned i = 0; i < 256; i++)
			guest_desc(g, ring, i, GUEST_DATA_GPA + (ring * 256 + i) * UINT64_C(4096),
			    100, 0, 0);
		guest_chain_heads(g, ring, 256, 1);
	}
	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	peer_must(w, frontend_iommu_map(&g->fe, rings->gpa, rings->size, 3), "a translation");
	peer_watch(w, g->fe.channel_fd, WATCHERS);
	peer_attacks(w);
	for (;;) {
		guest_offer_all(g, 1);
		go_on(w, g, frontend_iommu_unmap(&g->fe, GUEST_DATA_GPA, 16 * MIB));
		while (recv(g->fe.channel_fd, questions, sizeof(questions), MSG_DONTWAIT) > 0)
			;
	}
}

/*
 * To punch a hole, the kernel walks all mappings of the file. Meanwhile no process can map the
 * file.
 */
static void punch_mapped(int fd, int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0; i < 20000; i++)
		if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
			break;
	eventfd_write(ready, 1);
	for (;;)
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * MIB);
}

void peer_mapped_often(struct peer_world *w)
{
	struct guest *g = connected_guest(w, VHOST_PROTOCOL_BIT(CONFIGURE_MEM_SLOTS));
	int region = frontend_region_create(&g->fe, UINT64_C(1) << 40, 2 * MIB, 0, false);
	int ready = eventfd(0, EFD_CLOEXEC);
	eventfd_t n;

	for (unsigned i = 0; i < MAPPERS; i++) {
		if (fork() == 0)
			punch_mapped(g->fe.region[region].fd, ready);
	}
	for (unsigned i = 0; i < MAPPERS; i += n)
		if (eventfd_read(ready, &n) < 0)
			peer_fail(w, "an eventfd", -errno);
	peer_attacks(w);
	for (;;) {
		int err = frontend_add_mem_reg(&g->fe, region);

		if (!err)
			err = frontend_rem_mem_reg(&g->fe, region);
		if (!err)
			err = frontend_sync(&g->fe);
		go_on(w, g, err);
	}
}

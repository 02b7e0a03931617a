/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Some front-ends (User Mode Linux, crosvm, libkrun) let the driver read the configuration space of
 * the switch, and pass all rings to the switch. The last ring is then the control queue. No worker
 * uses it. Its kick wakes the control thread, which answers one command after the other. The kick
 * eventfd is watched for edges and never read, because a read might block. If there is no kick
 * eventfd, a timer checks the ring.
 *
 * A front-end may have more pairs than the configuration space says, and may start them one by one.
 * Then for a moment the last ring looks like a control queue, although it is a receive queue. Its
 * buffers contain no command. Such a ring is not served.
 *
 * A guest may put anything into the queue, at any rate. At most COMMAND_BYTES of a command are
 * read. After COMMANDS commands or kicks in a window, the queue rests until the window is over. A
 * change of the number of pairs needs a new forwarding, so after it no command is served until the
 * window is over.
 *
 * During a postcopy migration pages may be missing, so the queue rests.
 */
#include "net/net_control.h"

#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/net_data.h"
#include "vhost/call.h"
#include "vhost/ring.h"
#include "virtio/vhost_user.h"

#define COMMANDS      16 /* the most in one window */
#define WINDOW_MS     10
#define COMMAND_BYTES 64

enum { ACK_OK = 0, ACK_ERR = 1 };
enum { CLASS_RX = 0, CLASS_MAC = 1, CLASS_ANNOUNCE = 3, CLASS_MQ = 4 };

/* The header of a command; the data follows. */
struct command_header {
	uint8_t class, command;
};

/* One for all ports, because only one command at a time is served. It is too large for a stack. */
static struct vring_batch burst;

/*
 * The commands that the switch knows. A command gets an error if it is not in this table, if its
 * feature is not negotiated, if it has too little data, or if it sets a wrong number of queue
 * pairs. All others get OK. Receive modes and address filters have no effect, because a switch
 * sends a guest only frames that are for this guest.
 */
static const struct command {
	uint8_t class, first, last;
	uint8_t data; /* the fewest bytes after the header */
	uint64_t feature;
} command_table[] = {
    {CLASS_RX, 0, 1, 1, VIRTIO_BIT(NET_F_CTRL_RX)},              /* PROMISC, ALLMULTI */
    {CLASS_MAC, 0, 0, 8, VIRTIO_BIT(NET_F_CTRL_RX)},             /* TABLE_SET */
    {CLASS_ANNOUNCE, 0, 0, 0, VIRTIO_BIT(NET_F_GUEST_ANNOUNCE)}, /* ACK */
    {CLASS_MQ, 0, 0, 2, VIRTIO_BIT(NET_F_MQ)},                   /* VQ_PAIRS_SET */
};

bool net_control_is(const struct vhost_device *dev, unsigned index)
{
	const struct net_device *nd = dev->opaque;
	uint64_t features = dev->state.features;
	unsigned pairs = VIRTIO_HAS(features, NET_F_MQ) ? nd->offer.queue_pairs : 1;

	return VHOST_PROTOCOL_HAS(dev->state.protocol_features, CONFIG) &&
	    VIRTIO_HAS(features, NET_F_CTRL_VQ) && index == 2 * pairs && dev->n_vrings == index + 1;
}

bool net_control_uses_pair(const struct net_device *nd, unsigned pair)
{
	return nd->control.pairs == 0 || pair < nd->control.pairs;
}

/* Copy the first bytes of the command, at most `room` bytes. Returns how many. */
static size_t read_command(const struct vring_chain *chain, void *bytes, size_t room)
{
	const struct vring_segment *segment = &burst.segment[chain->segment];
	unsigned n = vring_chain_readable(&burst, chain);
	size_t got = 0;

	for (unsigned i = 0; i < n && got < room; i++) {
		size_t part = MIN(segment[i].len, room - got);

		memcpy((uint8_t *)bytes + got, segment[i].addr, part);
		got += part;
	}
	return got;
}

static bool command_allowed(uint64_t features, const uint8_t *bytes, size_t len)
{
	for (unsigned i = 0; i < ARRAY_SIZE(command_table); i++) {
		const struct command *c = &command_table[i];

		if (bytes[0] == c->class && bytes[1] >= c->first && bytes[1] <= c->last)
			return (features & c->feature) &&
			    len >= sizeof(struct command_header) + c->data;
	}
	return false;
}

/*
 * From now on only the egress queues of so many pairs take frames. The change is published at once,
 * because the driver is answered next.
 */
static void use_pairs(struct net_device *nd, unsigned pairs)
{
	if (nd->control.pairs == pairs)
		return;
	log_debug("%s: the driver uses %u queue pairs", nd->vhost.name, pairs);
	nd->control.pairs = pairs;
	nd->control.left = 0;
	nd->host->changed(nd);
	nd->host->publish(nd);
}

/* Execute a command. Returns the answer. */
static uint8_t execute(struct net_device *nd, const struct vring_chain *chain)
{
	uint8_t bytes[COMMAND_BYTES];
	size_t len = read_command(chain, bytes, sizeof(bytes));
	unsigned pairs;

	if (len < sizeof(struct command_header) ||
	    !command_allowed(nd->vhost.state.features, bytes, len))
		return ACK_ERR;
	if (bytes[0] != CLASS_MQ)
		return ACK_OK;
	pairs = bytes[2] | bytes[3] << 8;
	if (pairs == 0 || pairs > nd->offer.queue_pairs)
		return ACK_ERR;
	use_pairs(nd, pairs);
	return ACK_OK;
}

/* What was found in the queue. */
enum finding { FOUND_NONE, FOUND_COMMAND, FOUND_RECEIVE_BUFFER };

/* Take one command and answer it. */
static enum finding serve_one(struct net_device *nd, struct vring *vr)
{
	struct net_control_counts *counts = &nd->control.counts;
	struct vring_chain *chain = &burst.chain[0];
	unsigned n_readable;
	uint8_t ack;

	burst.n = burst.n_segments = 0;
	if (!vring_fetch(vr, &burst, 1))
		return FOUND_NONE;
	n_readable = vring_chain_readable(&burst, chain);
	if (!chain->fault && n_readable == 0) {
		vring_unfetch(vr, &burst, 0);
		return FOUND_RECEIVE_BUFFER;
	}
	ack = ACK_ERR;
	if (!chain->fault && n_readable < chain->n_segments) {
		ack = execute(nd, chain);
		*burst.segment[chain->segment + n_readable].addr = ack;
		chain->written = 1;
	}
	counts->commands += ack == ACK_OK;
	counts->refused += ack != ACK_OK;
	vring_complete(vr, &burst);
	return FOUND_COMMAND;
}

static void wait_ms(struct net_control *nc, unsigned ms)
{
	const struct timeval tv = {.tv_usec = ms * 1000L};

	event_add(nc->timer, &tv);
}

/* Ignore kicks and commands until the window is over. */
static void rest(struct net_control *nc)
{
	if (nc->kick)
		event_del(nc->kick);
	nc->counts.waits++;
	wait_ms(nc, WINDOW_MS);
}

static void serve(struct net_device *nd)
{
	struct net_control *nc = &nd->control;
	struct vhost_vring *ring = nc->ring;
	uint64_t now = clock_ms();
	bool served = false, more = true;

	if (now - nc->window_ms >= WINDOW_MS) {
		nc->window_ms = now;
		nc->left = COMMANDS;
	}
	if (ring->ring.broken)
		return; /* until the driver resets it */
	if (nd->vhost.postcopy.registered) {
		rest(nc);
		return;
	}
	while (more && nc->left) {
		enum finding found = serve_one(nd, &ring->ring);

		nc->left -= nc->left > 0;
		served |= found == FOUND_COMMAND;
		if (found == FOUND_RECEIVE_BUFFER) {
			net_control_pause(nd);
			return;
		}
		if (found == FOUND_NONE)
			more = vring_kick_enable(&ring->ring);
	}
	if (served && ring->call_fd >= 0 && vring_call_needed(&ring->ring))
		vhost_call(&nd->vhost, nd->vhost.n_vrings - 1, VHOST_CALL_USED, ring->call_fd);
	if (more)
		rest(nc);
	else if (!nc->kick)
		wait_ms(nc, WINDOW_MS);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	serve(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct net_device *nd = arg;

	(void)fd;
	(void)what;
	if (nd->control.kick)
		event_add(nd->control.kick, NULL);
	serve(nd);
}

void net_control_start(struct net_device *nd, struct vhost_vring *ring)
{
	struct net_control *nc = &nd->control;

	net_control_pause(nd);
	if (!ring) {
		nc->pairs = 0;
		return;
	}
	if (nc->pairs == 0)
		nc->pairs = 1; /* until the driver asks for more */
	nc->timer = evtimer_new(nd->host->base, on_timer, nd);
	if (ring->kick_fd >= 0 && !ring->doorbell)
		nc->kick = event_new(
		    nd->host->base, ring->kick_fd, EV_READ | EV_PERSIST | EV_ET, on_kick, nd);
	if (!nc->timer) {
		vhost_tell(
		    &nd->vhost, LOG_ERROR, "no memory for the control queue, which stays unused");
		net_control_pause(nd);
		return;
	}
	nc->ring = ring;
	/* Commands may already be in the queue. The timer looks for them, and enables kicks. */
	wait_ms(nc, 0);
}

void net_control_pause(struct net_device *nd)
{
	struct net_control *nc = &nd->control;

	/* syscalls: epoll_ctl clock_gettime */
	if (nc->kick)
		event_free(nc->kick);
	if (nc->timer)
		event_free(nc->timer);
	nc->kick = nc->timer = NULL;
	nc->ring = NULL;
}

void net_control_forget(struct net_device *nd)
{
	net_control_pause(nd);
	nd->control.pairs = 0;
}

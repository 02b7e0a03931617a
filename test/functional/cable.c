/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A cable between two switches: a network driver on a port of each. It sends each frame that
 * arrives at one end out of the other. usage: cable SOCKET SOCKET. Runs until it is ended.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "frontend/net_driver.h"

#define TRIES 200

static volatile sig_atomic_t stop;

static void on_signal(int signum)
{
	(void)signum;
	stop = 1;
}

static struct net_driver *plug_in(const char *path)
{
	const struct net_config config = {
	    .n_pairs = 1,
	    .ring_size = 256,
	    .features = VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(NET_F_MRG_RXBUF),
	    .receive_shape = {.n = 1, .len = {2048}},
	};
	struct net_driver *nd;
	int err = net_driver_create(&config, &nd);

	if (!err)
		err = net_driver_connect(nd, path);
	if (err) {
		fprintf(stderr, "cable: %s: %s\n", path, strerror(-err));
		return NULL;
	}
	return nd;
}

/* Frames that a switch does not take in time are lost, as on any cable. 1: a frame came. */
static int relay(struct net_driver *from, struct net_driver *to)
{
	struct net_frame f;
	int got = net_receive(from, 0, &f);

	for (unsigned try = 0; got > 0 && try < TRIES; try++) {
		if (net_send(to, 0, f.bytes, f.len, NULL, NULL) == 0)
			break;
		usleep(50);
	}
	return got;
}

int main(int argc, char *argv[])
{
	struct net_driver *end[2];

	if (argc != 3)
		return 2;
	signal(SIGTERM, on_signal);
	for (unsigned i = 0; i < 2; i++) {
		end[i] = plug_in(argv[1 + i]);
		if (!end[i])
			return 1;
	}
	while (!stop) {
		int there = relay(end[0], end[1]), back = relay(end[1], end[0]);

		if (there < 0 || back < 0)
			return 1;
		if (!there && !back)
			usleep(100);
	}
	for (unsigned i = 0; i < 2; i++)
		net_driver_destroy(end[i]);
	return 0;
}

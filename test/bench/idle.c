/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Idle guests: connects to each given socket, starts one queue pair with receive buffers, prints
 * "ready:", and waits until it is ended.
 *
 * usage: vhost-idle SOCKET...
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "traffic/vport.h"
#include "virtio/virtio.h"

static void allow_files(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char *argv[])
{
	const struct vport_config config = {.n_pairs = 1,
	    .ring_size = 64,
	    .frame_max = 1514,
	    .features = VIRTIO_BIT(F_RING_PACKED)};
	sigset_t end;
	int number;

	allow_files();
	for (int i = 1; i < argc; i++) {
		struct vport *port;
		int err = vport_create(&config, &port);

		if (!err)
			err = vport_connect(port, argv[i]);
		if (err) {
			fprintf(stderr, "vhost-idle: %s: %s\n", argv[i], strerror(-err));
			return 1;
		}
	}
	fprintf(stderr, "ready: %d ports\n", argc - 1);
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL);
	sigwait(&end, &number);
	return 0;
}

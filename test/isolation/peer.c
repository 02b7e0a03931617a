/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/util.h"

#define X(id, flags, text) {.name = #id, .what = (text), .needs = (flags), .run = peer_##id},
const struct peer peers[] = {PEERS(X)};
#undef X
const unsigned n_peers = ARRAY_SIZE(peers);

void peer_attacks(struct peer_world *w)
{
	w->state->attacks = true;
}

void peer_step(struct peer_world *w)
{
	w->state->steps++;
}

void peer_nap(struct peer_world *w)
{
	w->state->steps++;
	usleep(20);
}

void peer_fail(struct peer_world *w, const char *what, int error)
{
	snprintf(w->state->problem, sizeof(w->state->problem), "%s%s%s", what, error ? ": " : "",
	    error ? strerror(-error) : "");
	_exit(1);
}

void peer_must(struct peer_world *w, int error, const char *what)
{
	if (error)
		peer_fail(w, what, error);
}

void peer_watch(struct peer_world *w, int fd, unsigned n)
{
	int copy[1000], set = -1;

	for (unsigned i = 0; i < MIN(n, 1000u); i++) {
		copy[i] = dup(fd);
		if (copy[i] < 0)
			peer_fail(w, "copies of a descriptor", -errno);
	}
	for (unsigned i = 0; i < n; i++) {
		struct epoll_event event = {.events = EPOLLIN};

		if (i % 1000 == 0 && (set = epoll_create1(EPOLL_CLOEXEC)) < 0)
			peer_fail(w, "an epoll set", -errno);
		if (epoll_ctl(set, EPOLL_CTL_ADD, copy[i % 1000], &event) < 0)
			peer_fail(w, "an epoll entry", -errno);
	}
}

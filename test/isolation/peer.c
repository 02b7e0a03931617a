/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

#define X(id, flags, text) {.name = #id, .what = text, .needs = flags, .run = peer_##id},
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

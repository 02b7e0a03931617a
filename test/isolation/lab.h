/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The measuring lab: a switch, two neighbours that exchange frames, a front-end that sends
 * requests, and what the kernel reports about the switch. One run at a time.
 */
#pragma once

#include "../functional/functional.h"
#include "peer.h"

/* What the kernel knows of the switch. */
struct usage {
	unsigned fds, threads;
	uint64_t mapped_kib, private_kib, shared_kib;
};

/* What may stay mapped: malloc keeps 64 MiB of addresses for each of a few threads. */
#define MAPPED_LEFT_KIB (4 * 65536 + 4096)

/* Of one run. Delays in us, answers in ms. */
struct figures {
	double p50, p99, max;
	uint64_t sent, lost;
	double answer_max;
	unsigned answers;
	double newcomer_ms; /* until a new front-end had its 4 GiB mapped */
	int newcomer;       /* negative errno of it */
	double timer_max;   /* us that the measuring thread itself was late */
	double lines;       /* of log, a second */
	double steps;       /* of the peer, a second */
	struct usage before, peak, after;
	double term_ms;    /* until SIGTERM had ended it; -1: it had to be killed */
	char problem[200]; /* what else was wrong */
};

struct lab {
	struct switch_process sw;
	struct net_driver *nd[2];
	struct frontend asker;
	unsigned n_workers, needs;
	bool foreign; /* somebody else's switch: its sockets are all we know of it */
	struct peer_state *state;
	pid_t peer; /* 0: none */
};

/* Start a switch as `needs` says and attach everybody. */
void lab_open(struct lab *l, unsigned n_workers, unsigned needs);

/* From now on labs are opened with workers that poll and never sleep. */
void lab_poll(void);
/* Attach everybody to a switch that runs. False: it does not answer. */
bool lab_open_foreign(struct lab *l, const char *const paths[PORTS]);
/* End it, by force if need be. */
void lab_close(struct lab *l);

/* Start and kill a peer. False: it could not attack. */
bool lab_start_peer(struct lab *l, const struct peer *p);
void lab_kill_peer(struct lab *l);

struct usage lab_usage(const struct lab *l);
/* With nothing on its way. */
struct usage lab_usage_at_rest(const struct lab *l);
/* Wait until it is what it was, at most some seconds. */
struct usage lab_usage_again(const struct lab *l, const struct usage *before);

/* SIGTERM; ms until it had ended with status 0, -1: it did not, -2: it ended badly. */
double lab_terminate(struct lab *l);

/* Measure for some seconds. */
void measure(struct lab *l, double seconds, struct figures *f);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * There is one fdb_watch for each bridge. While clients are subscribed, a timer looks at a part of
 * one table each time, and then at the next table. The part and its events are bounded, so clients
 * and guests that send from many addresses cost a bounded part of the control thread's time.
 *
 * A client that subscribes is answered when the first round over all tables has ended, because
 * changes are told only from then on. Until then the parts follow each other without a pause, and
 * front-ends are served in between.
 *
 * When no client is subscribed any more, the watches are dropped some seconds later. So a client
 * that comes and goes does not cause one first round after another.
 */
#include "manage/address_watch.h"

#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/log_limit.h"
#include "bridge/fdb_watch.h"
#include "control/bridge.h"
#include "control/vswitch.h"
#include "manage/methods.h"
#include "manage/rpc_server.h"

#define TICK_US      50000
#define BUCKETS_ONCE 8192 /* half a megabyte of memory, and as much of the copy */
#define CHANGES_ONCE 200
#define LINGER_TICKS 40

/* A request to subscribe, which waits for the end of the first round. */
struct waiting_client {
	struct rpc_ticket *ticket;
	STAILQ_ENTRY(waiting_client) next;
};

struct address_watch {
	struct event *tick;
	bool on;
	bool first_round;
	unsigned unwanted; /* ticks since the last client has gone */
	unsigned at;       /* the number of the bridge that is looked at */
	struct watched {
		uint64_t bridge; /* its id; 0: none */
		struct fdb_watch *watch;
	} of[BRIDGES_MAX];
	STAILQ_HEAD(, waiting_client) waiting;
};

struct telling {
	const struct manage *m;
	const struct bridge *bridge;
};

static void on_change(enum fdb_change change, const struct fdb_entry *entry, void *arg)
{
	static const enum manage_event events[] = {[FDB_LEARNED] = MANAGE_EVENT_ADDRESS_LEARNED,
	    [FDB_MOVED] = MANAGE_EVENT_ADDRESS_MOVED,
	    [FDB_FORGOTTEN] = MANAGE_EVENT_ADDRESS_FORGOTTEN};
	const struct telling *t = arg;
	const struct switch_port *sp = t->m->config.sw->port[entry->port];
	json_t *params;

	if (!manage_wanted(t->m, events[change]))
		return;
	params = json_pack("{s:o, s:o, s:s}", "mac", manage_mac(entry->mac), "vlan",
	    entry->domain ? json_integer(entry->domain) : json_null(), "bridge",
	    t->bridge->config.name);
	/* When an address is forgotten, another port may have the index already. */
	if (change != FDB_FORGOTTEN)
		json_object_set_new(params, "port", sp ? manage_text(sp->name) : json_null());
	manage_publish(t->m, events[change], params);
}

static void drop(struct watched *w)
{
	fdb_watch_destroy(w->watch);
	*w = (struct watched){.bridge = 0};
}

static void stop(struct address_watch *a)
{
	for (unsigned i = 0; i < BRIDGES_MAX; i++)
		drop(&a->of[i]);
	event_del(a->tick);
	a->on = false;
}

/* drop_removed() has dropped what is not of this bridge. */
static struct watched *watched_of(const struct manage *m, const struct bridge *bridge)
{
	struct address_watch *a = m->addresses;
	struct watched *w = &a->of[bridge->number];

	if (w->bridge)
		return w;
	w->bridge = bridge->id;
	w->watch = fdb_watch_create(bridge->fdb, !a->first_round);
	if (!w->watch)
		log_limited(rpc_server_change_limit(m->server), LOG_WARN, "control socket",
		    "no memory to tell clients of the addresses of bridge %s", bridge->config.name);
	return w;
}

/* Look at a part of the table of the bridge whose turn it is. True: that was the last bridge. */
static bool look(struct manage *m)
{
	struct address_watch *a = m->addresses;
	const struct vswitch *sw = m->config.sw;
	struct telling t = {.m = m, .bridge = vswitch_bridge_next(sw, &a->at)};
	struct watched *w = t.bridge ? watched_of(m, t.bridge) : NULL;

	if (w && w->watch && !fdb_watch_some(w->watch, BUCKETS_ONCE, CHANGES_ONCE, on_change, &t))
		a->at = t.bridge->number; /* it is not at its end */
	if (a->at < sw->n_bridges)
		return false;
	a->at = 0;
	return true;
}

static void drop_removed(struct address_watch *a, const struct vswitch *sw)
{
	for (unsigned i = 0; i < BRIDGES_MAX; i++)
		if (a->of[i].bridge && (!sw->bridge[i] || sw->bridge[i]->id != a->of[i].bridge))
			drop(&a->of[i]);
}

static void answer_waiting(struct address_watch *a)
{
	struct waiting_client *w;

	while ((w = STAILQ_FIRST(&a->waiting))) {
		struct rpc_ticket *ticket = w->ticket;

		STAILQ_REMOVE_HEAD(&a->waiting, next);
		free(w);
		rpc_again(ticket);
	}
}

static bool wanted(const struct manage *m)
{
	return !STAILQ_EMPTY(&m->addresses->waiting) ||
	    manage_wanted(m, MANAGE_EVENT_ADDRESS_LEARNED) ||
	    manage_wanted(m, MANAGE_EVENT_ADDRESS_MOVED) ||
	    manage_wanted(m, MANAGE_EVENT_ADDRESS_FORGOTTEN);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct manage *m = arg;
	struct address_watch *a = m->addresses;

	(void)fd;
	(void)what;
	a->unwanted = wanted(m) ? 0 : a->unwanted + 1;
	if (a->unwanted > LINGER_TICKS) {
		stop(a);
		return;
	}
	drop_removed(a, m->config.sw);
	if (look(m) && a->first_round) {
		a->first_round = false;
		answer_waiting(a);
	}
	event_add(a->tick, &(struct timeval){.tv_usec = a->first_round ? 0 : TICK_US});
}

bool address_watch_waits(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	struct address_watch *a = m->addresses;
	struct waiting_client *w;

	if (a->on && !a->first_round)
		return false;
	w = malloc(sizeof(*w));
	if (!w) {
		manage_fail(call->error, MANAGE_INTERNAL, "out of memory");
		return true;
	}
	w->ticket = rpc_later(call);
	if (!w->ticket) {
		free(w);
		return true;
	}
	STAILQ_INSERT_TAIL(&a->waiting, w, next);
	if (!a->on) {
		a->on = a->first_round = true;
		a->at = 0;
		event_active(a->tick, EV_TIMEOUT, 0);
	}
	return true;
}

int address_watch_create(struct manage *m)
{
	struct address_watch *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	m->addresses = a;
	STAILQ_INIT(&a->waiting);
	a->tick = evtimer_new(m->config.base, on_tick, m);
	return a->tick ? 0 : -ENOMEM;
}

void address_watch_destroy(struct manage *m)
{
	struct address_watch *a = m->addresses;

	if (!a)
		return;
	answer_waiting(a); /* their sessions have been closed: they are forgotten */
	if (a->tick) {
		stop(a);
		event_free(a->tick);
	}
	free(a);
	m->addresses = NULL;
}

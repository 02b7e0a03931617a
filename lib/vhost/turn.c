/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/turn.h"

#include <errno.h>
#include <stddef.h>

#include <event2/event.h>

static TAILQ_HEAD(, vhost_turn) line = TAILQ_HEAD_INITIALIZER(line);
static struct event *next_turn;
static unsigned users;
static bool scheduled;
static uint64_t spent_ns; /* since the loop looked at its events */

/* A timer of 0 is due after the event loop has looked at its descriptors once more. */
static void schedule(void)
{
	const struct timeval at_once = {0};

	if (!scheduled && next_turn)
		scheduled = event_add(next_turn, &at_once) == 0;
}

static struct vhost_turn *find_due(void)
{
	struct vhost_turn *turn, *first = TAILQ_FIRST(&line);

	for (turn = first; turn; turn = TAILQ_NEXT(turn, next)) {
		if (turn->due_ns < first->due_ns)
			first = turn;
	}
	return first;
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct vhost_turn *turn = find_due();

	(void)fd;
	(void)what;
	(void)arg;
	scheduled = false;
	spent_ns = 0;
	if (!turn)
		return;
	vhost_turn_leave(turn);
	if (!TAILQ_EMPTY(&line))
		schedule();
	turn->take(turn->arg);
}

int vhost_turns_open(struct event_base *base)
{
	if (users++ == 0)
		next_turn = evtimer_new(base, on_turn, NULL);
	return next_turn ? 0 : -ENOMEM;
}

void vhost_turns_close(void)
{
	if (--users)
		return;
	if (next_turn)
		event_free(next_turn);
	next_turn = NULL;
	scheduled = false;
	spent_ns = 0;
}

void vhost_turn_wait(struct vhost_turn *turn, uint64_t due_ns)
{
	if (turn->waits)
		return;
	turn->waits = true;
	turn->due_ns = due_ns;
	TAILQ_INSERT_TAIL(&line, turn, next);
	schedule();
}

void vhost_turn_leave(struct vhost_turn *turn)
{
	if (turn->waits)
		TAILQ_REMOVE(&line, turn, next);
	turn->waits = false;
}

void vhost_turns_spend(uint64_t ns)
{
	spent_ns += ns;
	schedule();
}

bool vhost_turns_late(void)
{
	return spent_ns > VHOST_TURN_NS;
}

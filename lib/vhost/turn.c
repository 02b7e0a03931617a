/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/turn.h"

#include <errno.h>
#include <stddef.h>

#include <event2/event.h>

static TAILQ_HEAD(, vhost_turn) line = TAILQ_HEAD_INITIALIZER(line);
static struct event *next_turn;
static unsigned users;

/* A timer of 0 is due after the event loop has looked at its descriptors once more. */
static void schedule(void)
{
	const struct timeval at_once = {0};

	if (!TAILQ_EMPTY(&line))
		event_add(next_turn, &at_once);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct vhost_turn *turn = TAILQ_FIRST(&line);

	(void)fd;
	(void)what;
	(void)arg;
	if (!turn)
		return;
	vhost_turn_leave(turn);
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
}

void vhost_turn_wait(struct vhost_turn *turn)
{
	if (turn->waits)
		return;
	turn->waits = true;
	TAILQ_INSERT_TAIL(&line, turn, next);
	schedule();
}

void vhost_turn_leave(struct vhost_turn *turn)
{
	if (turn->waits)
		TAILQ_REMOVE(&line, turn, next);
	turn->waits = false;
}

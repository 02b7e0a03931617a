/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * An endpoint has at most four events on the event loop: the listener (the listening socket), a
 * timer, the session (the session's socket, or a timer after which the socket is read again), and
 * in-band notifications to be sent. The state of an endpoint is the set of events that are armed:
 *
 *	server or listening fd	waiting: listener. Connected: session.
 *	client			waiting: timer (next attempt). Connected: session.
 *	connected fd		at first: timer (due at once). Then session, then nothing.
 *
 * While a front-end is connected, the listener stays armed until a second front-end connects. The
 * second front-end waits in the backlog. A second later the timer logs this. If the first front-end
 * has sent no message, its session is ended later, because it must not block the socket for ever.
 *
 * A peer that connects and disconnects all the time costs much. So the rate of connections is
 * limited: ACCEPT_BURST at once, and then one in ACCEPT_MS. If there are more, the listener is
 * disarmed until the timer arms it again. This is also done in two other cases: if
 * vhost_endpoint_drop_for() dropped the front-end, and if the system has no free descriptors,
 * because then the listener stays readable all the time.
 *
 * The time that the control thread spends on a front-end is measured (allowance.h). If the
 * front-end used much time, or if the event loop is late, an event of the socket only puts the
 * endpoint into the work queue (work_queue.h). If single visits were long, the socket is not read
 * for a while.
 */
#include "vhost/endpoint.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "vhost/allowance.h"
#include "vhost/descriptor.h"
#include "vhost/handshake.h"
#include "vhost/inband.h"
#include "vhost/listener.h"
#include "vhost/session.h"
#include "vhost/work_queue.h"

#define RETRY_MIN_MS    100
#define RETRY_MAX_MS    2000
#define ACCEPT_WAIT_MS  1000
#define INBAND_RETRY_US 5000
#define ACCEPT_BURST    20
#define ACCEPT_MS       50
/*
 * If a second front-end waits: the connected front-end must have sent a message SILENT_MS after its
 * own connection, otherwise it is disconnected. If it has sent one, the wait is logged after
 * WAITER_MS.
 */
#define WAITER_MS 1000
#define SILENT_MS 5000

struct vhost_endpoint {
	struct event_base *base;
	struct vhost_device *dev;
	enum vhost_endpoint_mode mode;
	char *path;
	void (*connection_changed)(struct vhost_device *dev, bool connected);

	struct vhost_listener listener;
	struct event *listen_event;
	int64_t accept_due_ms; /* when the rate allows all connections so far */
	int64_t rest_until_ms; /* no front-end is served before this */

	struct event *timer;
	unsigned retry_ms;   /* client: wait before the next attempt */
	int connect_failure; /* client: error of the last attempt, which is logged once */
	int given_fd;        /* connected fd that the timer will turn into a session */

	struct vhost_session *session;
	struct event *session_event, *session_rest;
	pid_t peer;       /* 0: not known */
	int64_t since_ms; /* when it connected, or the one before has gone */
	struct vhost_awaited awaited;
	int64_t awaited_since_ms;
	struct allowance allowance; /* of all front-ends, one after the other */
	struct vhost_work work;
	bool has_work_queue; /* vhost_work_open() succeeded */
	uint64_t longest_ns; /* longest visit of this front-end */
	bool told_to_rest;   /* it was logged that it must rest */
	struct event *inband_event, *inband_retry;
};

static void wait_ms(struct vhost_endpoint *ep, unsigned ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000L};

	event_add(ep->timer, &tv);
}

/* Count a visit that began at start_ns, when dev->waited_ns was waited_ns. */
static void charge(struct vhost_endpoint *ep, uint64_t start_ns, uint64_t waited_ns)
{
	uint64_t now = clock_ns(), waited = ep->dev->waited_ns - waited_ns;

	allowance_charge(&ep->allowance, start_ns, now, waited);
	vhost_work_spend(now - start_ns);
	ep->longest_ns = MAX(ep->longest_ns, now - start_ns - MIN(now - start_ns, waited));
}

/* Wait for the next front-end, as soon as the next one is allowed. */
static void wait_for_frontend(struct vhost_endpoint *ep)
{
	int64_t from =
	    MAX(ep->rest_until_ms, ep->accept_due_ms - (int64_t)ACCEPT_BURST * ACCEPT_MS);
	int64_t rest = allowance_rest(&ep->allowance, clock_ns()) / 1000000;
	int64_t wait = MAX(from - clock_ms(), rest);

	if (ep->mode == VHOST_ENDPOINT_CLIENT) {
		wait_ms(ep, MAX(wait, ep->retry_ms));
	} else if (ep->listen_event && wait) {
		event_del(ep->listen_event);
		wait_ms(ep, wait);
	} else if (ep->listen_event) {
		event_add(ep->listen_event, NULL);
	}
}

static void close_session(struct vhost_endpoint *ep)
{
	if (ep->session_event)
		event_free(ep->session_event);
	if (ep->session_rest)
		event_free(ep->session_rest);
	if (ep->inband_event)
		event_free(ep->inband_event);
	if (ep->inband_retry)
		event_free(ep->inband_retry);
	ep->session_event = ep->session_rest = ep->inband_event = ep->inband_retry = NULL;
	vhost_work_remove(&ep->work);
	if (ep->timer)
		event_del(ep->timer);
	session_destroy(ep->session);
	ep->session = NULL;
	vhost_device_reset(ep->dev);
}

/* The front-end has disconnected, or is to be disconnected. */
static void end_session(struct vhost_endpoint *ep, const char *how)
{
	uint64_t start = clock_ns(), waited = ep->dev->waited_ns;

	close_session(ep);
	charge(ep, start, waited);
	vhost_tell(ep->dev, LOG_INFO, "front-end %s", how);
	ep->since_ms = clock_ms();
	wait_for_frontend(ep);
	if (ep->connection_changed)
		ep->connection_changed(ep->dev, false);
}

/*
 * If the front-end does not read, the timer tries again a little later. If the event stayed armed,
 * it would keep the event loop busy.
 */
static void on_inband(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval later = {.tv_usec = INBAND_RETRY_US};
	struct vhost_endpoint *ep = arg;
	uint64_t start = clock_ns(), waited = ep->dev->waited_ns;

	(void)fd;
	if ((what & EV_READ) && vhost_inband_service(ep->dev) == -EAGAIN)
		event_add(ep->inband_retry, &later);
	else
		event_add(ep->inband_event, NULL);
	charge(ep, start, waited);
}

static void watch_inband(struct vhost_endpoint *ep)
{
	ep->inband_event = event_new(ep->base, vhost_inband_fd(ep->dev), EV_READ, on_inband, ep);
	ep->inband_retry = evtimer_new(ep->base, on_inband, ep);
	if (!ep->inband_event || !ep->inband_retry || event_add(ep->inband_event, NULL) < 0)
		vhost_tell(ep->dev, LOG_ERROR, "no memory to notify in-band");
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct vhost_endpoint *ep = arg;

	(void)fd;
	(void)what;
	event_add(ep->session_event, NULL);
	event_active(ep->session_event, EV_READ, 0);
}

/* Do not read the socket for so many ns. A message that was already read waits, too. */
static void rest(struct vhost_endpoint *ep, uint64_t ns)
{
	uint64_t us = MAX(ns / 1000, SESSION_REST_MS * 1000ul);
	const struct timeval later = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};

	event_del(ep->session_event);
	event_add(ep->session_rest, &later);
}

static void tell_to_rest(struct vhost_endpoint *ep, uint64_t ns)
{
	if (!ep->told_to_rest)
		vhost_tell(ep->dev, LOG_WARN,
		    "serving this front-end took up to %u ms at a time: it is not served for "
		    "%u ms, and for longer if this goes on",
		    (unsigned)(ep->longest_ns / 1000000), (unsigned)(ns / 1000000));
	ep->told_to_rest = true;
}

/* Must the endpoint wait for its turn? True: it is in the queue now. */
static bool must_wait(struct vhost_endpoint *ep)
{
	uint64_t now = clock_ns();

	if (!allowance_busy(&ep->allowance, now) && !vhost_work_late())
		return false;
	vhost_work_add(&ep->work, allowance_due(&ep->allowance, now));
	return true;
}

/* Note since when the device waits for what it waits for. */
static void note_awaited(struct vhost_endpoint *ep)
{
	struct vhost_awaited now = vhost_handshake_awaits(ep->dev);

	if (!session_has_spoken(ep->session) || vhost_awaited_equal(&now, &ep->awaited))
		return;
	ep->awaited = now;
	ep->awaited_since_ms = clock_ms();
}

static void serve(struct vhost_endpoint *ep)
{
	uint64_t start = clock_ns(), waited = ep->dev->waited_ns;
	uint64_t pause = allowance_rest(&ep->allowance, start);
	int error;

	if (pause) {
		tell_to_rest(ep, pause);
		rest(ep, pause);
		return;
	}
	error = session_receive(ep->session);
	charge(ep, start, waited);
	note_awaited(ep);
	if (error == SESSION_RESTS)
		rest(ep, 0);
	else if (error)
		end_session(ep, error == -EPIPE ? "disconnected" : "dropped");
	else if (!ep->inband_event && vhost_inband_fd(ep->dev) >= 0)
		watch_inband(ep);
}

static void on_session(evutil_socket_t fd, short what, void *arg)
{
	struct vhost_endpoint *ep = arg;

	(void)fd;
	(void)what;
	if (must_wait(ep))
		event_del(ep->session_event);
	else
		serve(ep);
}

/* Serve the front-end at the other end of fd. */
static void open_session(struct vhost_endpoint *ep, int fd)
{
	int error;

	ep->longest_ns = 0;
	ep->told_to_rest = false;
	ep->peer = socket_peer(fd);
	ep->since_ms = ep->awaited_since_ms = clock_ms();
	ep->awaited = (struct vhost_awaited){.what = VHOST_AWAITS_FIRST};
	ep->accept_due_ms = MAX(ep->accept_due_ms, ep->since_ms) + ACCEPT_MS;
	error = session_create(fd, ep->dev, &ep->session);

	if (!error) {
		ep->session_event = event_new(ep->base, fd, EV_READ | EV_PERSIST, on_session, ep);
		ep->session_rest = evtimer_new(ep->base, on_rested, ep);
		if (!ep->session_event || !ep->session_rest ||
		    event_add(ep->session_event, NULL) < 0)
			error = -ENOMEM;
	}
	if (error) {
		vhost_tell(
		    ep->dev, LOG_ERROR, "cannot serve the front-end: %s", error_text(-error));
		close_session(ep);
		wait_for_frontend(ep);
		return;
	}
	vhost_tell(ep->dev, LOG_INFO, "front-end connected");
	if (ep->connection_changed)
		ep->connection_changed(ep->dev, true);
}

static void accept_front_end(struct vhost_endpoint *ep)
{
	uint64_t start = clock_ns(), waited = ep->dev->waited_ns;
	/* syscalls: accept4 socket connect getsockopt */
	int accepted = accept4(ep->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (accepted >= 0) {
		open_session(ep, accepted);
		charge(ep, start, waited);
		return;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	vhost_tell(ep->dev, LOG_ERROR, "cannot accept a front-end: %s", error_text(errno));
	event_del(ep->listen_event);
	wait_ms(ep, ACCEPT_WAIT_MS);
}

static void on_listener(evutil_socket_t fd, short what, void *arg)
{
	struct vhost_endpoint *ep = arg;

	(void)fd;
	(void)what;
	if (ep->session) {
		event_del(ep->listen_event);
		wait_ms(ep, WAITER_MS);
	} else if (must_wait(ep)) {
		event_del(ep->listen_event);
	} else {
		accept_front_end(ep);
	}
}

static void take_turn(void *arg)
{
	struct vhost_endpoint *ep = arg;

	if (ep->session) {
		event_add(ep->session_event, NULL);
		serve(ep);
	} else if (ep->listen_event) {
		event_add(ep->listen_event, NULL);
		accept_front_end(ep);
	}
}

static void try_connect(struct vhost_endpoint *ep)
{
	int fd = socket_connect(ep->path);

	if (fd >= 0) {
		ep->retry_ms = RETRY_MIN_MS;
		ep->connect_failure = 0;
		open_session(ep, fd);
		return;
	}
	if (ep->connect_failure != fd)
		vhost_tell(
		    ep->dev, LOG_INFO, "cannot connect yet: %s; trying again", error_text(-fd));
	ep->connect_failure = fd;
	wait_ms(ep, ep->retry_ms);
	ep->retry_ms = MIN(ep->retry_ms * 2, RETRY_MAX_MS);
}

/* Another front-end has been waiting for a while. */
static void on_waiter(struct vhost_endpoint *ep)
{
	int64_t silent_ms = clock_ms() - ep->since_ms;

	if (session_has_spoken(ep->session) || ep->told_to_rest) {
		vhost_tell(ep->dev, LOG_WARN,
		    "another front-end waits until the one of process %d has gone; a port "
		    "serves one at a time",
		    ep->peer);
	} else if (silent_ms < SILENT_MS) {
		wait_ms(ep, SILENT_MS - silent_ms);
	} else {
		vhost_tell(ep->dev, LOG_WARN,
		    "another front-end waits, and the one of process %d has said nothing "
		    "for %d s",
		    ep->peer, SILENT_MS / 1000);
		end_session(ep, "dropped");
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct vhost_endpoint *ep = arg;
	int given = ep->given_fd;

	(void)fd;
	(void)what;
	if (ep->session) {
		on_waiter(ep);
	} else if (given >= 0) {
		ep->given_fd = -1;
		open_session(ep, given);
	} else if (ep->listen_event) {
		wait_for_frontend(ep);
	} else if (ep->mode == VHOST_ENDPOINT_CLIENT) {
		try_connect(ep);
	}
}

static int start_listening(struct vhost_endpoint *ep)
{
	ep->listen_event =
	    event_new(ep->base, ep->listener.fd, EV_READ | EV_PERSIST, on_listener, ep);
	if (!ep->listen_event || event_add(ep->listen_event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

/* A descriptor we were started with: a stream socket, listening or connected. */
static int take_given_fd(struct vhost_endpoint *ep, int fd)
{
	int type = 0, listening = 0, flags = fcntl(fd, F_GETFL);
	socklen_t len = sizeof(type);

	if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return -errno;
	len = sizeof(listening);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
		return -errno;
	if (type != SOCK_STREAM)
		return -EINVAL;
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	if (listening) {
		ep->listener.fd = fd;
		ep->given_fd = -1;
		return start_listening(ep);
	}
	wait_ms(ep, 0);
	return 0;
}

static int start(struct vhost_endpoint *ep, const struct vhost_endpoint_config *config)
{
	struct sockaddr_un address;
	int error;

	switch (ep->mode) {
	case VHOST_ENDPOINT_SERVER:
		error = listener_open(&ep->listener, ep->path, config);
		return error ? error : start_listening(ep);
	case VHOST_ENDPOINT_CLIENT:
		error = socket_address(ep->path, &address);
		if (!error)
			wait_ms(ep, 0);
		return error;
	case VHOST_ENDPOINT_FD:
		return take_given_fd(ep, config->fd);
	}
	return -EINVAL;
}

static struct vhost_endpoint *endpoint_alloc(
    struct event_base *base, const struct vhost_endpoint_config *config, struct vhost_device *dev)
{
	struct vhost_endpoint *ep = calloc(1, sizeof(*ep));

	if (!ep)
		return NULL;
	ep->base = base;
	ep->dev = dev;
	ep->mode = config->mode;
	ep->connection_changed = config->connection_changed;
	ep->listener.fd = -1;
	ep->given_fd = config->mode == VHOST_ENDPOINT_FD ? config->fd : -1;
	ep->retry_ms = RETRY_MIN_MS;
	ep->since_ms = clock_ms();
	ep->path = strdup(config->path);
	ep->timer = evtimer_new(base, on_timer, ep);
	ep->work = (struct vhost_work){.take = take_turn, .arg = ep};
	ep->has_work_queue = vhost_work_open(base) == 0;
	return ep;
}

int vhost_endpoint_create(struct event_base *base, const struct vhost_endpoint_config *config,
    struct vhost_device *dev, struct vhost_endpoint **ret_endpoint)
{
	struct vhost_endpoint *ep = endpoint_alloc(base, config, dev);
	bool complete = ep && ep->path && ep->timer && ep->has_work_queue;
	int error = complete ? start(ep, config) : -ENOMEM;

	if (error) {
		/* listener_open() has told why. */
		if (config->mode != VHOST_ENDPOINT_SERVER || error == -ENOMEM)
			listener_refuse(config, error, "%s: cannot start: %s", config->path,
			    socket_error_text(error));
		if (!ep && config->mode == VHOST_ENDPOINT_FD && config->fd >= 0)
			close(config->fd);
		vhost_endpoint_destroy(ep);
		return error;
	}
	*ret_endpoint = ep;
	return 0;
}

void vhost_endpoint_halt(struct vhost_endpoint *ep)
{
	struct event *const all[] = {ep->session_event, ep->session_rest, ep->inband_event,
	    ep->inband_retry, ep->listen_event, ep->timer};

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i])
			event_del(all[i]);
	vhost_work_remove(&ep->work);
	listener_close_for(&ep->listener, ep->dev);
}

void vhost_endpoint_destroy(struct vhost_endpoint *ep)
{
	bool connected;

	if (!ep)
		return;
	connected = vhost_endpoint_connected(ep);
	close_session(ep);
	if (ep->listen_event)
		event_free(ep->listen_event);
	if (ep->timer)
		event_free(ep->timer);
	listener_close_for(&ep->listener, ep->dev);
	if (ep->given_fd >= 0)
		vhost_fd_close(ep->dev, ep->given_fd);
	if (connected && ep->connection_changed)
		ep->connection_changed(ep->dev, false);
	vhost_work_close();
	free(ep->path);
	free(ep);
}

bool vhost_endpoint_is(const struct vhost_endpoint *ep, const struct stat *file)
{
	const struct vhost_listener *l = &ep->listener;

	return l->bound && l->dev == file->st_dev && l->ino == file->st_ino;
}

bool vhost_endpoint_connected(const struct vhost_endpoint *ep)
{
	return ep->session != NULL;
}

bool vhost_endpoint_peer(const struct vhost_endpoint *ep, struct vhost_endpoint_peer *ret_peer)
{
	if (!ep->session)
		return false;
	ret_peer->pid = ep->peer;
	ret_peer->ms = clock_ms() - ep->since_ms;
	return true;
}

void vhost_endpoint_drop_for(struct vhost_endpoint *ep, unsigned ms)
{
	ep->rest_until_ms = clock_ms() + ms;
	if (ep->session) {
		end_session(ep, "dropped");
		return;
	}
	vhost_work_remove(&ep->work);
	wait_for_frontend(ep);
}

void vhost_endpoint_drop(struct vhost_endpoint *ep)
{
	if (ep->session)
		end_session(ep, "dropped");
}

const char *vhost_endpoint_state(const struct vhost_endpoint *ep, char *text, size_t size)
{
	int64_t since = ep->session ? ep->awaited_since_ms : ep->since_ms;
	unsigned s = (clock_ms() - since) / 1000;
	char awaited[VHOST_AWAITED_TEXT];

	if (ep->session)
		snprintf(text, size, "connected; %s for %u s",
		    vhost_awaited_text(&ep->awaited, awaited), s);
	else if (ep->connect_failure)
		snprintf(text, size, "trying to connect for %u s: %s", s,
		    error_text(-ep->connect_failure));
	else if (ep->mode == VHOST_ENDPOINT_FD && !ep->listen_event && ep->given_fd < 0)
		snprintf(text, size, "the passed connection ended %u s ago", s);
	else
		snprintf(text, size, "waiting for a front-end for %u s", s);
	return text;
}

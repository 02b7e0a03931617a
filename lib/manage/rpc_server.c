/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * An event of a socket does no work. It puts its client into the queue of the control thread's
 * work, and the queue visits one client or front-end each time the event loop has looked at all
 * events. The time of a visit is charged to the client and to all clients together; a client that
 * used more is visited later (vhost/allowance.h). Accepting a client is work, too. So a program
 * that connects again and again, or sends as many requests as it can, costs only its own time.
 *
 * A visit answers requests, reads what the socket has, and writes what it takes. The readable event
 * is armed only while the session takes input, the writable event only while output waits. A client
 * that does not read its answers is not read from either, so it has a bounded amount of memory.
 *
 * A client could pass descriptors, and to close one of them can take any time. Closers do it. They
 * close the sockets of clients, too, because descriptors that were not received are closed with
 * the socket. A client that passes descriptors is disconnected. While RPC_CLOSING_MAX descriptors
 * of clients are being closed, nothing is read and no client is accepted: a message could bring
 * more of them, and to read it without them would close them here.
 */
#include "manage/rpc_server.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log_limit.h"
#include "base/util.h"
#include "manage/rpc_receive.h"
#include "vhost/allowance.h"
#include "vhost/endpoint.h"
#include "vhost/listener.h"
#include "vhost/work_queue.h"

#define NAME          "control socket"
#define READ_AT_ONCE  16384
#define WRITE_AT_ONCE 65536
#define FULL_WAIT_MS  100
#define TRIM_AFTER    (1u << 20)
/* After this time of visits, no client is visited for as long as the visits took. */
#define REST_AFTER_NS UINT64_C(1000000)
#define REST_MAX_NS   UINT64_C(100000000)

struct client {
	struct rpc_server *server;
	TAILQ_ENTRY(client) next;
	int fd;
	struct event *readable, *writable, *later;
	struct rpc_session *session;
	struct allowance allowance;
	struct vhost_work work;
	bool ended;        /* it sends no more; what it sent is still answered */
	uint64_t requests; /* answered when it was looked at last */
	int64_t active_ms; /* when a request was answered last, or it connected */
	int64_t taken_ms;  /* when output was taken last, or there was none */
};

struct rpc_server {
	struct event_base *base;
	struct rpc *rpc;
	char *path;
	struct vhost_listener listener;
	struct event *listen, *again, *tick;
	struct vhost_work accept;
	bool has_work_queue;        /* vhost_work_open() was called */
	struct allowance allowance; /* of all clients */
	uint64_t used_ns;           /* by all clients since they rested last */
	uint64_t rest_until_ns;     /* no client is visited before */
	bool trim;                  /* clients have held much memory */
	int64_t accept_due_ms;      /* RPC_ACCEPT_MS after the last client, if all came evenly */
	struct log_limit limit, change_limit;
	bool told_flood;
	unsigned n_clients;
	TAILQ_HEAD(clients, client) clients;
};

static void close_client(struct client *c)
{
	struct rpc_server *server = c->server;

	TAILQ_REMOVE(&server->clients, c, next);
	server->n_clients--;
	vhost_work_remove(&c->work);
	if (c->readable)
		event_free(c->readable);
	if (c->writable)
		event_free(c->writable);
	if (c->later)
		event_free(c->later);
	rpc_session_close(c->session);
	/* syscalls: shutdown close */
	shutdown(c->fd, SHUT_RDWR);
	rpc_close_fd(c->fd);
	free(c);
	if (server->n_clients == 0 && server->trim) {
		malloc_trim(0); /* small blocks may lie behind what is free */
		server->trim = false;
	}
}

/* Put work into the queue. Clients that used much time together are due later. */
static void wait_for_turn(
    struct rpc_server *server, struct vhost_work *work, const struct allowance *own)
{
	uint64_t now = clock_ns(), due = allowance_due(&server->allowance, now);

	if (own)
		due = MAX(due, allowance_due(own, now));
	vhost_work_add(work, due);
}

static void charge(struct rpc_server *server, struct allowance *own, uint64_t start)
{
	uint64_t now = clock_ns();

	allowance_charge(&server->allowance, start, now, 0);
	if (own)
		allowance_charge(own, start, now, 0);
	vhost_work_spend(now - start);
	server->used_ns += now - start;
	if (server->used_ns >= REST_AFTER_NS) {
		server->rest_until_ns = now + MIN(server->used_ns, REST_MAX_NS);
		server->used_ns = 0;
	}
}

/* Read once. 1: something came; 0: there is nothing; negative: the connection is broken. */
static int read_some(struct client *c)
{
	char bytes[READ_AT_ONCE];
	size_t room = MIN(rpc_session_room(c->session), sizeof(bytes));
	ssize_t n;

	if (c->ended || room == 0 || rpc_closing_full())
		return 0;
	n = rpc_receive(c->fd, bytes, room);
	if (n > 0)
		return rpc_session_input(c->session, bytes, (size_t)n) < 0 ? -ENOMEM : 1;
	if (n == 0)
		c->ended = true;
	else if (errno != EAGAIN && errno != EINTR)
		return -errno;
	return 0;
}

/* Write what the socket takes. False: the connection is broken. */
static bool write_some(struct client *c)
{
	size_t waits;
	ssize_t n = 0;

	for (;;) {
		const char *bytes = rpc_session_output(c->session, &waits);

		if (waits == 0)
			break;
		/* syscalls: sendto */
		n = send(c->fd, bytes, MIN(waits, WRITE_AT_ONCE), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			break;
		rpc_session_taken(c->session, (size_t)n);
		c->taken_ms = clock_ms();
	}
	if (waits == 0)
		c->taken_ms = clock_ms();
	return n >= 0 || errno == EAGAIN || errno == EINTR;
}

static void visit_later(struct client *c, uint64_t ms)
{
	const struct timeval later = {
	    .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	event_add(c->later, &later);
}

static void arm(struct client *c)
{
	size_t waits;

	rpc_session_output(c->session, &waits);
	if (waits)
		event_add(c->writable, NULL);
	if (c->ended || !rpc_session_room(c->session))
		return;
	if (rpc_closing_full())
		visit_later(c, FULL_WAIT_MS);
	else
		event_add(c->readable, NULL);
}

/* True: there may be more to do at once. False: wait for an event. Negative: it is broken. */
static int serve(struct client *c, uint64_t start)
{
	for (unsigned i = 0; i < RPC_VISIT_STEPS; i++) {
		int more = rpc_session_work(c->session);

		if (!more)
			more = read_some(c);
		if (more <= 0)
			return more;
		if (clock_ns() - (int64_t)start > (int64_t)RPC_VISIT_NS)
			break;
	}
	return true;
}

static void note_requests(struct client *c)
{
	uint64_t requests = rpc_session_requests(c->session);

	if (requests != c->requests)
		c->active_ms = clock_ms();
	c->requests = requests;
}

/* If all clients hold too much memory, the client that holds most has to go. */
static void limit_memory(struct rpc_server *server)
{
	struct client *c, *most = NULL;
	size_t sum = 0;

	for (c = TAILQ_FIRST(&server->clients); c; c = TAILQ_NEXT(c, next)) {
		size_t held = rpc_session_held(c->session);

		sum += held;
		if (!most || held > rpc_session_held(most->session))
			most = c;
	}
	server->trim |= sum > TRIM_AFTER;
	if (sum <= RPC_HELD_MAX)
		return;
	log_limited(&server->limit, LOG_INFO, NAME,
	    "clients hold more than %u MiB: the one that holds most is disconnected",
	    RPC_HELD_MAX >> 20);
	close_client(most);
}

static void visit(void *arg)
{
	struct client *c = arg;
	struct rpc_server *server = c->server;
	uint64_t start = clock_ns();
	int more;
	bool whole;
	size_t waits;

	if (start < server->rest_until_ns) {
		visit_later(c, (server->rest_until_ns - start) / 1000000 + 1);
		return;
	}
	more = serve(c, start);
	whole = write_some(c);
	/* Output that was taken lets requests be answered that had to wait for it. */
	if (more == 0 && whole)
		more = rpc_session_work(c->session);
	rpc_session_output(c->session, &waits);
	note_requests(c);
	if (more < 0 || !whole ||
	    (c->ended && more == 0 && waits == 0 && !rpc_session_waits(c->session))) {
		close_client(c);
		charge(server, NULL, start);
		return;
	}
	charge(server, &c->allowance, start);
	if (more)
		wait_for_turn(server, &c->work, &c->allowance);
	else
		arm(c);
	limit_memory(server);
}

static void on_client(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	(void)what;
	event_del(c->readable);
	event_del(c->writable);
	event_del(c->later);
	wait_for_turn(c->server, &c->work, &c->allowance);
}

/* An event was put into the output of a client. */
static void on_output(void *opaque)
{
	struct client *c = opaque;

	event_add(c->writable, NULL);
}

static void find_peer(struct client *c)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	/* syscalls: getsockopt accept4 */
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return;
	rpc_session_set_peer(c->session, &(struct rpc_peer){.pid = peer.pid, .uid = peer.uid});
	log_limited(&c->server->limit, LOG_INFO, NAME, "client connected: pid %d, uid %u, gid %u",
	    (int)peer.pid, peer.uid, peer.gid);
}

/* Without memory the client is disconnected. */
static void open_client(struct rpc_server *server, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c) {
		rpc_close_fd(fd);
		return;
	}
	c->server = server;
	c->fd = fd;
	c->work = (struct vhost_work){.take = visit, .arg = c};
	c->active_ms = c->taken_ms = clock_ms();
	c->readable = event_new(server->base, fd, EV_READ, on_client, c);
	c->writable = event_new(server->base, fd, EV_WRITE, on_client, c);
	c->later = evtimer_new(server->base, on_client, c);
	TAILQ_INSERT_TAIL(&server->clients, c, next);
	server->n_clients++;
	if (!c->readable || !c->writable || !c->later ||
	    rpc_session_open(server->rpc, c, &c->session) < 0 || event_add(c->readable, NULL) < 0)
		close_client(c);
	else
		find_peer(c);
}

/* Clients that are silent because they wait for events or an answer go last. */
static bool waits(const struct client *c)
{
	return rpc_session_subscribed(c->session) || rpc_session_waits(c->session);
}

static bool goes_before(const struct client *a, const struct client *b)
{
	bool b_waits = waits(b);

	return waits(a) != b_waits ? b_waits : a->active_ms < b->active_ms;
}

/* Disconnect the client that has been silent for longest. False: none has been silent. */
static bool make_room(struct rpc_server *server)
{
	struct client *c, *silent = NULL;
	int64_t latest = clock_ms() - RPC_SILENT_MS;

	for (c = TAILQ_FIRST(&server->clients); c; c = TAILQ_NEXT(c, next)) {
		if (c->active_ms <= latest && !rpc_session_is_worked_for(c->session) &&
		    (!silent || goes_before(c, silent)))
			silent = c;
	}
	if (!silent)
		return false;
	log_limited(&server->limit, LOG_INFO, NAME,
	    "more than %u clients: the one that was silent for longest is disconnected",
	    RPC_CLIENTS_MAX);
	close_client(silent);
	return true;
}

/* Accept a client a little later: there are too many, or no descriptor is free. */
static void rest(struct rpc_server *server)
{
	const struct timeval later = {.tv_usec = FULL_WAIT_MS * 1000L};

	event_add(server->again, &later);
}

/* May no client be accepted now? */
static bool must_rest(struct rpc_server *server)
{
	if (rpc_closing_full() ||
	    server->accept_due_ms - RPC_ACCEPT_BURST * RPC_ACCEPT_MS > clock_ms())
		return true;
	return server->n_clients == RPC_CLIENTS_MAX && !make_room(server);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct rpc_server *server = arg;

	(void)fd;
	(void)what;
	event_add(server->listen, NULL);
}

static void take_client(void *arg)
{
	struct rpc_server *server = arg;
	uint64_t start = clock_ns();
	bool none_free = false;
	int fd;

	if (must_rest(server)) {
		rest(server);
		return;
	}
	fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0) {
		server->accept_due_ms = MAX(server->accept_due_ms, clock_ms()) + RPC_ACCEPT_MS;
		open_client(server, fd);
	} else {
		none_free = errno != EAGAIN && errno != ECONNABORTED;
	}
	charge(server, NULL, start);
	if (none_free)
		rest(server);
	else
		event_add(server->listen, NULL);
}

static void on_listen(evutil_socket_t fd, short what, void *arg)
{
	struct rpc_server *server = arg;

	(void)fd;
	(void)what;
	wait_for_turn(server, &server->accept, NULL);
}

static bool is_stuck(struct client *c, int64_t now)
{
	size_t waits;

	rpc_session_output(c->session, &waits);
	if (waits == 0)
		c->taken_ms = now;
	return now - c->taken_ms >= RPC_STUCK_MS;
}

static void tell_flood(struct rpc_server *server)
{
	bool flooded = rpc_closing_full();

	if (flooded && !server->told_flood)
		log_limited(&server->limit, LOG_WARN, NAME,
		    "no request is read: %u descriptors that clients passed are not closed yet",
		    rpc_closing());
	server->told_flood = flooded;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct rpc_server *server = arg;
	struct client *c, *next;
	int64_t now = clock_ms();

	(void)fd;
	(void)what;
	log_limit_service(&server->limit, NAME);
	log_limit_service(&server->change_limit, NAME);
	tell_flood(server);
	for (c = TAILQ_FIRST(&server->clients); c; c = next) {
		next = TAILQ_NEXT(c, next);
		if (!is_stuck(c, now))
			continue; /* it takes its output, or there is none */
		log_limited(&server->limit, LOG_INFO, NAME,
		    "a client is disconnected: it has not read its answers for %u s",
		    RPC_STUCK_MS / 1000);
		close_client(c);
	}
}

static int events_start(struct rpc_server *server)
{
	const struct timeval second = {.tv_sec = 1};

	server->has_work_queue = true;
	if (vhost_work_open(server->base) < 0)
		return -ENOMEM;
	server->accept = (struct vhost_work){.take = take_client, .arg = server};
	server->listen = event_new(server->base, server->listener.fd, EV_READ, on_listen, server);
	server->again = evtimer_new(server->base, on_again, server);
	server->tick = event_new(server->base, -1, EV_PERSIST, on_tick, server);
	if (!server->listen || !server->again || !server->tick ||
	    event_add(server->listen, NULL) < 0 || event_add(server->tick, &second) < 0)
		return -ENOMEM;
	return 0;
}

int rpc_server_create(struct event_base *base, const char *path, const struct rpc_config *config,
    struct rpc_server **ret_server)
{
	const struct vhost_endpoint_config access = {.socket_mode = 0660, .owner = -1, .group = -1};
	struct rpc_server *server = calloc(1, sizeof(*server));
	struct rpc_config own = *config;
	int err = -ENOMEM;

	if (!server)
		return err;
	server->base = base;
	server->listener.fd = -1;
	TAILQ_INIT(&server->clients);
	own.output = on_output;
	server->path = strdup(path);
	if (server->path)
		err = rpc_create(&own, &server->rpc);
	if (!err)
		err = listener_open(&server->listener, server->path, &access);
	if (!err)
		err = events_start(server);
	if (err) {
		rpc_server_destroy(server);
		return err;
	}
	*ret_server = server;
	return 0;
}

static void destroy_events(struct rpc_server *server)
{
	struct event *const all[] = {server->listen, server->again, server->tick};

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i])
			event_free(all[i]);
}

void rpc_server_destroy(struct rpc_server *server)
{
	struct client *c, *next;

	if (!server)
		return;
	for (c = TAILQ_FIRST(&server->clients); c; c = next) {
		next = TAILQ_NEXT(c, next);
		write_some(c);
		close_client(c);
	}
	vhost_work_remove(&server->accept);
	destroy_events(server);
	if (server->has_work_queue)
		vhost_work_close();
	listener_close(&server->listener);
	rpc_destroy(server->rpc);
	free(server->path);
	free(server);
}

struct rpc *rpc_server_rpc(const struct rpc_server *server)
{
	return server->rpc;
}

struct log_limit *rpc_server_change_limit(struct rpc_server *server)
{
	return &server->change_limit;
}

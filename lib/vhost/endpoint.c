/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * An endpoint has at most four events on the loop: the listening socket, a timer, the session's
 * socket, and what is to be told in-band. Which of them are armed is its whole state:
 *
 *	server or listening fd	waiting: listener.	connected: session.
 *	client			waiting: timer (next attempt).	connected: session.
 *	connected fd		at first: timer (due at once).	then: session; then nothing.
 *
 * While a front-end is connected the listener is not armed, so the next one waits in the
 * backlog. A system out of descriptors keeps a listener readable for ever: it is disarmed for
 * a while and the timer arms it again.
 *
 * A socket file outlives the process that made it. Whether one found at our path is dead is
 * asked by connecting: refused means that nobody listens, and only then it is replaced. At the
 * end the file is removed only if it is the one we made.
 */
#include "vhost/endpoint.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "vhost/inband.h"
#include "vhost/session.h"

#define BACKLOG         16
#define RETRY_MIN_MS    100
#define RETRY_MAX_MS    2000
#define ACCEPT_WAIT_MS  1000
#define INBAND_RETRY_US 5000

struct vhost_endpoint {
	struct event_base *base;
	struct vhost_device *dev;
	enum vhost_endpoint_mode mode;
	char *path;
	void (*connection_changed)(struct vhost_device *dev, bool connected);

	int listen_fd;
	struct event *listen_event;
	bool bound; /* to the file named by the next two */
	dev_t file_dev;
	ino_t file_ino;

	struct event *timer;
	unsigned retry_ms;   /* client: wait before the next attempt */
	int connect_failure; /* client: errno of the last attempt, said once */
	int given_fd;        /* connected fd that the timer will turn into a session */

	struct vhost_session *session;
	struct event *session_event;
	struct event *inband_event, *inband_retry;
};

static void wait_ms(struct vhost_endpoint *ep, unsigned ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_add(ep->timer, &tv);
}

/* Look for the next front-end. */
static void wait_for_frontend(struct vhost_endpoint *ep)
{
	if (ep->listen_event)
		event_add(ep->listen_event, NULL);
	else if (ep->mode == VHOST_ENDPOINT_CLIENT)
		wait_ms(ep, ep->retry_ms);
}

static void close_session(struct vhost_endpoint *ep)
{
	if (ep->session_event)
		event_free(ep->session_event);
	if (ep->inband_event)
		event_free(ep->inband_event);
	if (ep->inband_retry)
		event_free(ep->inband_retry);
	ep->session_event = ep->inband_event = ep->inband_retry = NULL;
	session_destroy(ep->session);
	ep->session = NULL;
	vhost_device_reset(ep->dev);
}

/* The front-end has gone, or has to go. */
static void end_session(struct vhost_endpoint *ep, const char *how)
{
	close_session(ep);
	log_info("%s: front-end %s", ep->path, how);
	wait_for_frontend(ep);
	if (ep->connection_changed)
		ep->connection_changed(ep->dev, false);
}

/* What cannot be told now, because the front-end does not read, must not keep the loop busy. */
static void on_inband(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval later = {.tv_usec = INBAND_RETRY_US};
	struct vhost_endpoint *ep = arg;

	(void)fd;
	if ((what & EV_READ) && vhost_inband_service(ep->dev) == -EAGAIN)
		event_add(ep->inband_retry, &later);
	else
		event_add(ep->inband_event, NULL);
}

static void watch_inband(struct vhost_endpoint *ep)
{
	ep->inband_event = event_new(ep->base, vhost_inband_fd(ep->dev), EV_READ, on_inband, ep);
	ep->inband_retry = evtimer_new(ep->base, on_inband, ep);
	if (!ep->inband_event || !ep->inband_retry || event_add(ep->inband_event, NULL) < 0)
		log_error("%s: no memory to notify in-band", ep->path);
}

static void on_session(evutil_socket_t fd, short what, void *arg)
{
	struct vhost_endpoint *ep = arg;
	int error = session_receive(ep->session);

	(void)fd;
	(void)what;
	if (error)
		end_session(ep, error == -EPIPE ? "disconnected" : "dropped");
	else if (!ep->inband_event && vhost_inband_fd(ep->dev) >= 0)
		watch_inband(ep);
}

/* Serve the front-end at the other end of fd. */
static void open_session(struct vhost_endpoint *ep, int fd)
{
	int error = session_create(fd, ep->dev, &ep->session);

	if (!error) {
		ep->session_event = event_new(ep->base, fd, EV_READ | EV_PERSIST, on_session, ep);
		if (!ep->session_event || event_add(ep->session_event, NULL) < 0)
			error = -ENOMEM;
	}
	if (error) {
		log_error("%s: cannot serve the front-end: %s", ep->path, strerror(-error));
		close_session(ep);
		wait_for_frontend(ep);
		return;
	}
	log_info("%s: front-end connected", ep->path);
	if (ep->connection_changed)
		ep->connection_changed(ep->dev, true);
}

static void on_listener(evutil_socket_t fd, short what, void *arg)
{
	struct vhost_endpoint *ep = arg;
	/* syscalls: accept4 socket connect getsockopt */
	int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (accepted >= 0) {
		event_del(ep->listen_event);
		open_session(ep, accepted);
		return;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	log_error("%s: cannot accept a front-end: %s", ep->path, strerror(errno));
	event_del(ep->listen_event);
	wait_ms(ep, ACCEPT_WAIT_MS);
}

/* sun_path of a path that fits. -EINVAL, -ENAMETOOLONG. */
static int make_address(const char *path, struct sockaddr_un *ret_address)
{
	size_t n = strlen(path);

	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (n == 0)
		return -EINVAL;
	if (n >= sizeof(ret_address->sun_path))
		return -ENAMETOOLONG;
	memcpy(ret_address->sun_path, path, n + 1);
	return 0;
}

static int create_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* A connected socket or a negative errno. On a local socket this never takes time. */
static int connect_to(const char *path)
{
	struct sockaddr_un address;
	int error = make_address(path, &address);
	int fd = error ? error : create_socket();

	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

static void try_connect(struct vhost_endpoint *ep)
{
	int fd = connect_to(ep->path);

	if (fd >= 0) {
		ep->retry_ms = RETRY_MIN_MS;
		ep->connect_failure = 0;
		open_session(ep, fd);
		return;
	}
	if (ep->connect_failure != fd)
		log_info("%s: cannot connect yet: %s; trying again", ep->path, strerror(-fd));
	ep->connect_failure = fd;
	wait_ms(ep, ep->retry_ms);
	ep->retry_ms = MIN(ep->retry_ms * 2, RETRY_MAX_MS);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct vhost_endpoint *ep = arg;
	int given = ep->given_fd;

	(void)fd;
	(void)what;
	if (given >= 0) {
		ep->given_fd = -1;
		open_session(ep, given);
	} else if (ep->listen_event) {
		event_add(ep->listen_event, NULL);
	} else if (ep->mode == VHOST_ENDPOINT_CLIENT) {
		try_connect(ep);
	}
}

/* Make the path free to bind: whatever is there must be a socket that nobody listens on. */
static int clear_path(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = connect_to(path);
	if (fd >= 0)
		close(fd);
	/* Backlog full, another socket type: somebody is there. */
	if (fd >= 0 || fd == -EAGAIN || fd == -EPROTOTYPE)
		return -EADDRINUSE;
	if (fd == -ENOENT)
		return 0;
	if (fd != -ECONNREFUSED)
		return fd;
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	log_info("%s: removed a stale socket", path);
	return 0;
}

/* Owner and permissions; nobody can connect before listen(). */
static int protect_file(const struct vhost_endpoint_config *config)
{
	uid_t no_owner = -1;
	gid_t no_group = -1;

	if ((config->owner != no_owner || config->group != no_group) &&
	    lchown(config->path, config->owner, config->group) < 0)
		return -errno;
	if (config->socket_mode >= 0 && chmod(config->path, config->socket_mode) < 0)
		return -errno;
	return 0;
}

static int bind_path(struct vhost_endpoint *ep, const struct vhost_endpoint_config *config)
{
	struct sockaddr_un address;
	struct stat st;
	int error = make_address(ep->path, &address);

	if (!error)
		error = clear_path(ep->path);
	if (error)
		return error;
	ep->listen_fd = create_socket();
	if (ep->listen_fd < 0)
		return ep->listen_fd;
	if (bind(ep->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if (lstat(ep->path, &st) < 0)
		return -errno;
	ep->bound = true;
	ep->file_dev = st.st_dev;
	ep->file_ino = st.st_ino;
	error = protect_file(config);
	if (error)
		return error;
	return listen(ep->listen_fd, BACKLOG) < 0 ? -errno : 0;
}

static int start_listening(struct vhost_endpoint *ep)
{
	ep->listen_event =
	    event_new(ep->base, ep->listen_fd, EV_READ | EV_PERSIST, on_listener, ep);
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
		ep->listen_fd = fd;
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
		error = bind_path(ep, config);
		return error ? error : start_listening(ep);
	case VHOST_ENDPOINT_CLIENT:
		error = make_address(ep->path, &address);
		if (!error)
			wait_ms(ep, 0);
		return error;
	case VHOST_ENDPOINT_FD:
		return take_given_fd(ep, config->fd);
	}
	return -EINVAL;
}

static const char *error_text(int error)
{
	switch (error) {
	case -EADDRINUSE:
		return "another process is listening there";
	case -EEXIST:
		return "there is a file that is not a socket";
	case -ENAMETOOLONG:
		return "the path is too long for a socket";
	default:
		return strerror(-error);
	}
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
	ep->listen_fd = -1;
	ep->given_fd = config->mode == VHOST_ENDPOINT_FD ? config->fd : -1;
	ep->retry_ms = RETRY_MIN_MS;
	ep->path = strdup(config->path);
	ep->timer = evtimer_new(base, on_timer, ep);
	return ep;
}

int vhost_endpoint_create(struct event_base *base, const struct vhost_endpoint_config *config,
    struct vhost_device *dev, struct vhost_endpoint **ret_endpoint)
{
	struct vhost_endpoint *ep = endpoint_alloc(base, config, dev);
	int error = ep && ep->path && ep->timer ? start(ep, config) : -ENOMEM;

	if (error) {
		log_error("%s: cannot %s: %s", config->path,
		    config->mode == VHOST_ENDPOINT_SERVER ? "listen" : "start", error_text(error));
		if (!ep && config->mode == VHOST_ENDPOINT_FD && config->fd >= 0)
			close(config->fd);
		vhost_endpoint_destroy(ep);
		return error;
	}
	*ret_endpoint = ep;
	return 0;
}

static void remove_file(const struct vhost_endpoint *ep)
{
	struct stat st;

	/* syscalls: lstat newfstatat unlink close */
	if (ep->bound && lstat(ep->path, &st) == 0 && st.st_dev == ep->file_dev &&
	    st.st_ino == ep->file_ino)
		unlink(ep->path);
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
	remove_file(ep);
	if (ep->listen_fd >= 0)
		close(ep->listen_fd);
	if (ep->given_fd >= 0)
		close(ep->given_fd);
	if (connected && ep->connection_changed)
		ep->connection_changed(ep->dev, false);
	free(ep->path);
	free(ep);
}

bool vhost_endpoint_connected(const struct vhost_endpoint *ep)
{
	return ep->session != NULL;
}

void vhost_endpoint_drop(struct vhost_endpoint *ep)
{
	if (ep->session)
		end_session(ep, "dropped");
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * What comes is kept in a buffer, which begins with the next line and grows up to the longest line
 * that is taken. An answer has a time by which it must have come, whatever comes before it. A
 * signal handler ends a wait by shutting down the connection.
 */
#include "talk.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"

#define DEFAULT_PATH "/run/vswitch/control.sock"
#define TIMEOUT_S    10
#define PART_BYTES   ((size_t)64 << 10)

struct talk {
	int fd;
	json_int_t id;
	uint64_t received;
	char *in; /* n bytes in room ones, which begin with the next line */
	size_t n, room;
};

/* For talk_interrupt(): the descriptor of the connection, or -1, and whether it was called. */
static volatile sig_atomic_t current = -1, interrupted;

/*
 * A signal can come just before a call that waits. So it is not enough that it ends a call: the
 * connection must end, too.
 */
void talk_interrupt(void)
{
	interrupted = 1;
	if (current >= 0)
		shutdown(current, SHUT_RDWR);
}

const char *talk_default_path(void)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
	const char *path = getenv("VSWITCH_CONTROL");

	return path && *path ? path : DEFAULT_PATH;
}

static void set_timeout(int fd, time_t seconds)
{
	const struct timeval limit = {.tv_sec = seconds};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	set_timeout(fd, TIMEOUT_S);
	interrupted = 0;
	current = fd;
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	current = -1;
	close(fd);
	return -1;
}

struct talk *talk_open(const char *path)
{
	struct talk *talk = calloc(1, sizeof(*talk));

	if (!talk)
		return NULL;
	talk->fd = connect_to(path);
	if (talk->fd < 0) {
		free(talk);
		return NULL;
	}
	return talk;
}

void talk_close(struct talk *talk)
{
	if (!talk)
		return;
	current = -1;
	close(talk->fd);
	free(talk->in);
	free(talk);
}

bool talk_alive(const struct talk *talk)
{
	char byte;
	ssize_t n = recv(talk->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n > 0 || (n < 0 && errno == EAGAIN);
}

static int send_json(const struct talk *talk, const json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);
	size_t n = text ? strlen(text) : 0;
	int err = text ? 0 : -ENOMEM;

	if (text)
		text[n++] = '\n'; /* instead of the null byte */
	for (size_t at = 0; !err && at < n;) {
		ssize_t sent = send(talk->fd, text + at, n - at, MSG_NOSIGNAL);

		if (sent < 0 && (errno != EINTR || interrupted))
			err = -errno;
		at += sent > 0 ? (size_t)sent : 0;
	}
	free(text);
	return err;
}

/* Room for the next part of a line. 0 or errno. */
static int make_room(struct talk *talk)
{
	size_t room = MIN(MAX(2 * talk->room, PART_BYTES), (size_t)TALK_LINE_MAX);
	char *in;

	if (talk->n < talk->room)
		return 0;
	if (talk->n >= TALK_LINE_MAX)
		return EMSGSIZE;
	in = realloc(talk->in, room);
	if (!in)
		return ENOMEM;
	talk->in = in;
	talk->room = room;
	return 0;
}

/* Receive some bytes. Negative: errno says why; 0: the connection has ended. */
static ssize_t receive_part(struct talk *talk, int64_t end_ns)
{
	ssize_t n;

	errno = make_room(talk);
	if (!errno && clock_ns() > end_ns)
		errno = EAGAIN;
	if (errno)
		return -1;
	n = recv(talk->fd, talk->in + talk->n, MIN(talk->room - talk->n, PART_BYTES), 0);
	if (n > 0) {
		talk->n += (size_t)n;
		talk->received += (size_t)n;
	}
	return n;
}

static json_t *take_line(struct talk *talk, size_t n)
{
	json_t *json = json_loadb(talk->in, n, 0, NULL);

	talk->n -= n;
	memmove(talk->in, talk->in + n, talk->n);
	errno = json ? 0 : EPROTO;
	return json;
}

/* NULL: errno says why; 0: the connection has ended. */
static json_t *receive(struct talk *talk, int64_t end_ns)
{
	const char *end = talk->n ? memchr(talk->in, '\n', talk->n) : NULL;

	while (!end) {
		size_t seen = talk->n;
		ssize_t n = receive_part(talk, end_ns);

		if (n == 0)
			errno = 0;
		if (n <= 0)
			return NULL;
		end = memchr(talk->in + seen, '\n', (size_t)n);
	}
	if (clock_ns() > end_ns) {
		errno = EAGAIN;
		return NULL;
	}
	return take_line(talk, (size_t)(end - talk->in) + 1);
}

json_t *talk_call(struct talk *talk, const char *method, const json_t *params, json_t **ret_error)
{
	json_t *request = json_pack("{s:s, s:I, s:s, s:O}", "jsonrpc", "2.0", "id", ++talk->id,
	    "method", method, "params", params);
	json_t *answer = NULL, *result;
	int64_t end_ns = clock_ns() + TIMEOUT_S * INT64_C(1000000000);
	int err = send_json(talk, request);

	json_decref(request);
	*ret_error = NULL;
	while (!err && (answer = receive(talk, end_ns)) && !json_object_get(answer, "id"))
		json_decref(answer); /* an event */
	if (!err && !answer)
		err = -errno;
	result = json_incref(json_object_get(answer, "result"));
	if (!result)
		*ret_error = json_incref(json_object_get(answer, "error"));
	json_decref(answer);
	errno = err == -EPIPE || err == -ECONNRESET ? 0 : -err;
	if (!result && interrupted)
		errno = EINTR;
	return result;
}

uint64_t talk_received(const struct talk *talk)
{
	return talk->received;
}

json_t *talk_event(struct talk *talk)
{
	json_t *line, *event;

	set_timeout(talk->fd, 0);
	line = receive(talk, INT64_MAX);
	event = interrupted ? NULL : json_incref(json_object_get(line, "params"));
	json_decref(line);
	if (interrupted)
		errno = EINTR;
	return event;
}

/* SPDX-License-Identifier: BSD-3-Clause */
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

#define DEFAULT_PATH "/run/vswitch/control.sock"
#define TIMEOUT_S    10

struct talk {
	FILE *in;
	int fd;
	json_int_t id;
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
	talk->in = talk->fd < 0 ? NULL : fdopen(talk->fd, "r");
	if (!talk->in) {
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
	fclose(talk->in);
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

/* NULL: errno says why; 0: the connection has ended. */
static json_t *receive(struct talk *talk)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	json_t *json = NULL;
	int error = 0;

	errno = 0;
	n = getline(&line, &room, talk->in);
	if (n > 0 && line[n - 1] == '\n') {
		json = json_loadb(line, (size_t)n, 0, NULL);
		error = EPROTO;
	} else if (!feof(talk->in)) {
		error = errno;
	}
	free(line);
	errno = json ? 0 : error;
	return json;
}

json_t *talk_call(struct talk *talk, const char *method, const json_t *params, json_t **ret_error)
{
	json_t *request = json_pack("{s:s, s:I, s:s, s:O}", "jsonrpc", "2.0", "id", ++talk->id,
	    "method", method, "params", params);
	json_t *answer = NULL, *result;
	int err = send_json(talk, request);

	json_decref(request);
	*ret_error = NULL;
	while (!err && (answer = receive(talk)) && !json_object_get(answer, "id"))
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

json_t *talk_event(struct talk *talk)
{
	json_t *line, *event;

	set_timeout(talk->fd, 0);
	line = receive(talk);
	event = interrupted ? NULL : json_incref(json_object_get(line, "params"));
	json_decref(line);
	if (interrupted)
		errno = EINTR;
	return event;
}

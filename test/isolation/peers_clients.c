/* SPDX-License-Identifier: BSD-3-Clause */
/* Clients of the control socket that send nonsense, ask too much, or do not read. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"
#include "peer.h"

#define CLIENTS     100
#define REQUESTS    100
#define SUBSCRIBERS 60
#define PREPARED    80

#define REQUEST(method) "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"" method "\"}"

static int join(struct peer_world *w, int flags)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/control.sock", w->dir);
	if (fd < 0)
		peer_fail(w, "a socket", -errno);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != EAGAIN)
		peer_fail(w, "the control socket", -errno);
	return fd;
}

/* A batch of requests, and its length. */
static size_t batch(char *text, const char *request)
{
	size_t n = 0;

	for (unsigned i = 0; i < REQUESTS; i++)
		n += (size_t)sprintf(text + n, "%c%s", i ? ',' : '[', request);
	return n + (size_t)sprintf(text + n, "]\n");
}

/* Send what the socket takes. False: the connection has ended. */
static bool send_some(int fd, const char *text, size_t n, size_t *at)
{
	ssize_t sent = send(fd, text + *at, n - *at, MSG_DONTWAIT | MSG_NOSIGNAL);

	*at += sent > 0 ? (size_t)sent : 0;
	return sent >= 0 || errno == EAGAIN;
}

/* Send the text again and again, and read answers; on a new connection if the old one has ended. */
static void repeat(struct peer_world *w, const char *text, size_t n)
{
	static char answer[1 << 20];
	int fd = join(w, 0);
	size_t at = 0;

	peer_attacks(w);
	for (;;) {
		if (!send_some(fd, text, n, &at)) {
			close(fd);
			fd = join(w, 0);
			at = 0;
		}
		while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
			;
		if (at == n) {
			at = 0;
			peer_step(w);
		} else {
			usleep(20);
		}
	}
}

void peer_control_garbage(struct peer_world *w)
{
	static char text[450000];
	size_t n = 0;

	/* A line that is too long, one that is too deep, one with too many values, and nonsense. */
	memset(text, 'x', 300000);
	n = 300000;
	text[n++] = '\n';
	memset(text + n, '[', 1000);
	n += 1000;
	text[n++] = '\n';
	for (unsigned i = 0; i < 40000; i++) {
		text[n++] = i ? ',' : '[';
		text[n++] = '0';
	}
	n += (size_t)sprintf(text + n, "]\n{\"a\": 1, \"a\": 2}\n\xff\xfe\n{}\n[]\nnull\n");
	/* A number that is too large, one with 1,000 digits, and a batch of 10,000. */
	n += (size_t)sprintf(text + n, "1e999\n");
	memset(text + n, '9', 1000);
	n += 1000;
	n += (size_t)sprintf(text + n, "\n[");
	for (unsigned i = 0; i < 10000; i++)
		n += (size_t)sprintf(text + n, "%s{}", i ? "," : "");
	n += (size_t)sprintf(text + n, "]\n");
	repeat(w, text, n);
}

/* Each request is wrong in another way, so each has an error with a text of its own. */
void peer_control_wrong(struct peer_world *w)
{
	static const char *const wrong[] = {
	    "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"port.lits\"}",
	    "{\"jsonrpc\": \"2.0\", \"id\": {}, \"method\": \"version\"}",
	    "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"fdb.list\", \"params\": "
	    "{\"limit\": 99999999999999}}",
	    "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"port.add\", \"params\": "
	    "{\"name\": \"n\", \"sokcet\": \"/n\"}}",
	    "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"port.add\", \"params\": "
	    "{\"name\": \"n\", \"socket\": \"/n\", \"offer\": \"all,-nothing\"}}",
	};
	static char text[300 * REQUESTS];
	size_t n = 0;

	for (unsigned i = 0; i < REQUESTS; i++)
		n += (size_t)sprintf(text + n, "%c%s", i ? ',' : '[', wrong[i % ARRAY_SIZE(wrong)]);
	n += (size_t)sprintf(text + n, "]\n");
	repeat(w, text, n);
}

void peer_control_questions(struct peer_world *w)
{
	static char text[100 * REQUESTS];

	repeat(w, text, batch(text, REQUEST("schema.get")));
}

void peer_control_addresses(struct peer_world *w)
{
	static const char text[] = REQUEST("fdb.list") "\n" REQUEST("port.list") "\n";

	repeat(w, text, strlen(text));
}

void peer_control_connections(struct peer_world *w)
{
	static const char text[] = REQUEST("version") "\n";

	peer_attacks(w);
	for (;;) {
		int fd = join(w, SOCK_NONBLOCK);

		send(fd, text, strlen(text), MSG_NOSIGNAL);
		close(fd);
		peer_step(w);
	}
}

/* Half of them send half a line, the others do not read the answers to a batch. */
void peer_control_crowd(struct peer_world *w)
{
	static char text[100 * REQUESTS];
	size_t n = batch(text, REQUEST("schema.get"));
	int fd[CLIENTS];

	for (unsigned i = 0; i < CLIENTS; i++)
		fd[i] = -1;
	peer_attacks(w);
	for (unsigned i = 0;; i = (i + 1) % CLIENTS) {
		if (fd[i] >= 0)
			close(fd[i]);
		fd[i] = join(w, SOCK_NONBLOCK);
		send(fd[i], text, i % 2 ? n : n / 2, MSG_NOSIGNAL);
		peer_nap(w);
	}
}

/* Clients that send a byte of a line now and then, for ever. The line has no end. */
void peer_control_half_lines(struct peer_world *w)
{
	int fd[CLIENTS];

	for (unsigned i = 0; i < CLIENTS; i++)
		fd[i] = join(w, SOCK_NONBLOCK);
	peer_attacks(w);
	for (unsigned i = 0;; i = (i + 1) % CLIENTS) {
		if (send(fd[i], "[", 1, MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
			close(fd[i]);
			fd[i] = join(w, SOCK_NONBLOCK);
		}
		peer_nap(w);
	}
}

/* The most bytes of a port in a configuration, and of what is before and behind the ports. */
#define PIECE 200

/* A request with a configuration of n ports. The text has room for n + 2 pieces. */
static size_t configuration(char *text, unsigned n, const char *directory)
{
	size_t at = (size_t)snprintf(text, PIECE,
	    "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"config.apply\", \"params\": "
	    "{\"config\": "
	    "{\"ports\": [");

	for (unsigned i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, PIECE,
		    "%s{\"name\": \"n%u\", \"socket\": \"%s/n%u.sock\"}", i ? "," : "", i,
		    directory, i);
	return at + (size_t)snprintf(text + at, PIECE, "]}}}\n");
}

/* The same in the switch's directory. All ports but the last one can be added: a file is there. */
static size_t half_wrong(struct peer_world *w, char *text, unsigned n)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%.90s/n%u.sock", w->dir, n - 1);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	if (fd < 0)
		peer_fail(w, "a file", -errno);
	close(fd);
	return configuration(text, n, w->dir);
}

/*
 * Subscribers that do not read, and a client that causes events. A configuration that fails adds
 * ports and removes them again, so none stays when the peer is killed.
 */
void peer_control_subscribers(struct peer_world *w)
{
	static const char subscribe[] = REQUEST("subscribe") "\n";
	static char text[10000];
	size_t n = half_wrong(w, text, 20);

	for (unsigned i = 0; i < SUBSCRIBERS; i++)
		send(join(w, SOCK_NONBLOCK), subscribe, strlen(subscribe), MSG_NOSIGNAL);
	repeat(w, text, n);
}

/*
 * All are wrong in a way that is found before anything is done; then all but the last one can be
 * prepared.
 */
void peer_control_configurations(struct peer_world *w)
{
	static char text[600000];
	size_t n = configuration(text, 1024, "relative");

	n += configuration(text + n, 1024, "/nowhere/at/all");
	n += half_wrong(w, text + n, PREPARED);
	repeat(w, text, n);
}

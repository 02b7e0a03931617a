/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Moves are in memory that the control thread shares with the closers. The mover is the closer
 * (closer.h) or the thread that runs a move. Until the move has `ended`, only the mover accesses
 * the bytes and the result. Every TICK_MS the mover checks whether the control thread has set
 * `asked` or `gone`.
 *
 * If poll() says that a pipe is ready, one write of a page or one read usually does not wait. The
 * call does wait if another user of the pipe was faster; then a timer of the closer interrupts the
 * call.
 *
 * A read or write also wakes all processes that watch the pipe, which takes CPU time if they are
 * many. So a mover that used much CPU time rests before it sets `ended`.
 */
#include "base/mover.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/closer.h"
#include "base/errand.h"
#include "base/util.h"

#define TICK_MS 10
/* If the calls took more than SLOW_NS of CPU time, the mover rests REST times as long. */
#define REST        4
#define REST_MAX_NS INT64_C(500000000)
#define SLOW_NS     INT64_C(1000000)

struct move {
	/* Used by the control thread only. */
	bool used;
	unsigned owner;
	int64_t until_ms; /* when the control thread stops waiting; 0: it does not wait yet */
	/* Written by the control thread, before the move begins or atomically. */
	int fd; /* used only if a thread runs the move */
	bool reads;
	bool some;  /* read len bytes, not all bytes up to the end */
	size_t len; /* bytes to be written, or to be read if `some` */
	atomic_bool asked, gone;
	/* Written by the mover. */
	ssize_t result;
	atomic_bool ended;
	uint8_t bytes[MOVE_BYTES_MAX];
};

static struct move *moves;

static void rest_ns(int64_t ns)
{
	struct timespec left = {ns / 1000000000, ns % 1000000000};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		; /* interrupted by the closer's timer */
}

static size_t room(const struct move *m)
{
	return m->some ? m->len : sizeof(m->bytes);
}

/* Is there a next part of the move? A read of all bytes does not know their number in advance. */
static bool goes_on(const struct move *m, size_t done)
{
	return done < m->len || (m->reads && !m->some);
}

/* Move the next part, after the first `done` bytes. Returns its length; 0: the end of fd. */
static ssize_t move_part(struct move *m, int fd, size_t done)
{
	uint8_t beyond;
	ssize_t n;

	/* syscalls(closer): poll read write clock_gettime nanosleep clock_nanosleep */
	if (!m->reads)
		return write(fd, m->bytes + done, MIN(m->len - done, (size_t)PIPE_BUF));
	if (done < room(m))
		return read(fd, m->bytes + done, room(m) - done);
	n = read(fd, &beyond, 1);
	if (n > 0)
		errno = E2BIG;
	return n > 0 ? -1 : n;
}

static ssize_t move_all(struct move *m, int fd)
{
	struct pollfd wait = {.fd = fd, .events = m->reads ? POLLIN : POLLOUT};
	size_t done = 0;

	while (!atomic_load(&m->gone) && goes_on(m, done)) {
		/* Read `asked` before poll(), so that poll() sees what came before `asked`. */
		bool last = atomic_load(&m->asked);
		int ready = poll(&wait, 1, last ? 0 : TICK_MS);
		ssize_t n;

		if (ready == 0 && last)
			return -EIO; /* the other side has done its part: nothing more will come */
		if (ready <= 0)
			continue; /* not yet */
		n = move_part(m, fd, done);
		if (n < 0 && errno == E2BIG)
			return -E2BIG;
		if (n < 0 && (last || (errno != EINTR && errno != EAGAIN)))
			return -EIO;
		if (n < 0)
			rest_ns(TICK_MS * 1000000L); /* another user of the pipe was faster */
		else if (n == 0)
			break;
		else
			done += n;
	}
	return done;
}

static void run(int fd, void *arg)
{
	struct move *m = arg;
	int64_t used = clock_read(CLOCK_THREAD_CPUTIME_ID);

	m->result = move_all(m, fd);
	used = clock_read(CLOCK_THREAD_CPUTIME_ID) - used;
	if (used > SLOW_NS)
		rest_ns(MIN(used * REST, REST_MAX_NS));
	atomic_store(&m->ended, true);
}

static void errand(void *arg)
{
	struct move *m = arg;
	int fd = m->fd;

	run(fd, m); /* after this m may be in use for another move */
	close(fd);
}

int movers_prepare(void)
{
	void *shared = mmap(NULL, MOVES_MAX * sizeof(struct move), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (shared == MAP_FAILED)
		return -errno;
	moves = shared;
	return 0;
}

/* Let a closer run the move, or a thread if there are no closers. */
static int run_soon(struct move *m, int fd)
{
	if (closer_running() && !closer_lost())
		return closer_run(m->owner, fd, run, m) ? 0 : -ENOBUFS;
	m->fd = fd;
	return errand_run(errand, m);
}

static bool is_free(struct move *m)
{
	if (m->used && atomic_load(&m->gone) && atomic_load(&m->ended))
		m->used = false;
	return !m->used;
}

/* The owner's move of this kind that has not ended or has not been forgotten. */
static struct move *find(unsigned owner, bool some)
{
	for (unsigned i = 0; moves && i < MOVES_MAX; i++) {
		if (!is_free(&moves[i]) && moves[i].owner == owner && moves[i].some == some)
			return &moves[i];
	}
	return NULL;
}

static struct move *find_free(void)
{
	if (!moves && (closer_running() || movers_prepare() < 0))
		return NULL;
	for (unsigned i = 0; i < MOVES_MAX; i++) {
		if (is_free(&moves[i]))
			return &moves[i];
	}
	return NULL;
}

static int claim(unsigned owner, bool some, struct move **ret_move)
{
	bool busy = find(owner, some) != NULL;
	struct move *m = busy ? NULL : find_free();

	if (!m)
		return busy ? -EBUSY : -ENOBUFS;
	m->used = true;
	m->owner = owner;
	m->until_ms = 0;
	m->some = some;
	m->reads = false;
	m->len = 0;
	atomic_store(&m->asked, false);
	atomic_store(&m->gone, false);
	atomic_store(&m->ended, false);
	*ret_move = m;
	return 0;
}

static int begin(struct move *m, int fd, struct move **ret_move)
{
	int error = run_soon(m, fd);

	m->used = !error;
	if (!error)
		*ret_move = m;
	return error;
}

int move_begin_write(unsigned owner, int fd, const void *bytes, size_t len, struct move **ret_move)
{
	struct move *m;
	int error = len > MOVE_BYTES_MAX ? -E2BIG : claim(owner, false, &m);

	if (error)
		return error;
	m->len = len;
	if (len)
		memcpy(m->bytes, bytes, len);
	return begin(m, fd, ret_move);
}

int move_begin_read(unsigned owner, int fd, struct move **ret_move)
{
	struct move *m;
	int error = claim(owner, false, &m);

	if (error)
		return error;
	m->reads = true;
	return begin(m, fd, ret_move);
}

int move_begin_read_some(unsigned owner, int fd, size_t len, struct move **ret_move)
{
	struct move *m;
	int error = len > MOVE_BYTES_MAX ? -E2BIG : claim(owner, true, &m);

	if (error)
		return error;
	m->reads = true;
	m->len = len;
	return begin(m, fd, ret_move);
}

bool move_has_ended(const struct move *m)
{
	return atomic_load(&m->ended);
}

bool move_waits(struct move *m)
{
	if (atomic_load(&m->ended))
		return false;
	atomic_store(&m->asked, true);
	if (!m->until_ms)
		m->until_ms = clock_ms() + MOVE_WAIT_MS;
	return clock_ms() < m->until_ms;
}

bool move_hinders(unsigned owner)
{
	struct move *m = find(owner, false);

	return m && move_waits(m);
}

ssize_t move_result(struct move *m, const uint8_t **ret_bytes)
{
	*ret_bytes = m->bytes;
	if (!atomic_load(&m->ended))
		return -ETIMEDOUT;
	return m->result >= 0 && !m->reads && (size_t)m->result < m->len ? -EIO : m->result;
}

void move_forget(struct move *m)
{
	atomic_store(&m->gone, true);
}

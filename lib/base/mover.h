/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Move some bytes between memory and a pipe or socket of a front-end. The front-end can make each
 * call on the pipe or socket take any time.
 *
 * A call on a pipe, and a read from a socket, waits for a lock in the kernel, even if the
 * descriptor is non-blocking. Other users of the pipe or socket may hold the lock for ever, and a
 * thread that waits for it cannot be killed. So a closer (closer.h), which is another process,
 * moves the bytes. If there are no closers, for example in tests, a thread does it. Each owner has
 * at most one move of all bytes and one of some bytes that have not ended, including moves that
 * the control thread gave up.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The largest number of bytes of a move. */
#define MOVE_BYTES_MAX (48 << 10)
/* The largest number of moves at the same time, of all owners together. */
#define MOVES_MAX 64
/* An owner waits at most this long for the end of a move. */
#define MOVE_WAIT_MS 2000

struct move;

/* Call this once, before closer_start(). 0 or a negative errno. */
int movers_prepare(void);

/*
 * Begin to write len bytes to fd, to read all bytes up to the end of fd, or to read some: len
 * bytes. fd is closed when the move ends. On failure the caller still owns fd. -EBUSY: the owner
 * has a move of this kind that has not ended; -ENOBUFS: all owners together have too many moves;
 * -E2BIG: len is above MOVE_BYTES_MAX; -ENOMEM.
 */
int move_begin_write(unsigned owner, int fd, const void *bytes, size_t len, struct move **ret_move);
int move_begin_read(unsigned owner, int fd, struct move **ret_move);
int move_begin_read_some(unsigned owner, int fd, size_t len, struct move **ret_move);

/* Is the result known? Unlike move_waits() this does not tell the move to hurry. */
bool move_has_ended(const struct move *move);

/*
 * Tell the move that the other side has done its part, so the move ends when no more bytes can be
 * moved at once. True: the result is not known yet, call this again soon. It returns true for at
 * most MOVE_WAIT_MS.
 */
bool move_waits(struct move *move);

/*
 * move_waits() for the move of all bytes that the owner gave up. False: there is no such move, or
 * it has ended.
 */
bool move_hinders(unsigned owner);

/*
 * How many bytes were moved. Bytes that were read are at *ret_bytes until move_forget(). -EIO: not
 * all bytes were moved; -E2BIG: there were more than MOVE_BYTES_MAX bytes to read; -ETIMEDOUT: the
 * move has not ended.
 */
ssize_t move_result(struct move *move, const uint8_t **ret_bytes);

/* Give the move up or release it. It ends soon, unless a call on the pipe hangs. */
void move_forget(struct move *move);

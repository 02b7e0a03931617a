/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moving some bytes between memory and a pipe or socket of a front-end, which can make each call on
 * it take as long as it likes.
 *
 * A call on a pipe, and a read from a socket, waits for a lock in the kernel, also if the
 * descriptor is non-blocking. The lock is held by others of its users, possibly for ever, and a
 * thread that waits for it cannot be killed. So a closer (closer.h), a process of its own, moves
 * the bytes; in tests without closers a thread does. An owner has at most one move that has not
 * ended, also after it was given up.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Most bytes of a move. */
#define MOVE_BYTES_MAX (48 << 10)
/* Most moves at the same time, of all owners. */
#define MOVES_MAX 64
/* An owner waits so long for the end of a move. */
#define MOVE_WAIT_MS 2000

struct move;

/* Once, before closer_start(). Negative errno. */
int movers_prepare(void);

/*
 * Begin to write bytes to fd, or to read from it: until it ends, or len bytes (at most
 * MOVE_BYTES_MAX). fd is closed at the end. On failure fd is still the caller's. -EBUSY: the owner
 * has a move of this kind that has not ended; -ENOBUFS: all owners together have too many; -ENOMEM.
 */
int move_begin_write(unsigned owner, int fd, const void *bytes, size_t len, struct move **ret_move);
int move_begin_read(unsigned owner, int fd, struct move **ret_move);
int move_begin_read_some(unsigned owner, int fd, size_t len, struct move **ret_move);

/* Is the result known? Other than move_waits() it asks nothing of the move. */
bool move_has_ended(const struct move *move);

/*
 * The other side has done its part, so what cannot be moved now need not be waited for. True: the
 * result is not known yet, ask again soon. That is so for MOVE_WAIT_MS at most.
 */
bool move_waits(struct move *move);

/* The same for a move of all bytes that was given up and has not ended. */
bool move_hinders(unsigned owner);

/*
 * How many bytes were moved; those read are at *ret_bytes until move_forget(). -EIO: not all;
 * -E2BIG: more than MOVE_BYTES_MAX to be read; -ETIMEDOUT: it has not ended.
 */
ssize_t move_result(struct move *move, const uint8_t **ret_bytes);

/* It ends soon, unless a call on the pipe hangs. */
void move_forget(struct move *move);

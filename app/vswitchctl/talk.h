/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection to the control socket of a switch. It blocks, for at most ten seconds at a time. The
 * switch is not trusted: the whole answer has to come in ten seconds (twenty, if it is silent in
 * the end), and no line is longer than TALK_LINE_MAX.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define TALK_LINE_MAX (16u << 20) /* as much as the switch holds for all its clients */

struct talk;

/* Where the socket is if the user does not say: $VSWITCH_CONTROL, or the usual place. */
const char *talk_default_path(void);

/* NULL: errno says why; EAGAIN: something is there, and takes no client for now. */
struct talk *talk_open(const char *path);
void talk_close(struct talk *talk);

/* False: the switch has closed the connection. */
bool talk_alive(const struct talk *talk);

/*
 * End what talk_open(), talk_call() or talk_event() waits for. They return NULL with EINTR then,
 * and the connection cannot be used any more. For signal handlers without SA_RESTART.
 */
void talk_interrupt(void);

/*
 * Call a method. Returns its result. If there is none, it returns NULL, and there are two cases:
 *   - the switch has refused the request. *ret_error is the error object, which the caller
 *     releases;
 *   - no answer came. *ret_error is NULL, and errno says why. EAGAIN: not in time. EINTR:
 *     talk_interrupt() was called. EMSGSIZE: a line of the switch is longer than TALK_LINE_MAX.
 *     EPROTO: a line of the switch is not JSON. 0: the connection has ended.
 */
json_t *talk_call(struct talk *talk, const char *method, const json_t *params, json_t **ret_error);

/* Wait for the next event for any time. NULL: errno says why; 0: the connection has ended. */
json_t *talk_event(struct talk *talk);

/* All bytes that have come from the switch. */
uint64_t talk_received(const struct talk *talk);

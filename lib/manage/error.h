/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why a request is refused. The codes and the names of the data are stable: programs may rely on
 * them. The message is one line for people, and may change.
 *
 * Threads: the control thread; in vswitchctl the only thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* X(id, code, name, when). Codes from -32768 to -32600 are from the JSON-RPC 2.0 specification. */
#define MANAGE_ERRORS(X) \
	X(PARSE, -32700, "parse-error", "the line is not JSON") \
	X(REQUEST, -32600, "invalid-request", "it is JSON, but not a request") \
	X(METHOD, -32601, "method-not-found", "there is no such method") \
	X(PARAMS, -32602, "invalid-params", \
	    "a parameter is unknown, missing or wrong; the data name it") \
	X(INTERNAL, -32603, "internal-error", "the switch has no memory for the answer") \
	X(TOO_LARGE, -32000, "too-large", \
	    "the line, its nesting, a batch or the answer to it is too large") \
	X(NOT_FOUND, -32001, "not-found", "there is no such object") \
	X(EXISTS, -32002, "exists", "there is such an object already") \
	X(REFUSED, -32003, "refused", "the switch cannot do this in its present state") \
	X(NO_ROOM, -32004, "no-room", "a limit of the switch or of the machine is reached")

enum manage_error_code {
#define X(id, code, name, when) MANAGE_##id = (code),
	MANAGE_ERRORS(X)
#undef X
};

struct manage_error {
	enum manage_error_code code;
	char message[320];
	json_t *data; /* {"field", "value", "expected"}; NULL: none. The owner releases it */
};

/*
 * Describe an error without data. The message is cut off if it is too long, and what a terminal
 * could not print is replaced. Returns NULL, for methods.
 */
json_t *manage_fail(struct manage_error *error, enum manage_error_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Describe an error of one field: its name, its value (copied; NULL: it has none), and what would
 * be right. `about` is the message's beginning, the name of the method for example. Returns NULL.
 */
json_t *manage_fail_field(struct manage_error *error, enum manage_error_code code,
    const char *about, const char *field, const json_t *value, const char *expected);

/*
 * Describe an error about a name that is not known: a parameter, a method. `near` tells that
 * `expected` is one name that it is like; else it is what could be there. Returns NULL.
 */
json_t *manage_fail_unknown(struct manage_error *error, enum manage_error_code code,
    const char *about, const char *name, const char *expected, bool near);

/* The name of a code, such as "not-found"; NULL: it is none of ours. */
const char *manage_error_name(json_int_t code);

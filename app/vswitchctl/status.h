/* SPDX-License-Identifier: BSD-3-Clause */
/* The exit statuses of vswitchctl. */
#pragma once

/* X(id, number, meaning) */
#define CLIENT_STATUSES(X) \
	X(DONE, 0, "done") \
	X(REFUSED, 1, "the switch refused it") \
	X(USAGE, 2, "wrong words, or a wrong file") \
	X(NO_SWITCH, 3, "no switch is there, or it has gone") \
	X(NO_ANSWER, 4, "no answer: it is not known whether the switch did it")

enum client_status {
#define X(id, number, meaning) CLIENT_##id = (number),
	CLIENT_STATUSES(X)
#undef X
};

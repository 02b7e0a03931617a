/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the control socket is if the command line does not say. */
#pragma once

#include <stdbool.h>

#define CONTROL_PATH_MAX 108

struct control_socket {
	char path[CONTROL_PATH_MAX];
	char why_not[CONTROL_PATH_MAX + 32];
};

/* False: there is no place for it; ret->why_not says why. */
bool control_socket_path(struct control_socket *ret);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the switch (helper_client.c) and the helper (helper.c) tell each other. Each message is one
 * struct. An answer may come with a descriptor.
 *
 * Threads: helper_run() is called in the helper, which has one thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "vhost/endpoint.h"
#include "vhost/helper.h"

#define HELPER_PATH_SIZE sizeof(((struct sockaddr_un *)0)->sun_path)

enum helper_kind { HELPER_LISTEN, HELPER_CONNECT, HELPER_REMOVE };

struct helper_request {
	uint32_t kind;
	int32_t mode;
	uint32_t owner, group;
	char path[HELPER_PATH_SIZE];
};

struct helper_answer {
	int32_t error;                 /* 0 or a negative errno */
	bool made_directory, replaced; /* also if there is an error */
	uint64_t dev, ino;
	struct endpoint_reason reason;
};

union helper_fd_message {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* Serve the switch at the other end of fd until it ends. First call enter(), if it is not NULL. */
_Noreturn void helper_run(int fd, const struct helper_rights *rights, int (*enter)(void));

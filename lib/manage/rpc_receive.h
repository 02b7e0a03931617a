/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receive from clients, and close their descriptors without waiting.
 *
 * Threads: the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define RPC_CLOSING_MAX 16 /* descriptors of clients */

/* As recv(). -1 with EPROTO: descriptors came, which nobody needs. They are closed. */
ssize_t rpc_receive(int fd, char *bytes, size_t room);

void rpc_close_fd(int fd);

/* How many descriptors of clients are being closed; are they RPC_CLOSING_MAX or more? */
unsigned rpc_closing(void);
bool rpc_closing_full(void);

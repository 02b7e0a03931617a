/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tells clients which addresses were learned, have moved and were forgotten. While a client wants
 * to know, the control thread compares the address tables with copies of them, a part at a time.
 * Workers do nothing for it.
 *
 * Threads: the control thread.
 */
#pragma once

#include "manage/rpc.h"

struct address_watch;
struct manage;

/* 0 or -ENOMEM. */
int address_watch_create(struct manage *manage);
/* All sessions have been closed. */
void address_watch_destroy(struct manage *manage);

/*
 * For the handler of subscribe, if the client wants events of addresses: is all that changes from
 * now on told? Otherwise the handler returns NULL, and is called again when it is so.
 */
bool address_watch_waits(const struct rpc_call *call);

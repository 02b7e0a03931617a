/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing to an eventfd of a front-end from a thread that must never wait. */
#pragma once

/*
 * Add one to an eventfd. The front-end shares its flags and its counter, so that even one that was
 * made non-blocking a moment ago may block: then the write is given up after milliseconds.
 * 0; -EAGAIN: the counter is full; -EINTR: it blocked. For the control thread only.
 */
int vhost_call(int fd);

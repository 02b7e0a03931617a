/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that a front-end shares can be cut short or never be backed by pages at all: the front-end
 * owns them. Touching what is not there is a SIGBUS, which would end the process. Mappings
 * that are registered here survive it: the handler puts zero pages in place of the whole mapping,
 * marks it lost, and tells the control thread, which then stops that device.
 *
 * (A file sealed against shrinking cannot be cut, but can still lack its pages. So seals are not
 * asked for: the guard covers what they cover.)
 *
 * Threads: guard_install, guard_add and guard_remove are for one control thread. The handler runs
 * in whichever thread touched the page; it takes no lock, and makes two system calls.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUARD_NONE UINT32_MAX

/*
 * Handle SIGBUS from now on. notify_fd: an eventfd that is written when a mapping was lost; stays
 * the caller's. A SIGBUS elsewhere ends the process as it always did. Negative errno of sigaction.
 * Without it guard_add only keeps books.
 */
int guard_install(int notify_fd);

/*
 * Guard [base, base + len), which is mapped as a whole and consists of whole pages of its file's
 * size. *ret_guard is a name for it. -ENOSPC: too many mappings.
 */
int guard_add(void *base, size_t len, uint32_t *ret_guard);

/* Before it is unmapped. GUARD_NONE is fine. */
void guard_remove(uint32_t guard);

/* Was the mapping lost? If so *ret_offset is where in it. */
bool guard_lost(uint32_t guard, size_t *ret_offset);

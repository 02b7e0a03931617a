/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end owns the files that it shares. It can make a file shorter, or share a file for which
 * no pages can be allocated. An access to a missing page raises SIGBUS, and SIGBUS normally ends
 * the process. If the page is in a mapping that is registered here, the signal handler replaces the
 * whole mapping by zero pages, marks it as lost, and notifies the control thread. The control
 * thread then stops the device.
 *
 * (Front-ends need not seal their files. A file that is sealed cannot become shorter, but its pages
 * can still be missing. The guard handles both.)
 *
 * Threads: guard_install, guard_add and guard_remove are for one control thread. The handler runs
 * in the thread that touched the page. It takes no lock, and makes two system calls.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUARD_NONE UINT32_MAX

/*
 * Handle SIGBUS from now on. notify_fd: an eventfd that is written if a mapping is lost; the caller
 * still owns it. A SIGBUS outside guarded mappings ends the process as usual. Returns 0 or the
 * negative errno of sigaction. Before this call, guard_add only records mappings.
 */
int guard_install(int notify_fd);

/*
 * Guard the mapping [base, base + len), which consists of whole pages of its file's page size.
 * *ret_guard identifies it. -ENOSPC: too many mappings.
 */
int guard_add(void *base, size_t len, uint32_t *ret_guard);

/* To be called before the mapping is unmapped. GUARD_NONE: nothing happens. */
void guard_remove(uint32_t guard);

/* Was the mapping lost? If so, *ret_offset is the offset of the access that failed. */
bool guard_lost(uint32_t guard, size_t *ret_offset);

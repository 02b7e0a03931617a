/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/guard.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"

/* 64 mappings for each of 1,024 ports. */
#define SLOTS 65536

#define INTACT SIZE_MAX

/*
 * A slot is free while base is 0. The control thread writes it; only `lost` is written by the
 * handler.
 */
static struct slot {
	_Atomic(uintptr_t) base;
	_Atomic(size_t) len;
	_Atomic(size_t) lost; /* offset of the first access that failed, or INTACT */
} slots[SLOTS];

static _Atomic(uint32_t) n_slots; /* highest in use so far, plus one */
static int notify = -1;

/* A slot that was found. base and len are of the same mapping. */
struct found {
	struct slot *slot;
	uintptr_t base;
	size_t len;
};

static bool find(uintptr_t addr, struct found *ret)
{
	uint32_t n = atomic_load_explicit(&n_slots, memory_order_acquire);

	for (uint32_t i = 0; i < n; i++) {
		uintptr_t base = atomic_load_explicit(&slots[i].base, memory_order_acquire);
		size_t n_bytes = atomic_load_explicit(&slots[i].len, memory_order_acquire);

		/*
		 * The control thread may give the slot to another mapping at the same time. base
		 * and len are of the same mapping if base has not changed.
		 */
		if (base && addr >= base && addr - base < n_bytes &&
		    atomic_load_explicit(&slots[i].base, memory_order_relaxed) == base) {
			*ret = (struct found){&slots[i], base, n_bytes};
			return true;
		}
	}
	return false;
}

/* Replace the whole mapping. So there is only one fault, even if many pages are missing. */
static bool put_zero_pages(const struct found *found)
{
	void *at = (void *)found->base;

	/* syscalls: mmap write rt_sigaction */
	/* syscalls(worker): mmap write rt_sigaction rt_sigreturn */

	return mmap(at, found->len, PROT_READ | PROT_WRITE,
		   MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == at;
}

/* The address is in no guarded mapping: the same access, repeated, ends the process as usual. */
static void die(void)
{
	const struct sigaction usual = {.sa_handler = SIG_DFL};

	sigaction(SIGBUS, &usual, NULL);
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	uintptr_t addr = (uintptr_t)info->si_addr;
	struct found found;
	const uint64_t one = 1;
	size_t intact = INTACT;
	int saved = errno;

	(void)sig;
	(void)context;
	if (info->si_code <= 0 || !find(addr, &found) || !put_zero_pages(&found)) {
		die();
		return;
	}
	atomic_compare_exchange_strong(&found.slot->lost, &intact, addr - found.base);
	if (notify >= 0) {
		ssize_t n = write(notify, &one, sizeof(one));
		(void)n; /* the counter is full: the control thread was told before */
	}
	errno = saved;
}

int guard_install(int notify_fd)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_RESTART};

	notify = notify_fd;
	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

static uint32_t find_free(void)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		if (!atomic_load_explicit(&slots[i].base, memory_order_relaxed))
			return i;
	}
	return GUARD_NONE;
}

int guard_add(void *base, size_t len, uint32_t *ret_guard)
{
	uint32_t i = find_free();

	*ret_guard = i;
	if (i == GUARD_NONE)
		return -ENOSPC;
	atomic_store_explicit(&slots[i].len, len, memory_order_release);
	atomic_store_explicit(&slots[i].lost, INTACT, memory_order_relaxed);
	atomic_store_explicit(&slots[i].base, (uintptr_t)base, memory_order_release);
	if (i >= atomic_load_explicit(&n_slots, memory_order_relaxed))
		atomic_store_explicit(&n_slots, i + 1, memory_order_release);
	return 0;
}

void guard_remove(uint32_t guard)
{
	if (guard < SLOTS)
		atomic_store_explicit(&slots[guard].base, 0, memory_order_release);
}

bool guard_lost(uint32_t guard, size_t *ret_offset)
{
	if (guard >= SLOTS)
		return false;
	*ret_offset = atomic_load_explicit(&slots[guard].lost, memory_order_acquire);
	return *ret_offset != INTACT;
}

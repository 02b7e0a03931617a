/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/mapping.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/closer.h"
#include "base/errand.h"
#include "base/util.h"
#include "vhost/limits.h"
#include "vhost/ring.h"

/*
 * The control thread itself unmaps mappings up to this size. An errand unmaps larger mappings, in
 * steps that begin with this size.
 */
#define QUICK    (UINT64_C(16) << 20)
#define STEP_MAX (UINT64_C(128) << 20)
/* The time that a step should take. */
#define STEP_MIN_NS UINT64_C(50000)
#define STEP_MAX_NS UINT64_C(200000)

/* This is not a part of a port, because an errand may run longer than its port exists. */
static struct account {
	_Atomic(uint64_t) bytes, pieces;
	_Atomic(unsigned) unmapping; /* pieces that errands unmap, or will unmap */
} accounts[CLOSER_OWNERS], all;

struct piece {
	struct account *account;
	char *base;
	uint64_t len;
};

static struct account *account_of(const struct vhost_device *dev)
{
	return &accounts[dev->owner < CLOSER_OWNERS ? dev->owner : 0];
}

int vhost_mapping_claim(struct vhost_device *dev, uint64_t len)
{
	struct account *account = account_of(dev);
	uint64_t bytes = atomic_load(&account->bytes), pieces = atomic_load(&account->pieces);
	bool scarce = atomic_load(&all.bytes) > VHOST_MAPPED_HALF;
	uint64_t limit = scarce ? VHOST_MAPPED_SURE : VHOST_MAPPED_MAX;

	if (len > limit || bytes > limit - len)
		return vhost_complain(dev, -ENOSPC,
		    "mapping %llu MiB more would exceed the %llu GiB that a port may map%s",
		    (unsigned long long)(len >> 20), (unsigned long long)(limit >> 30),
		    scarce ? " while all ports together map much" : "");
	if (atomic_load(&all.pieces) >= VHOST_REGIONS_HALF && pieces >= VHOST_REGIONS_SURE)
		return vhost_complain(dev, -ENOSPC,
		    "it has %llu memory regions: a port may not have more while all ports together "
		    "have many",
		    (unsigned long long)pieces);
	atomic_fetch_add(&account->bytes, len);
	atomic_fetch_add(&account->pieces, 1);
	atomic_fetch_add(&all.bytes, len);
	atomic_fetch_add(&all.pieces, 1);
	return 0;
}

static void give_back(struct account *account, uint64_t len)
{
	atomic_fetch_sub(&account->bytes, len);
	atomic_fetch_sub(&account->pieces, 1);
	atomic_fetch_sub(&all.bytes, len);
	atomic_fetch_sub(&all.pieces, 1);
}

void vhost_mapping_disclaim(const struct vhost_device *dev, uint64_t len)
{
	give_back(account_of(dev), len);
}

unsigned vhost_mapping_count(unsigned owner)
{
	return owner < CLOSER_OWNERS ? atomic_load(&accounts[owner].pieces) : 0;
}

/* A step of this size took so long. The time depends on the pages that were in use. */
static uint64_t next_step(uint64_t step, uint64_t took_ns)
{
	if (took_ns < STEP_MIN_NS)
		return MIN(2 * step, STEP_MAX);
	return took_ns > STEP_MAX_NS ? QUICK : step;
}

/*
 * Unmap in small steps, because an mmap in another thread waits until a munmap has ended. The steps
 * grow where no page was used: a mapping can have terabytes of these, and the switch waits for this
 * errand when it ends. If a page is larger than a step, munmap fails, and the whole mapping is
 * unmapped at once.
 */
static void unmap(const struct piece *piece)
{
	uint64_t done = 0, step = QUICK;

	/* syscalls: munmap */
	while (done < piece->len) {
		uint64_t len = MIN(step, piece->len - done), start = clock_ns();

		if (munmap(piece->base + done, len) < 0) {
			munmap(piece->base + done, piece->len - done);
			break;
		}
		done += len;
		step = next_step(step, clock_ns() - start);
	}
	give_back(piece->account, piece->len);
}

static void unmap_errand(void *arg)
{
	const struct piece *piece = arg;

	unmap(piece);
	atomic_fetch_sub(&piece->account->unmapping, 1);
	free(arg);
}

void vhost_mapping_release(const struct vhost_device *dev, void *base, uint64_t len)
{
	struct piece piece = {.account = account_of(dev), .base = base, .len = len};
	bool quick = !closer_running() || (len <= QUICK && !dev->memory_any);
	struct piece *copy = quick ? NULL : malloc(sizeof(*copy));

	if (copy) {
		*copy = piece;
		atomic_fetch_add(&piece.account->unmapping, 1);
		if (errand_run(unmap_errand, copy) == 0)
			return;
		atomic_fetch_sub(&piece.account->unmapping, 1);
		free(copy);
	}
	unmap(&piece);
}

bool vhost_mapping_flooded(const struct vhost_device *dev)
{
	return atomic_load(&account_of(dev)->unmapping) >= VHOST_UNMAPPING_MAX;
}

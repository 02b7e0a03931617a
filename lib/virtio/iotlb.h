/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translations of I/O virtual addresses (VIRTIO_F_ACCESS_PLATFORM, vhost-user "IOMMU support").
 *
 * With an IOMMU, descriptors and ring addresses hold I/O virtual addresses (IOVAs). The front-end
 * translates ranges of IOVAs to its own virtual addresses (uaddr), for reading, writing or both. It
 * sends translations of one or a few pages when it is asked. It may take them back. An iotlb is the
 * table of these translations.
 *
 * Rings do not read an iotlb. They read an iotlb_view, an immutable snapshot of it with host
 * addresses. A view is a pair of guest_memory in which gpa means IOVA. So the same code translates
 * a descriptor with and without an IOMMU.
 *
 * Threads: an iotlb belongs to one thread. Any thread may read a view, until it is destroyed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/guest_memory.h"

/* Permissions, with the values of the wire. */
#define IOTLB_READ  0x1u
#define IOTLB_WRITE 0x2u

/* A miss asks for the translation of so many bytes. No IOMMU has smaller pages. */
#define IOTLB_PAGE UINT64_C(4096)

struct iotlb;

/* A range of IOVAs in which a ring lies: its translations must be kept. */
struct iotlb_pin {
	uint64_t iova, size;
};

/* Translations in IOVA order. If a translation continues the one before it, both are one region. */
struct iotlb_view {
	uint64_t generation;           /* not 0, and different in every view */
	struct guest_memory *readable; /* gpa means IOVA */
	struct guest_memory *writable;
};

/* The table keeps at most max_entries translations. -ENOMEM. */
int iotlb_create(unsigned max_entries, struct iotlb **ret_tlb);
void iotlb_destroy(struct iotlb *tlb);

/*
 * Translate [iova, iova + size) to [uaddr, uaddr + size) from now on. This replaces older
 * translations of the range. If the table is full, the oldest translations are forgotten, except
 * those that a pin overlaps.
 * -EINVAL: size 0, a range that wraps, or a permission that does not exist.
 * -ENOSPC: all translations are pinned; the table has not changed.
 */
int iotlb_update(struct iotlb *tlb, uint64_t iova, uint64_t size, uint64_t uaddr, unsigned perm,
    const struct iotlb_pin pins[], unsigned n_pins);

/*
 * Forget [iova, iova + size); size 0 at iova 0 means everything. If an entry lies only partly in
 * the range, its other part stays, unless the table is too full.
 * -EINVAL: size 0 elsewhere, or a range that wraps.
 */
int iotlb_invalidate(struct iotlb *tlb, uint64_t iova, uint64_t size);

unsigned iotlb_count(const struct iotlb *tlb);

/* What is permitted at this IOVA: IOTLB_* bits, 0 if it is not translated. */
unsigned iotlb_permission(const struct iotlb *tlb, uint64_t iova);

/*
 * Make a view of the table. The host address of each translation is looked up in `memory` by its
 * uaddr. What is outside the regions of `memory` is left out. If `memory` is NULL, the view is
 * empty. Returns 0 or -ENOMEM.
 */
int iotlb_view_create(
    const struct iotlb *tlb, const struct guest_memory *memory, struct iotlb_view **ret_view);
void iotlb_view_destroy(struct iotlb_view *view);

/*
 * The host address of [iova, iova + len) if all of it may be accessed with perm and is contiguous
 * in host memory. Otherwise NULL. Then *ret_missing is the first IOVA that is not translated with
 * this permission. If the whole range is translated, but not contiguous, *ret_missing is iova +
 * len. len must not be 0.
 */
void *iotlb_view_resolve(const struct iotlb_view *view, uint64_t iova, uint64_t len, unsigned perm,
    uint64_t *ret_missing);

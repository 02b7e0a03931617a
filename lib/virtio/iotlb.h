/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translations of I/O virtual addresses (VIRTIO_F_ACCESS_PLATFORM, vhost-user "IOMMU support").
 *
 * With an IOMMU, descriptors and ring addresses carry IOVAs. The front-end says which IOVA is
 * which of its own virtual addresses (uaddr), for reading, writing or both; it does so a page
 * or a few at a time, as it is asked, and takes them back. An iotlb keeps what it said.
 *
 * Rings do not read an iotlb: they read an iotlb_view, an immutable picture of it in terms of
 * host addresses. A view is a pair of guest_memory whose gpa are IOVAs, so that translating
 * a descriptor costs the same code, and the same cycles, as without an IOMMU.
 *
 * Threads: an iotlb belongs to one thread. A view may be read from any, until it is destroyed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/guest_memory.h"

/* Permissions, with the values of the wire. */
#define IOTLB_READ  0x1u
#define IOTLB_WRITE 0x2u

/* Bytes that one miss asks for: no IOMMU translates less. */
#define IOTLB_PAGE UINT64_C(4096)

struct iotlb;

/* A range of IOVAs that the device cannot do without: where a ring lies. */
struct iotlb_pin {
	uint64_t iova, size;
};

/* Translations in IOVA order; adjoining ones that continue each other are one. */
struct iotlb_view {
	uint64_t generation;           /* never 0, never the same for two views */
	struct guest_memory *readable; /* gpa means IOVA */
	struct guest_memory *writable;
};

/* Keeps at most max_entries translations. -ENOMEM. */
int iotlb_create(unsigned max_entries, struct iotlb **ret_tlb);
void iotlb_destroy(struct iotlb *tlb);

/*
 * [iova, iova + size) is [uaddr, uaddr + size) from now on, whatever was said of it before. When
 * there is no more room the oldest translations are forgotten, but none that a pin overlaps.
 * -EINVAL: size 0, a range that wraps, or a permission that does not exist.
 * -ENOSPC: everything is pinned; what was there before stays.
 */
int iotlb_update(struct iotlb *tlb, uint64_t iova, uint64_t size, uint64_t uaddr, unsigned perm,
    const struct iotlb_pin pins[], unsigned n_pins);

/*
 * Forget [iova, iova + size); size 0 at iova 0 means everything. An entry that is only partly
 * meant keeps its rest. -EINVAL: size 0 elsewhere, or a range that wraps.
 */
int iotlb_invalidate(struct iotlb *tlb, uint64_t iova, uint64_t size);

/* Entries now. */
unsigned iotlb_count(const struct iotlb *tlb);

/* What is permitted at this IOVA: IOTLB_* bits, 0 when it is not known. */
unsigned iotlb_permission(const struct iotlb *tlb, uint64_t iova);

/*
 * A view of what the table and the memory know together: translations to uaddr that are not
 * mapped are left out. memory NULL: an empty view. -ENOMEM.
 */
int iotlb_view_create(
    const struct iotlb *tlb, const struct guest_memory *memory, struct iotlb_view **ret_view);
void iotlb_view_destroy(struct iotlb_view *view);

/*
 * The host address of [iova, iova + len) if all of it may be accessed that way and is in one
 * piece here. NULL otherwise, and *ret_missing is the first IOVA that is not there; if nothing
 * is missing, and the pieces just do not lie side by side, it is iova + len. len is not 0.
 */
void *iotlb_view_resolve(const struct iotlb_view *view, uint64_t iova, uint64_t len, unsigned perm,
    uint64_t *ret_missing);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The table is an array of entries, sorted by IOVA. Entries do not overlap. An update first removes
 * the old translations of its range. Then it is inserted as an entry. The new entry is merged with
 * a neighbour if both have the same distance from IOVA to uaddr and the same permission. So if the
 * front-end translates a buffer page by page, the buffer becomes one entry. If the front-end
 * translates a page again, that adds no entry.
 *
 * A range is stored as its first and its last address. The address behind its end could wrap,
 * because IOVAs may reach up to 2^64 - 1.
 *
 * The front-end decides how many translations it sends, so the table is bounded. Updates are
 * numbered. An entry keeps the number of its last update, not of its last use. If the table is
 * full, the range of these numbers in the table is divided by eight, and all entries in the oldest
 * eighth are forgotten at once. If a ring needs a forgotten translation, the front-end is asked for
 * it again. Translations of the rings' own memory are pinned: they are not forgotten. Otherwise new
 * translations of buffers would push them out, and the ring would stop.
 *
 * A view is built in one pass over the table. Each entry is cut at the borders of the memory
 * regions. Each piece is appended to the readable list, to the writable list, or to both. If a
 * piece continues the last piece of the list, and both lie in the same memory region, they become
 * one piece. So a ring or an indirect table is one piece if it is contiguous in IOVAs and in a
 * memory region. It may have been translated by several messages.
 */
#include "virtio/iotlb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * For a moment an update can need two more entries: a cut in the middle of an entry makes two
 * entries, and the update itself is an entry.
 */
#define SLACK 2

struct entry {
	uint64_t iova, last; /* both are inside */
	uint64_t uaddr;
	uint64_t age; /* the number of the update that made it */
	uint8_t perm;
	bool pinned; /* valid while room is made */
};

struct iotlb {
	unsigned max, n;
	uint64_t updates;
	struct entry entry[];
};

int iotlb_create(unsigned max_entries, struct iotlb **ret_tlb)
{
	struct iotlb *tlb =
	    malloc(sizeof(*tlb) + (size_t)(max_entries + SLACK) * sizeof(struct entry));

	if (!tlb)
		return -ENOMEM;
	*tlb = (struct iotlb){.max = max_entries};
	*ret_tlb = tlb;
	return 0;
}

void iotlb_destroy(struct iotlb *tlb)
{
	free(tlb);
}

unsigned iotlb_count(const struct iotlb *tlb)
{
	return tlb->n;
}

/*
 * The index of the first entry whose end is at iova or behind iova; tlb->n if there is no such
 * entry.
 */
static unsigned find(const struct iotlb *tlb, uint64_t iova)
{
	unsigned low = 0, high = tlb->n;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (tlb->entry[middle].last < iova)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

unsigned iotlb_permission(const struct iotlb *tlb, uint64_t iova)
{
	unsigned i = find(tlb, iova);

	return i < tlb->n && tlb->entry[i].iova <= iova ? tlb->entry[i].perm : 0;
}

static void insert_at(struct iotlb *tlb, unsigned i, struct entry e)
{
	memmove(&tlb->entry[i + 1], &tlb->entry[i], (tlb->n - i) * sizeof(e));
	tlb->entry[i] = e;
	tlb->n++;
}

static void remove_range(struct iotlb *tlb, unsigned from, unsigned to)
{
	memmove(&tlb->entry[from], &tlb->entry[to], (tlb->n - to) * sizeof(tlb->entry[0]));
	tlb->n -= to - from;
}

/* Make e begin at iova, which lies inside it. */
static void cut_front(struct entry *e, uint64_t iova)
{
	e->uaddr += iova - e->iova;
	e->iova = iova;
}

/* Forget [iova, last]. Afterwards the table may have one entry more than before. */
static void cut(struct iotlb *tlb, uint64_t iova, uint64_t last)
{
	unsigned i = find(tlb, iova), end;

	if (i < tlb->n && tlb->entry[i].iova < iova) {
		if (tlb->entry[i].last > last)
			insert_at(tlb, i + 1, tlb->entry[i]); /* its rest; the front is cut below */
		tlb->entry[i++].last = iova - 1;
	}
	for (end = i; end < tlb->n && tlb->entry[end].last <= last; end++)
		;
	if (end < tlb->n && tlb->entry[end].iova <= last)
		cut_front(&tlb->entry[end], last + 1);
	remove_range(tlb, i, end);
}

static bool continues(const struct entry *a, const struct entry *b)
{
	return a->last != UINT64_MAX && a->last + 1 == b->iova && a->perm == b->perm &&
	    a->uaddr < b->uaddr && b->uaddr - a->uaddr == b->iova - a->iova;
}

static void insert(struct iotlb *tlb, struct entry e)
{
	unsigned i = find(tlb, e.iova);

	if (i < tlb->n && continues(&e, &tlb->entry[i])) {
		e.last = tlb->entry[i].last;
		remove_range(tlb, i, i + 1);
	}
	if (i > 0 && continues(&tlb->entry[i - 1], &e)) {
		tlb->entry[i - 1].last = e.last;
		tlb->entry[i - 1].age = e.age;
		return;
	}
	insert_at(tlb, i, e);
}

/* The last address of [start, start + size). False: the range is empty or wraps. */
static bool last_of(uint64_t start, uint64_t size, uint64_t *ret_last)
{
	return size != 0 && !__builtin_add_overflow(start, size - 1, ret_last);
}

static void mark_pinned(struct iotlb *tlb, const struct iotlb_pin pins[], unsigned n_pins)
{
	for (unsigned i = 0; i < tlb->n; i++)
		tlb->entry[i].pinned = false;
	for (unsigned p = 0; p < n_pins; p++) {
		uint64_t last;

		if (!last_of(pins[p].iova, pins[p].size, &last))
			continue; /* a ring there cannot run */
		for (unsigned i = find(tlb, pins[p].iova); i < tlb->n && tlb->entry[i].iova <= last;
		     i++)
			tlb->entry[i].pinned = true;
	}
}

/* Forget the entries of the oldest eighth of the updates in the table, except pinned entries. */
static int make_room(struct iotlb *tlb, const struct iotlb_pin pins[], unsigned n_pins)
{
	uint64_t oldest = UINT64_MAX;
	unsigned kept = 0;

	mark_pinned(tlb, pins, n_pins);
	for (unsigned i = 0; i < tlb->n; i++)
		if (!tlb->entry[i].pinned)
			oldest = MIN(oldest, tlb->entry[i].age);
	if (oldest == UINT64_MAX)
		return -ENOSPC;
	for (unsigned i = 0; i < tlb->n; i++) {
		const struct entry *e = &tlb->entry[i];

		if (e->pinned || e->age > oldest + (tlb->updates - oldest) / 8)
			tlb->entry[kept++] = *e;
	}
	tlb->n = kept;
	return 0;
}

/*
 * A cut in the middle of an entry, up to `last`, may have left the table too full. Then the entry
 * behind `last` is forgotten, too. It is always allowed to forget more than the front-end asked
 * for.
 */
static void forget_rest(struct iotlb *tlb, uint64_t last)
{
	unsigned rest;

	if (tlb->n <= tlb->max)
		return;
	rest = find(tlb, last + 1);
	remove_range(tlb, rest, rest + 1);
}

int iotlb_update(struct iotlb *tlb, uint64_t iova, uint64_t size, uint64_t uaddr, unsigned perm,
    const struct iotlb_pin pins[], unsigned n_pins)
{
	struct entry e = {.iova = iova, .uaddr = uaddr, .perm = perm};
	uint64_t uaddr_last;
	int error;

	if (!last_of(iova, size, &e.last) || !last_of(uaddr, size, &uaddr_last) || perm == 0 ||
	    (perm & ~(IOTLB_READ | IOTLB_WRITE)))
		return -EINVAL;
	if (tlb->n >= tlb->max) {
		error = make_room(tlb, pins, n_pins);
		if (error)
			return error;
	}
	e.age = ++tlb->updates;
	cut(tlb, e.iova, e.last);
	insert(tlb, e);
	forget_rest(tlb, e.last);
	return 0;
}

int iotlb_invalidate(struct iotlb *tlb, uint64_t iova, uint64_t size)
{
	uint64_t last = UINT64_MAX;

	if ((iova || size) && !last_of(iova, size, &last))
		return -EINVAL;
	cut(tlb, iova, last);
	forget_rest(tlb, last);
	return 0;
}

/* A guest_memory under construction. */
struct list {
	struct guest_memory *memory;
	unsigned room, limit;
	const struct guest_region *from; /* the region that the last piece lies in */
};

static int list_append(
    struct list *list, const struct guest_region *r, const struct guest_region *from)
{
	unsigned n = list->memory ? list->memory->n_regions : 0;

	if (n) {
		struct guest_region *end = &list->memory->region[n - 1];

		if (list->from == from && end->gpa + end->size == r->gpa &&
		    end->host + end->size == r->host) {
			end->size += r->size;
			return 0;
		}
	}
	if (n == list->limit)
		return 0;
	if (n == list->room) {
		unsigned room = 2 * n + 16;
		struct guest_memory *more =
		    realloc(list->memory, sizeof(*more) + room * sizeof(*r));

		if (!more)
			return -ENOMEM;
		list->memory = more;
		list->room = room;
	}
	list->from = from;
	list->memory->region[n] = *r;
	list->memory->n_regions = n + 1;
	return 0;
}

/* The part of the entry that lies in the region, with gpa meaning IOVA. False: there is none. */
static bool intersect(
    const struct entry *e, const struct guest_region *region, struct guest_region *ret)
{
	uint64_t e_last = e->uaddr + (e->last - e->iova);
	uint64_t from = MAX(e->uaddr, region->uaddr);
	uint64_t last = MIN(e_last, region->uaddr + (region->size - 1));

	if (from > last)
		return false;
	*ret = (struct guest_region){
	    .gpa = e->iova + (from - e->uaddr),
	    .size = last - from + 1,
	    .uaddr = from,
	    .host = region->host + (from - region->uaddr),
	};
	return true;
}

/* A piece of an entry, with gpa meaning IOVA, and the memory region that it lies in. */
struct piece {
	struct guest_region r;
	const struct guest_region *from;
};

static int by_iova(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return (x->r.gpa > y->r.gpa) - (x->r.gpa < y->r.gpa);
}

/* Append the pieces of an entry to the lists that its permissions allow, in IOVA order. */
static int append_entry(
    struct list lists[2], const struct entry *e, const struct guest_memory *memory)
{
	struct piece piece[GUEST_MEMORY_REGIONS_MAX];
	unsigned n = 0;
	int error = 0;

	for (unsigned i = 0; i < memory->n_regions; i++) {
		piece[n].from = &memory->region[i];
		n += intersect(e, &memory->region[i], &piece[n].r);
	}
	qsort(piece, n, sizeof(piece[0]), by_iova);
	for (unsigned i = 0; i < n && !error; i++) {
		if (e->perm & IOTLB_READ)
			error = list_append(&lists[0], &piece[i].r, piece[i].from);
		if (!error && (e->perm & IOTLB_WRITE))
			error = list_append(&lists[1], &piece[i].r, piece[i].from);
	}
	return error;
}

/*
 * The lists are limited, because an entry that spans all regions has one piece for each region. The
 * entries of an honest front-end rarely span two regions. Pieces beyond the limit are left out, so
 * their addresses are never translated.
 */
static int list_begin(struct list *list, const struct iotlb *tlb)
{
	*list = (struct list){
	    .memory = calloc(1, sizeof(struct guest_memory)),
	    .limit = tlb->max + GUEST_MEMORY_REGIONS_MAX,
	};
	return list->memory ? 0 : -ENOMEM;
}

int iotlb_view_create(
    const struct iotlb *tlb, const struct guest_memory *memory, struct iotlb_view **ret_view)
{
	static _Atomic uint64_t generations;
	struct iotlb_view *view = malloc(sizeof(*view));
	struct list lists[2] = {0};
	int error = view ? list_begin(&lists[0], tlb) : -ENOMEM;

	if (!error)
		error = list_begin(&lists[1], tlb);
	for (unsigned i = 0; memory && !error && i < tlb->n; i++)
		error = append_entry(lists, &tlb->entry[i], memory);
	if (error) {
		guest_memory_destroy(lists[0].memory);
		guest_memory_destroy(lists[1].memory);
		free(view);
		return error;
	}
	view->generation = ++generations;
	view->readable = lists[0].memory;
	view->writable = lists[1].memory;
	*ret_view = view;
	return 0;
}

void iotlb_view_destroy(struct iotlb_view *view)
{
	if (!view)
		return;
	guest_memory_destroy(view->readable);
	guest_memory_destroy(view->writable);
	free(view);
}

static uint8_t *resolve_in(
    const struct guest_memory *memory, uint64_t iova, uint64_t len, uint64_t *ret_missing)
{
	const struct guest_region *first = guest_memory_find(memory, iova), *r = first;
	uint64_t at = iova, left = len;

	while (r && left > r->size - (at - r->gpa)) {
		left -= r->size - (at - r->gpa);
		at = r->gpa + r->size;
		r = at == 0 ? NULL : guest_memory_find(memory, at);
	}
	*ret_missing = r ? iova + len : at;
	return r && r == first ? r->host + (iova - r->gpa) : NULL;
}

void *iotlb_view_resolve(const struct iotlb_view *view, uint64_t iova, uint64_t len, unsigned perm,
    uint64_t *ret_missing)
{
	uint8_t *readable = NULL, *writable = NULL;
	uint64_t missing = iova + len;

	if (perm & IOTLB_READ)
		readable = resolve_in(view->readable, iova, len, ret_missing);
	if ((perm & IOTLB_READ) && *ret_missing != missing)
		return NULL;
	if (perm & IOTLB_WRITE)
		writable = resolve_in(view->writable, iova, len, ret_missing);
	if (perm == (IOTLB_READ | IOTLB_WRITE))
		return readable == writable ? readable : NULL;
	return readable ? readable : writable;
}

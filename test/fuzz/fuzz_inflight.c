/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * An in-flight area and a ring have any contents. The ring is recovered; the device fetches chains
 * and completes them in any order; the device crashes; and so on. Meanwhile the front-end writes
 * into the area, and the guest into the ring. The area's memory has exactly its size, so that an
 * access beyond it is detected. All segments must lie in guest memory, and no more chains may be in
 * flight than the ring has slots.
 */
#include "input.h"

#include "virtio/vring_inflight.h"

#define REGION  4096
#define GPA     UINT64_C(0x10000)
#define DRIVER  1024
#define DEVICE  1536
#define BUFFERS 3072
#define STEPS   64

struct world {
	struct input in;
	uint8_t *block, *area;
	size_t area_size;
	struct guest_memory *memory;
	struct vring ring;
	struct vring_config config;
	struct vring_position position;
	struct vring_inflight *inflight;
	struct vring_batch batch, done;
	unsigned n_held, entries;
	struct vring_chain held[256];
	bool packed, deferring, running;
};

static void write_area(struct world *w)
{
	size_t at = input_u16(&w->in) % w->area_size, n = 1 + input_below(&w->in, 40);

	if (n > w->area_size - at)
		n = w->area_size - at;
	input_bytes(&w->in, w->area + at, n);
}

static void write_ring(struct world *w)
{
	unsigned at = input_u16(&w->in) % (DEVICE + 256);

	input_bytes(&w->in, w->block + at, 1 + input_below(&w->in, 16));
}

/* Offer a chain that is correct most of the time. */
static void offer(struct world *w)
{
	uint16_t flags = input_below(&w->in, 4), slot = input_u8(&w->in) % w->config.size;
	uint64_t addr = GPA + BUFFERS + input_u8(&w->in) * 4;

	if (w->packed) {
		struct vring_packed_desc d = {.addr = addr, .len = 16, .id = slot};

		slot = w->position.avail % w->config.size;
		d.flags = flags | (w->position.avail_wrap ? VRING_DESC_F_AVAIL : VRING_DESC_F_USED);
		memcpy(w->block + slot * sizeof(d), &d, sizeof(d));
	} else {
		struct vring_split_desc d = {.addr = addr, .len = 16, .flags = flags, .next = slot};
		struct vring_split_avail *avail = (void *)(w->block + DRIVER);

		memcpy(w->block + slot * sizeof(d), &d, sizeof(d));
		avail->ring[avail->idx % w->config.size] = slot;
		avail->idx++;
	}
}

static void recover(struct world *w)
{
	int n;

	vring_inflight_destroy(w->inflight);
	w->inflight =
	    vring_inflight_create(w->area, w->entries, w->config.size, w->packed, w->deferring);
	promise(w->inflight);
	w->n_held = 0;
	w->config.inflight = w->inflight;
	n = vring_inflight_recover(w->inflight, &w->config);
	promise(n <= (int)w->config.size);
	promise(n < 0 || vring_inflight_count(w->inflight) == (unsigned)n);
	w->running = vring_start(&w->ring, &w->config) == 0;
}

static void check(const struct world *w, const struct vring_chain *c)
{
	promise(!c->fault || c->n_segments == 0);
	promise(c->slots >= 1 && c->slots <= w->config.size);
	for (unsigned k = 0; k < c->n_segments; k++) {
		struct vring_segment s = w->batch.segment[c->segment + k];

		promise(s.len && s.addr >= w->block && s.addr < w->block + REGION &&
		    s.len <= (size_t)(w->block + REGION - s.addr));
	}
}

static void fetch(struct world *w)
{
	unsigned room = 256 - w->n_held;

	w->batch.n = w->batch.n_segments = 0;
	if (!w->running || !w->deferring)
		return;
	vring_fetch(&w->ring, &w->batch, 1 + input_below(&w->in, 8) % (room ? room : 1));
	for (unsigned i = 0; i < w->batch.n && w->n_held < 256; i++) {
		check(w, &w->batch.chain[i]);
		w->held[w->n_held++] = w->batch.chain[i];
	}
	promise(w->n_held <= w->config.size);
}

static void complete(struct world *w)
{
	if (!w->running || !w->deferring || !w->n_held)
		return;
	w->done.n = 0;
	for (unsigned n = 1 + input_below(&w->in, 4); n && w->n_held; n--) {
		unsigned k = input_u8(&w->in) % w->n_held;

		w->done.chain[w->done.n++] = w->held[k];
		w->held[k] = w->held[--w->n_held];
	}
	vring_complete(&w->ring, &w->done);
}

/* Fetch and complete as a device does that does not defer. */
static void work_off(struct world *w)
{
	w->batch.n = w->batch.n_segments = 0;
	if (!w->running || w->deferring)
		return;
	vring_fetch(&w->ring, &w->batch, 8);
	for (unsigned i = 0; i < w->batch.n; i++)
		check(w, &w->batch.chain[i]);
	vring_complete(&w->ring, &w->batch);
}

static void open_world(struct world *w, const uint8_t *data, size_t size)
{
	struct guest_region region = {.gpa = GPA, .size = REGION};
	uint8_t bits;

	w->in = (struct input){data, size};
	bits = input_u8(&w->in);
	w->packed = bits & 1;
	w->deferring = bits & 2;
	w->block = aligned_alloc(64, REGION);
	memset(w->block, 0, REGION);
	region.host = w->block;
	promise(guest_memory_create(&region, 1, &w->memory) == 0);
	w->config = (struct vring_config){.direction = VRING_REQUEST,
	    .features = VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_INDIRECT_DESC) |
		(w->packed ? VIRTIO_BIT(F_RING_PACKED) : 0),
	    .size = w->packed ? 1 + input_below(&w->in, 40) : 1u << input_below(&w->in, 6),
	    .desc = w->block,
	    .driver = w->block + DRIVER,
	    .device = w->block + DEVICE,
	    .position = &w->position,
	    .memory = w->memory};
	w->position = vring_position_initial(w->packed);
	w->entries = w->config.size + (bits & 4 ? 3 : 0);
	w->area_size = vring_inflight_region_size(w->entries, w->packed);
	w->area = aligned_alloc(64, w->area_size);
	input_bytes(&w->in, w->area, bits & 8 ? w->area_size : 0);
	if (!(bits & 8))
		memset(w->area, 0, w->area_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world world;
	struct world *w = &world;

	memset(w, 0, offsetof(struct world, batch));
	w->n_held = 0;
	open_world(w, data, size);
	recover(w);
	for (unsigned step = 0; step < STEPS && w->in.left; step++) {
		switch (input_below(&w->in, 8)) {
		case 0:
			write_area(w);
			break;
		case 1:
			write_ring(w);
			break;
		case 2:
			recover(w);
			break;
		case 3:
		case 4:
			offer(w);
			break;
		case 5:
			complete(w);
			break;
		default:
			fetch(w);
			work_off(w);
		}
	}
	vring_inflight_destroy(w->inflight);
	guest_memory_destroy(w->memory);
	free(w->area);
	free(w->block);
	return 0;
}

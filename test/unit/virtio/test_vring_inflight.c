/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-flight tracking survives a crash at any instruction. A child process single-steps an
 * operation. After each change of the memory that outlives the process, the test takes a copy of
 * it: this is the state that a crash at this moment would leave. The ring is recovered from each of
 * these states. The chains that it then returns are compared with the model: chains in flight come
 * first, oldest first, then chains that were never fetched. No chain is missing, and no chain comes
 * twice. A device that does not defer has nothing in flight; then the ring's position must be found
 * again, from the area or from the journal.
 *
 * Some areas have room for more entries than the ring has; these stay untouched.
 *
 * A ring breaks if the driver offers a chain that the device still has.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../emulated.h"
#include "virtio/driver.h"
#include "virtio/vring_inflight.h"

#define SIZE_MAX_HERE 16
/* One block of memory has the ring, the area and the buffers, which are never accessed. */
#define DESC    0
#define DRIVER  512
#define DEVICE  1024
#define AREA    2048
#define JOURNAL 4088
#define USED_UP 4096
#define BUFFERS 8192
#define MEMORY  (64 * 1024)
#define STATES  4096
/* Instrumented code takes many more steps. */
#ifdef __SANITIZE_ADDRESS__
#define ROUNDS 20
#else
#define ROUNDS 60
#endif

struct order {
	unsigned n;
	uint16_t id[SIZE_MAX_HERE];
	uint16_t slots[SIZE_MAX_HERE];
};

enum device { DEFERS, NOTES, JOURNALS };

struct lab {
	enum device kind;
	uint16_t region_entries;
	uint8_t *memory;
	struct guest_memory *guest;
	struct driver_ring driver;
	struct vring device;
	struct vring_config config;
	struct vring_position position;
	struct vring_inflight *inflight;
	struct order flying;                     /* oldest first */
	struct vring_chain chain[SIZE_MAX_HERE]; /* the same chains */
	struct vring_batch batch;
	uint32_t random;
};

static uint8_t (*states)[USED_UP];
static unsigned n_states;

static uint32_t draw(struct lab *l, uint32_t n)
{
	l->random = l->random * 1664525 + 1013904223;
	return (l->random >> 8) % n;
}

static struct guest_memory *guest_of(uint8_t *memory)
{
	struct guest_region r = {.size = MEMORY, .host = memory};
	struct guest_memory *guest;

	assert_int_equal(guest_memory_create(&r, 1, &guest), 0);
	return guest;
}

static bool packed(const struct lab *l)
{
	return VIRTIO_HAS(l->config.features, F_RING_PACKED);
}

static void open_lab(struct lab *l, uint16_t size, uint64_t features, enum device kind)
{
	memset(l, 0, sizeof(*l));
	l->random = size;
	l->kind = kind;
	l->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(l->memory, MAP_FAILED);
	l->guest = guest_of(l->memory);
	l->config = (struct vring_config){.direction = VRING_REQUEST,
	    .features = features | VIRTIO_BIT(F_VERSION_1),
	    .size = size,
	    .desc = l->memory + DESC,
	    .driver = l->memory + DRIVER,
	    .device = l->memory + DEVICE,
	    .position = &l->position,
	    .memory = l->guest};
	assert_int_equal(driver_ring_init(&l->driver, l->config.features, size, l->config.desc,
			     l->config.driver, l->config.device),
	    0);
	l->position = vring_position_initial(packed(l));
	l->region_entries = size == SIZE_MAX_HERE ? 3 * size : size;
	assert_true(AREA + vring_inflight_region_size(l->region_entries, packed(l)) <= JOURNAL);
	if (kind == JOURNALS) {
		l->config.journal = (void *)(l->memory + JOURNAL);
	} else {
		l->inflight = vring_inflight_create(
		    l->memory + AREA, l->region_entries, size, packed(l), kind == DEFERS);
		assert_non_null(l->inflight);
		assert_int_equal(vring_inflight_recover(l->inflight, &l->config), 0);
		l->config.inflight = l->inflight;
	}
	assert_int_equal(vring_start(&l->device, &l->config), 0);
}

static void check_untouched_beyond(const uint8_t *memory, const struct lab *l)
{
	size_t end = AREA + vring_inflight_region_size(l->region_entries, packed(l));

	for (size_t i = AREA + vring_inflight_region_size(l->config.size, packed(l)); i < end; i++)
		assert_int_equal(memory[i], 0);
}

static void close_lab(struct lab *l)
{
	check_untouched_beyond(l->memory, l);
	vring_inflight_destroy(l->inflight);
	driver_ring_cleanup(&l->driver);
	guest_memory_destroy(l->guest);
	munmap(l->memory, MEMORY);
}

static void offer(struct lab *l)
{
	struct driver_buffer b[3];
	unsigned out = 1 + draw(l, 2), in = draw(l, 2);

	for (unsigned i = 0; i < 3; i++)
		b[i] = (struct driver_buffer){BUFFERS + 64 * i, 64};
	driver_ring_add(&l->driver, b, out, in, l);
	driver_ring_publish(&l->driver);
}

/* An operation: fetch, and keep the chains in `flying`. */
static void fetch(struct lab *l, unsigned max)
{
	l->batch.n = l->batch.n_segments = 0;
	vring_fetch(&l->device, &l->batch, max);
	for (unsigned i = 0; i < l->batch.n; i++) {
		l->flying.id[l->flying.n] = l->batch.chain[i].id;
		l->flying.slots[l->flying.n] = l->batch.chain[i].slots;
		l->chain[l->flying.n++] = l->batch.chain[i];
	}
}

static void complete(struct lab *l, unsigned n)
{
	l->batch.n = 0;
	l->batch.single_segment = false;
	while (n--) {
		unsigned k = draw(l, l->flying.n);

		l->batch.chain[l->batch.n] = l->chain[k];
		l->batch.chain[l->batch.n++].written = 1;
		l->flying.n--;
		for (; k < l->flying.n; k++) {
			l->flying.id[k] = l->flying.id[k + 1];
			l->flying.slots[k] = l->flying.slots[k + 1];
			l->chain[k] = l->chain[k + 1];
		}
	}
	vring_complete(&l->device, &l->batch);
}

/* An operation of a device that does not defer. */
static void fetch_and_complete(struct lab *l, unsigned n)
{
	l->batch.n = l->batch.n_segments = 0;
	vring_fetch(&l->device, &l->batch, n);
	for (unsigned i = 0; i < l->batch.n; i++)
		l->batch.chain[i].written = 1;
	vring_complete(&l->device, &l->batch);
}

/*
 * Run the operation step by step in a child. states[] gets the memory after each change. Afterwards
 * the memory is as before.
 */
static void crash_everywhere(
    struct lab *l, void (*operation)(struct lab *l, unsigned n), unsigned n)
{
	static uint8_t before[USED_UP];
	pid_t child;
	int status;

	memcpy(before, l->memory, USED_UP);
	n_states = 0;
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		operation(l, n);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	memcpy(states[n_states++], l->memory, USED_UP);
	for (;;) {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSTOPPED(status));
		if (WSTOPSIG(status) == SIGSTOP)
			break;
		assert_int_equal(WSTOPSIG(status), SIGTRAP);
		if (memcmp(states[n_states - 1], l->memory, USED_UP) == 0)
			continue;
		assert_true(n_states < STATES);
		memcpy(states[n_states++], l->memory, USED_UP);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	memcpy(l->memory, before, USED_UP);
}

/* The memory after the recovery, before the ring was used. */
static uint8_t recovered[USED_UP] CACHE_ALIGNED;

/* Recover a ring from this state, and return all chains that it hands out. */
static struct order recover_all(const struct lab *l, const uint8_t *state, bool *ret_found)
{
	static uint8_t memory[MEMORY] CACHE_ALIGNED;
	static struct vring_batch batch;
	struct guest_memory *guest = guest_of(memory);
	/*
	 * The position that a front-end tells if it does not know the true position: the used index
	 * of a split ring, or the start of a packed ring.
	 */
	struct vring_position position = vring_position_initial(packed(l));
	struct vring_config config = l->config;
	struct order got = {0};
	struct vring device;
	uint64_t word;
	int n = 0;

	*ret_found = true;
	memcpy(memory, state, USED_UP);
	config.desc = memory + DESC;
	config.driver = memory + DRIVER;
	config.device = memory + DEVICE;
	config.memory = guest;
	config.position = &position;
	if (!packed(l))
		position.avail = position.used =
		    ((const struct vring_split_used *)config.device)->idx;
	config.inflight = NULL;
	config.journal = NULL;
	if (l->kind == JOURNALS) {
		memcpy(&word, memory + JOURNAL, sizeof(word));
		*ret_found = vring_recover(&config, word, &position);
	} else {
		config.inflight = vring_inflight_create(
		    memory + AREA, l->region_entries, config.size, packed(l), l->kind == DEFERS);
		n = vring_inflight_recover(config.inflight, &config);
		assert_true(n >= 0);
	}
	memcpy(recovered, memory, USED_UP);
	assert_int_equal(vring_start(&device, &config), 0);
	batch.n = batch.n_segments = 0;
	while (vring_fetch(&device, &batch, 1 + batch.n % 3))
		;
	assert_int_equal(device.broken, VRING_BREAK_NONE);
	assert_true(batch.n >= (unsigned)n && batch.n <= config.size);
	for (unsigned i = 0; i < batch.n; i++) {
		assert_int_equal(batch.chain[i].fault, VRING_FAULT_NONE);
		got.id[got.n++] = batch.chain[i].id;
	}
	if (l->kind == DEFERS)
		assert_int_equal(vring_inflight_count(config.inflight), got.n);
	/* The ring can continue: complete all chains in one batch. */
	vring_complete(&device, &batch);
	if (l->kind == DEFERS)
		assert_int_equal(vring_inflight_count(config.inflight), 0);
	check_untouched_beyond(memory, l);
	vring_inflight_destroy(config.inflight);
	guest_memory_destroy(guest);
	return got;
}

static bool same(const struct order *a, const struct order *b)
{
	return a->n == b->n && memcmp(a->id, b->id, a->n * sizeof(a->id[0])) == 0;
}

/* The chains that must be handed out: those in flight, then those that wait in the ring. */
static struct order expected(const struct lab *l)
{
	static struct vring_batch batch;
	struct vring_position position = l->position;
	struct vring_config config = l->config;
	struct order all = l->flying;
	struct vring device;

	config.position = &position;
	config.inflight = NULL;
	position.used = position.avail;
	position.used_wrap = position.avail_wrap;
	assert_int_equal(vring_start(&device, &config), 0);
	batch.n = batch.n_segments = 0;
	vring_fetch(&device, &batch, SIZE_MAX_HERE);
	for (unsigned i = 0; i < batch.n; i++) {
		all.slots[all.n] = batch.chain[i].slots;
		all.id[all.n++] = batch.chain[i].id;
	}
	return all;
}

/*
 * After a crash the ring returns either the chains in flight before the operation, or those after
 * the operation. If a crash at one point gives the chains after the operation, a crash at a later
 * point must give them, too.
 */
static bool check_deferred(
    const struct order *got, const struct order *before, const struct order *after, bool done)
{
	done |= !same(got, before);
	assert_true(same(got, done ? after : before));
	return done;
}

/*
 * A batch may be completed only in part. Then the memory after the recovery shows the first chains
 * as used, and all other chains are returned again.
 */
static void check_in_order(const struct lab *l, const struct vring_position *from,
    const struct order *got, const struct order *before)
{
	const struct vring_packed_desc *desc = (const void *)recovered;
	uint32_t slot = from->used;
	bool wrap = from->used_wrap;
	unsigned n_used = before->n - got->n;

	assert_true(got->n <= before->n);
	assert_memory_equal(got->id, before->id + n_used, got->n * sizeof(got->id[0]));
	for (unsigned i = 0; i <= n_used && i < before->n; i++) {
		bool used = !!(desc[slot].flags & VRING_DESC_F_USED) == wrap &&
		    !!(desc[slot].flags & VRING_DESC_F_AVAIL) == wrap;

		assert_int_equal(used, i < n_used);
		if (used)
			assert_int_equal(desc[slot].id, before->id[i]);
		slot += before->slots[i];
		wrap ^= slot >= l->config.size;
		slot %= l->config.size;
	}
}

/* Run one operation, with a crash after each change of the memory. */
static void crash_test(
    struct lab *l, void (*operation)(struct lab *l, unsigned n), unsigned n, unsigned *points)
{
	struct vring_position from = l->position;
	struct order before = expected(l), after;
	uint32_t random = l->random;
	bool done = false;

	crash_everywhere(l, operation, n);
	l->random = random;
	operation(l, n);
	after = expected(l);
	for (unsigned i = 0; i < n_states; i++) {
		bool found;
		struct order got = recover_all(l, states[i], &found);

		if (!found)
			continue; /* the journal cannot tell the ring from a new one */
		(*points)++;
		if (l->kind == DEFERS)
			done = check_deferred(&got, &before, &after, done);
		else
			check_in_order(l, &from, &got, &before);
	}
	if (operation == complete)
		assert_true(done);
}

static void one_round(struct lab *l, unsigned *points, unsigned *used)
{
	uint32_t len;
	void *token;

	for (unsigned i = draw(l, 4); i; i--)
		offer(l);
	if (l->kind != DEFERS)
		crash_test(l, fetch_and_complete, 1 + draw(l, 4), points);
	else if (draw(l, 2))
		crash_test(l, fetch, 1 + draw(l, 4), points);
	else if (l->flying.n)
		crash_test(l, complete, 1 + draw(l, l->flying.n), points);
	while (draw(l, 4) && driver_ring_reap(&l->driver, &token, &len) == 1)
		(*used)++;
}

static void run(uint64_t features, enum device kind, const uint16_t sizes[], unsigned n_sizes)
{
	skip_if_emulated();
	states = malloc(STATES * sizeof(*states));
	for (unsigned s = 0; s < n_sizes; s++) {
		static struct lab l;
		unsigned points = 0, used = 0;

		open_lab(&l, sizes[s], features, kind);
		for (unsigned round = 0; round < ROUNDS; round++)
			one_round(&l, &points, &used);
		print_message("size %u: %u crashes, %u chains used\n", sizes[s], points, used);
		assert_true(points > ROUNDS);
		close_lab(&l);
	}
	free(states);
}

static const uint16_t split_sizes[] = {4, 8, 16}, packed_sizes[] = {4, 7, 16};

static void a_split_ring_survives_a_crash_at_every_instruction(void **state)
{
	(void)state;
	run(0, DEFERS, split_sizes, ARRAY_SIZE(split_sizes));
}

static void a_packed_ring_survives_a_crash_at_every_instruction(void **state)
{
	(void)state;
	run(VIRTIO_BIT(F_RING_PACKED), DEFERS, packed_sizes, ARRAY_SIZE(packed_sizes));
}

static void a_packed_place_is_found_in_the_area_after_a_crash_at_every_instruction(void **state)
{
	(void)state;
	run(VIRTIO_BIT(F_RING_PACKED), NOTES, packed_sizes, ARRAY_SIZE(packed_sizes));
}

static void a_packed_place_is_found_in_the_journal_after_a_crash_at_every_instruction(void **state)
{
	(void)state;
	run(VIRTIO_BIT(F_RING_PACKED), JOURNALS, packed_sizes, ARRAY_SIZE(packed_sizes));
}

static void offer_the_first_chain_again(struct lab *l)
{
	struct vring_packed_desc *desc = (void *)(l->memory + DESC);
	struct vring_split_avail *avail = (void *)(l->memory + DRIVER);

	if (packed(l)) {
		desc[1] = desc[0];
	} else {
		avail->ring[1] = avail->ring[0];
		avail->idx = 2;
	}
}

static void a_chain_offered_twice_breaks_the_ring(void **state)
{
	const uint64_t features[] = {0, VIRTIO_BIT(F_RING_PACKED)};
	const struct driver_buffer buffer = {BUFFERS, 64};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		static struct lab l;

		open_lab(&l, 4, features[i], DEFERS);
		driver_ring_add(&l.driver, &buffer, 1, 0, &l);
		driver_ring_publish(&l.driver);
		fetch(&l, 1);
		assert_int_equal(l.flying.n, 1);
		offer_the_first_chain_again(&l);
		fetch(&l, 1);
		assert_int_equal(l.flying.n, 1);
		assert_int_equal(l.device.broken, VRING_BREAK_TWICE);
		assert_int_equal(vring_inflight_count(l.inflight), 1);
		complete(&l, 1); /* chains that were fetched before can still be completed */
		assert_int_equal(vring_inflight_count(l.inflight), 0);
		close_lab(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_chain_offered_twice_breaks_the_ring),
	    cmocka_unit_test(a_split_ring_survives_a_crash_at_every_instruction),
	    cmocka_unit_test(a_packed_ring_survives_a_crash_at_every_instruction),
	    cmocka_unit_test(
		a_packed_place_is_found_in_the_area_after_a_crash_at_every_instruction),
	    cmocka_unit_test(
		a_packed_place_is_found_in_the_journal_after_a_crash_at_every_instruction),
	};

	return emulated_result(cmocka_run_group_tests(tests, NULL, NULL));
}

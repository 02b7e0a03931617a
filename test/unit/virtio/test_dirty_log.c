/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Marks set the right bits. No mark is lost while another thread marks pages of the same byte, or
 * clears bits and copies pages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "../apart.h"
#include "base/clock.h"
#include "virtio/dirty_log.h"

#define PAGE    4096
#define PAGES   24
#define WRITERS 2
#define MAP     8 /* bytes */
#define GUARD   0x5a

static uint8_t map[MAP + 2]; /* with a spare byte before and behind the map */

static struct dirty_log empty_log(void)
{
	memset(map, 0, sizeof(map));
	map[0] = map[MAP + 1] = GUARD;
	return (struct dirty_log){.map = map + 1, .size = MAP};
}

static uint64_t marks(void)
{
	uint64_t bits;

	assert_int_equal(map[0], GUARD);
	assert_int_equal(map[MAP + 1], GUARD);
	memcpy(&bits, map + 1, sizeof(bits));
	return bits;
}

static void marks_are_exact(void **state)
{
	const struct {
		uint64_t gpa, len, bits;
		bool ignored;
	} cases[] = {
	    {0, 0, 0, false},
	    {0, 1, 1, false},
	    {PAGE - 1, 1, 1, false},
	    {PAGE - 1, 2, 3, false},
	    {PAGE, PAGE, 2, false},
	    {PAGE + 1, PAGE, 6, false},
	    {7 * PAGE, 2 * PAGE, UINT64_C(0x180), false},
	    {63 * PAGE, PAGE, UINT64_C(1) << 63, false},
	    {63 * PAGE, PAGE + 1, UINT64_C(1) << 63, true},
	    {0, UINT64_MAX, UINT64_MAX, true},
	    {64 * PAGE, 1, 0, true},
	    {UINT64_MAX, 1, 0, true},
	    {UINT64_MAX, 2, 0, true},
	    {UINT64_MAX - 5, UINT64_MAX, 0, true},
	    {PAGE, UINT64_MAX, 0, true},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct dirty_log log = empty_log();

		dirty_log_mark(&log, cases[i].gpa, cases[i].len);
		assert_int_equal(marks(), cases[i].bits);
		assert_int_equal(log.ignored, cases[i].ignored);
	}
}

static void host_addresses_lead_back_to_their_region(void **state)
{
	static uint8_t one[2 * PAGE], other[2 * PAGE], elsewhere;
	const struct guest_region regions[] = {
	    {.gpa = 10 * PAGE, .size = sizeof(one), .uaddr = 0x10000, .host = one},
	    {.gpa = 20 * PAGE, .size = sizeof(other), .uaddr = 0x20000, .host = other},
	};
	struct dirty_log log = empty_log();
	struct guest_memory *memory;

	(void)state;
	assert_int_equal(guest_memory_create(regions, 2, &memory), 0);
	log.memory = memory;
	dirty_log_mark_host(&log, one, 1);
	dirty_log_mark_host(&log, one + sizeof(one) - 1, 1);
	dirty_log_mark_host(&log, other + PAGE - 1, 2);
	assert_int_equal(marks(), UINT64_C(3) << 10 | UINT64_C(3) << 20);
	assert_int_equal(log.ignored, 0);
	dirty_log_mark_host(&log, &elsewhere, 1);
	assert_int_equal(log.ignored, 1);
	guest_memory_destroy(memory);
}

#ifdef __SANITIZE_ADDRESS__
#define ROUNDS 200000
#else
#define ROUNDS 3000000
#endif

struct race {
	struct dirty_log log;
	uint32_t word[PAGES][WRITERS];
	unsigned running;
};

struct writer {
	struct race *race;
	unsigned index;
};

/* Write to a word of each page that no other writer uses, and mark the page. */
static void *write_and_mark(void *arg)
{
	struct writer *w = arg;

	for (uint32_t i = 1; i <= ROUNDS; i++) {
		unsigned page = i * 7 % PAGES;

		__atomic_store_n(&w->race->word[page][w->index], i, __ATOMIC_RELAXED);
		dirty_log_mark(&w->race->log, (uint64_t)page * PAGE, 1);
	}
	__atomic_sub_fetch(&w->race->running, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void take(struct race *r, uint32_t copy[PAGES][WRITERS])
{
	for (unsigned at = 0; at < MAP; at++) {
		uint8_t bits = __atomic_exchange_n(&r->log.map[at], 0, __ATOMIC_SEQ_CST);

		for (unsigned k = 0; k < 8 && at * 8 + k < PAGES; k++)
			for (unsigned i = 0; i < WRITERS && (bits >> k & 1); i++)
				copy[at * 8 + k][i] =
				    __atomic_load_n(&r->word[at * 8 + k][i], __ATOMIC_RELAXED);
	}
}

static void no_mark_is_lost_while_they_are_taken(void **state)
{
	struct race r = {.log = empty_log(), .running = WRITERS};
	uint32_t copy[PAGES][WRITERS] = {0};
	struct writer writer[WRITERS];
	pthread_t thread[WRITERS];

	(void)state;
	for (unsigned i = 0; i < WRITERS; i++) {
		writer[i] = (struct writer){&r, i};
		assert_int_equal(pthread_create(&thread[i], NULL, write_and_mark, &writer[i]), 0);
	}
	while (__atomic_load_n(&r.running, __ATOMIC_SEQ_CST))
		take(&r, copy);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(thread[i], NULL);
	take(&r, copy);
	assert_memory_equal(copy, r.word, sizeof(copy));
}

#define MEETINGS 3000
#define MARKS    512                /* after each meeting */
#define MAX_NS   INT64_C(500000000) /* the longest time on a busy machine */

struct neighbours {
	struct dirty_log log;
	atomic_uint rounds[WRITERS];
	unsigned lost[WRITERS];
	int64_t end_ns;
};

struct neighbour {
	struct neighbours *all;
	unsigned page;
};

/* Wait for the other thread, so that both run at the same time. False: the time is over. */
static bool meet(struct neighbours *all, unsigned page, unsigned round)
{
	unsigned spins = 0;

	atomic_store(&all->rounds[page], round);
	while (atomic_load(&all->rounds[!page]) < round) {
		if (++spins % 1024 == 0) {
			if (clock_ns() > all->end_ns)
				return false;
			sched_yield();
		}
	}
	return true;
}

/* Mark the page of this thread, and clear the mark again. Count marks that are missing then. */
static void *mark_and_clear(void *arg)
{
	const struct neighbour *n = arg;
	struct neighbours *all = n->all;
	uint8_t bit = 1u << n->page;

	run_on_cpu(n->page);
	for (unsigned i = 1; i <= MEETINGS && meet(all, n->page, i); i++) {
		for (unsigned k = 0; k < MARKS; k++) {
			dirty_log_mark(&all->log, (uint64_t)n->page * PAGE, 1);
			all->lost[n->page] +=
			    !(__atomic_fetch_and(all->log.map, ~bit, __ATOMIC_SEQ_CST) & bit);
		}
	}
	return NULL;
}

static void no_mark_is_lost_while_its_neighbour_is_marked(void **state)
{
	struct neighbours all = {.log = empty_log(), .end_ns = clock_ns() + MAX_NS};
	struct neighbour neighbour[WRITERS];
	pthread_t thread[WRITERS];

	(void)state;
	for (unsigned i = 0; i < WRITERS; i++) {
		neighbour[i] = (struct neighbour){.all = &all, .page = i};
		assert_int_equal(
		    pthread_create(&thread[i], NULL, mark_and_clear, &neighbour[i]), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(thread[i], NULL);
	print_message("%u rounds, %u and %u lost marks\n", all.rounds[0], all.lost[0], all.lost[1]);
	assert_int_equal(all.lost[0] + all.lost[1], 0);
	assert_int_equal(marks(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(marks_are_exact),
	    cmocka_unit_test(host_addresses_lead_back_to_their_region),
	    cmocka_unit_test(no_mark_is_lost_while_they_are_taken),
	    cmocka_unit_test(no_mark_is_lost_while_its_neighbour_is_marked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Which front-end is served first, in simulated time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vhost/allowance.h"

#define MS      UINT64_C(1000000)
#define CROWD   500
#define ASKER   CROWD
#define RUN_NS  (20000 * MS)
#define ASKS_NS (50 * MS)
#define ASK_NS  (MS / 50)

struct port {
	struct allowance allowance;
	uint64_t due_ns, since_ns;
};

static struct port *first_due(struct port *port, unsigned n)
{
	struct port *first = &port[0];

	for (unsigned i = 1; i < n; i++)
		if (port[i].due_ns < first->due_ns)
			first = &port[i];
	return first;
}

static void wait_for_turn(struct port *p, uint64_t now_ns)
{
	p->due_ns = allowance_due(&p->allowance, now_ns);
	p->since_ns = now_ns;
}

/*
 * The ports of a crowd have messages all the time, with visits of visit_ns. Another port has a
 * short message now and then. Returns the longest time for which a visit of the other port waited.
 * *ret_crowd_ns is the longest time for which a visit of the crowd waited.
 */
static uint64_t longest_wait(uint64_t visit_ns, uint64_t *ret_crowd_ns)
{
	static struct port port[CROWD + 1];
	uint64_t next_ask = ASKS_NS, longest = 0, now = 1, end = RUN_NS;

	*ret_crowd_ns = 0;
	for (unsigned i = 0; i <= ASKER; i++)
		port[i] = (struct port){.since_ns = now, .due_ns = UINT64_MAX};
	/* Count the visits of their connecting, which took as long. */
	for (unsigned i = 0; i < 4 * CROWD; i++, now += visit_ns) {
		allowance_charge(&port[i % CROWD].allowance, now, now + visit_ns, 0);
		wait_for_turn(&port[i % CROWD], now);
	}
	next_ask += now;
	end += now;
	while (now < end) {
		struct port *p = first_due(port, CROWD + 1);
		uint64_t start = now, waited = now - p->since_ns;

		now += p == &port[ASKER] ? ASK_NS : visit_ns;
		allowance_charge(&p->allowance, start, now, 0);
		if (p == &port[ASKER]) {
			longest = MAX(longest, waited);
			p->due_ns = UINT64_MAX;
		} else {
			*ret_crowd_ns = MAX(*ret_crowd_ns, waited);
			wait_for_turn(p, now);
		}
		if (now >= next_ask && port[ASKER].due_ns == UINT64_MAX) {
			wait_for_turn(&port[ASKER], next_ask);
			next_ask += ASKS_NS;
		}
	}
	return longest;
}

static void a_crowd_of_ports_does_not_delay_one_that_wants_little(void **state)
{
	static const uint64_t visit_ns[] = {MS / 10, MS, 5 * MS};
	uint64_t crowd_ns;

	(void)state;
	for (unsigned i = 0; i < sizeof(visit_ns) / sizeof(visit_ns[0]); i++) {
		assert_in_range(longest_wait(visit_ns[i], &crowd_ns), 1, 2 * visit_ns[i]);
		/* Each port of the crowd is served, too. */
		assert_in_range(crowd_ns, 1, 2 * CROWD * visit_ns[i]);
	}
}

static void what_was_had_long_ago_does_not_count(void **state)
{
	struct allowance a = {0};

	(void)state;
	assert_int_equal(allowance_due(&a, 5), 5);
	allowance_charge(&a, MS, 1000 * MS, 0);
	assert_int_equal(allowance_due(&a, 1000 * MS), 1000 * MS + ALLOWANCE_DUE_MAX_NS);
	for (unsigned i = 0; i < 100; i++)
		allowance_charge(&a, 30000 * MS, 30000 * MS, 0);
	assert_int_equal(allowance_due(&a, 30000 * MS), 30000 * MS);
}

/* The control thread can lose its CPU at any time. */
static void a_long_visit_alone_has_no_effect(void **state)
{
	struct allowance a = {0};

	(void)state;
	for (uint64_t now = 60000 * MS; now < 120000 * MS; now += 11000 * MS) {
		allowance_charge(&a, now, now + 500 * MS, 0);
		assert_int_equal(allowance_rest(&a, now + 500 * MS), 0);
	}
}

/* The time that a port gets in nine minutes if its visits take so long, with these pauses. */
static uint64_t all_visits(uint64_t visit_ns, uint64_t pause_ns)
{
	struct allowance a = {0};
	uint64_t now = 60000 * MS, end = now + 540000 * MS, sum = 0;

	while (now < end) {
		allowance_charge(&a, now, now + visit_ns, 0);
		sum += visit_ns;
		now += visit_ns;
		now += MAX(allowance_rest(&a, now), pause_ns);
	}
	return sum;
}

static void repeated_long_visits_get_a_ninth_of_the_time_at_most(void **state)
{
	(void)state;
	for (uint64_t visit_ns = 25 * MS; visit_ns <= 500 * MS; visit_ns += 5 * MS) {
		assert_in_range(all_visits(visit_ns, 0), 1, 60000 * MS);
		/* Nor does it help to wait until a long visit is alone. */
		assert_in_range(all_visits(visit_ns, 10400 * MS), 1, 60000 * MS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_crowd_of_ports_does_not_delay_one_that_wants_little),
	    cmocka_unit_test(what_was_had_long_ago_does_not_count),
	    cmocka_unit_test(a_long_visit_alone_has_no_effect),
	    cmocka_unit_test(repeated_long_visits_get_a_ninth_of_the_time_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* What a watch reports leads from one state of the table to the next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bridge/fdb_watch.h"

#define AGE_S   300
#define PORTS   4
#define STATION 60000 /* addresses of the model */
#define ALL     UINT32_MAX

/* What the reports say: the port of each address; FDB_NONE: it is not in the table. */
struct model {
	uint16_t port[STATION];
	unsigned learned, moved, forgotten;
};

static uint64_t address_of(unsigned station)
{
	return fdb_address(UINT64_C(0x020000000000) | (uint64_t)station << 8, station % 3);
}

static unsigned station_of(const struct fdb_entry *entry)
{
	unsigned station = entry->mac >> 8 & 0xffffff;

	assert_true(station < STATION);
	assert_true(fdb_address(entry->mac, entry->domain) == address_of(station));
	return station;
}

static void on_change(enum fdb_change change, const struct fdb_entry *entry, void *arg)
{
	struct model *m = arg;
	uint16_t *port = &m->port[station_of(entry)];

	switch (change) {
	case FDB_LEARNED:
		assert_int_equal(*port, FDB_NONE);
		*port = entry->port;
		m->learned++;
		break;
	case FDB_MOVED:
		assert_int_not_equal(*port, FDB_NONE);
		assert_int_not_equal(*port, entry->port);
		*port = entry->port;
		m->moved++;
		break;
	case FDB_FORGOTTEN:
		assert_int_equal(*port, entry->port);
		*port = FDB_NONE;
		m->forgotten++;
		break;
	}
}

static void model_begin(struct model *m)
{
	*m = (struct model){.learned = 0};
	for (unsigned i = 0; i < STATION; i++)
		m->port[i] = FDB_NONE;
}

static void assert_model(const struct model *m, const struct fdb *fdb)
{
	for (unsigned i = 0; i < STATION; i++)
		assert_int_equal(m->port[i], fdb_lookup(fdb, address_of(i)));
}

static struct fdb *table(uint32_t entries)
{
	struct fdb *fdb = fdb_create(entries, AGE_S);

	assert_non_null(fdb);
	return fdb;
}

static void changes_are_reported_once(void **state)
{
	struct fdb *fdb = table(1000);
	struct fdb_watch *watch = fdb_watch_create(fdb, true);
	static struct model m;

	(void)state;
	model_begin(&m);
	fdb_learn(fdb, address_of(1), 1, 1);
	fdb_learn(fdb, address_of(2), 1, 1);
	assert_true(fdb_watch_some(watch, ALL, ALL, on_change, &m));
	assert_int_equal(m.learned, 2);
	fdb_learn(fdb, address_of(1), 2, 1);
	fdb_learn(fdb, address_of(2), 1, 100); /* only its stamp changes */
	assert_true(fdb_watch_some(watch, ALL, ALL, on_change, &m));
	assert_int_equal(m.moved, 1);
	fdb_flush_port(fdb, 1);
	while (fdb_flush_some(fdb, ALL))
		;
	assert_true(fdb_watch_some(watch, ALL, ALL, on_change, &m));
	assert_true(fdb_watch_some(watch, ALL, ALL, on_change, &m));
	assert_int_equal(m.learned + m.moved + m.forgotten, 4);
	assert_model(&m, fdb);
	fdb_watch_destroy(watch);
	fdb_destroy(fdb);
}

static void what_was_there_before_is_not_reported(void **state)
{
	struct fdb *fdb = table(1000);
	struct fdb_watch *watch;
	static struct model m;

	(void)state;
	model_begin(&m);
	fdb_learn(fdb, address_of(1), 1, 1);
	watch = fdb_watch_create(fdb, false);
	while (!fdb_watch_some(watch, 1000, ALL, on_change, &m))
		;
	assert_int_equal(m.learned, 0);
	fdb_learn(fdb, address_of(2), 1, 1);
	assert_true(fdb_watch_some(watch, ALL, ALL, on_change, &m));
	assert_int_equal(m.learned, 1);
	fdb_watch_destroy(watch);
	fdb_destroy(fdb);
}

static void a_call_ends_after_many_changes(void **state)
{
	struct fdb *fdb = table(4096);
	struct fdb_watch *watch = fdb_watch_create(fdb, true);
	unsigned calls = 0, before = 0;
	static struct model m;
	bool ended = false;

	(void)state;
	model_begin(&m);
	for (unsigned i = 0; i < 1000; i++)
		fdb_learn(fdb, address_of(i), i % PORTS, 1);
	for (; !ended; calls++) {
		ended = fdb_watch_some(watch, ALL, 10, on_change, &m);
		assert_in_range(m.learned - before, ended ? 0 : 10, 10 + 2 * FDB_BUCKET_SLOTS);
		before = m.learned;
	}
	assert_int_equal(m.learned, 1000);
	assert_in_range(calls, 1000 / (10 + 2 * FDB_BUCKET_SLOTS), 101);
	fdb_watch_destroy(watch);
	fdb_destroy(fdb);
}

/* Some addresses are in their second bucket, and the table is full at times. */
static void reports_lead_to_the_table(void **state)
{
	struct fdb *fdb = table(FDB_BUCKETS_MIN * FDB_BUCKET_SLOTS / 2);
	struct fdb_watch *watch = fdb_watch_create(fdb, true);
	static struct model m;

	(void)state;
	srand(1);
	model_begin(&m);
	for (uint32_t now_s = 1; now_s < 3000; now_s++) {
		for (unsigned n = rand() % 200; n-- > 0;)
			fdb_learn(
			    fdb, address_of((unsigned)rand() % STATION), rand() % PORTS, now_s);
		fdb_age_some(fdb, now_s, fdb_buckets(fdb) / 100);
		if (rand() % 100 == 0)
			fdb_flush_port(fdb, rand() % PORTS);
		fdb_flush_some(fdb, 1000);
		if (rand() % 10)
			continue; /* more happens before the watch comes by */
		while (!fdb_watch_some(watch, 1000, 7, on_change, &m))
			;
		if (now_s % 100 < 10) {
			assert_true(fdb_watch_some(watch, ALL, ALL, on_change, &m));
			assert_model(&m, fdb);
		}
	}
	assert_true(m.learned > 10000 && m.moved > 1000 && m.forgotten > 10000);
	fdb_watch_destroy(watch);
	fdb_destroy(fdb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(changes_are_reported_once),
	    cmocka_unit_test(what_was_there_before_is_not_reported),
	    cmocka_unit_test(a_call_ends_after_many_changes),
	    cmocka_unit_test(reports_lead_to_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

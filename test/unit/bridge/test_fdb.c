/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "bridge/fdb.h"

#define AGE_S  300
#define TICK_S 19 /* a sixteenth of that, in whole seconds */
#define LATE   (2 * TICK_S)

/* Unicast address number n of a port: locally administered, the group bit clear. */
static uint64_t mac_of(uint16_t port, uint32_t n)
{
	return 2 | (uint64_t)port << 8 | (uint64_t)n << 24;
}

static struct fdb *table(uint32_t max_entries)
{
	struct fdb *fdb = fdb_create(max_entries, AGE_S);

	assert_non_null(fdb);
	return fdb;
}

static void learn_many(struct fdb *fdb, uint16_t port, uint32_t from, uint32_t n, uint32_t now_s)
{
	for (uint32_t i = from; i < from + n; i++)
		fdb_learn(fdb, mac_of(port, i), port, now_s);
}

static uint32_t found(const struct fdb *fdb, uint16_t port, uint32_t from, uint32_t n)
{
	uint32_t hits = 0;

	for (uint32_t i = from; i < from + n; i++)
		hits += fdb_lookup(fdb, mac_of(port, i)) == port;
	return hits;
}

static void tally(const struct fdb_entry *entry, void *arg)
{
	uint32_t *by_port = arg;

	by_port[entry->port] += !entry->is_static;
}

/* Check the counters against a walk over the whole table. */
static void assert_counts_true(const struct fdb *fdb)
{
	uint32_t *by_port = calloc(FDB_PORTS_MAX, sizeof(*by_port)), sum = 0;

	assert_non_null(by_port);
	fdb_foreach(fdb, tally, by_port);
	for (unsigned p = 0; p < FDB_PORTS_MAX; p++) {
		assert_int_equal(by_port[p], fdb_port_count(fdb, p));
		sum += by_port[p];
	}
	assert_int_equal(sum, fdb_count(fdb));
	free(by_port);
}

static void create_refuses_impossible_sizes(void **state)
{
	(void)state;
	errno = 0;
	assert_null(fdb_create(0, AGE_S));
	assert_int_equal(errno, EINVAL);
	assert_null(fdb_create(FDB_ENTRIES_MAX + 1, AGE_S));
	fdb_destroy(NULL);
}

static void there_are_two_slots_for_each_entry(void **state)
{
	static const uint32_t sizes[] = {1, 8, 9, 1000, 65536, 300000};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct fdb *fdb = table(sizes[i]);
		uint32_t buckets = fdb_buckets(fdb);

		assert_true(buckets >= 2 && (buckets & (buckets - 1)) == 0);
		assert_true(buckets * FDB_BUCKET_SLOTS >= 2 * sizes[i]);
		fdb_destroy(fdb);
	}
}

static void mac_load_reads_six_bytes_anywhere(void **state)
{
	uint8_t frame[8] = {0xff, 0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 0xff};

	(void)state;
	assert_int_equal(mac_load(frame + 1), UINT64_C(0x554433221102));
	assert_false(mac_is_group(mac_load(frame + 1)));
	frame[1] = 0x03;
	assert_true(mac_is_group(mac_load(frame + 1)));
}

static void what_was_learned_is_found(void **state)
{
	struct fdb *fdb = table(1000);

	(void)state;
	assert_int_equal(fdb_lookup(fdb, mac_of(3, 1)), FDB_NONE);
	learn_many(fdb, 3, 1, 1, 10);
	learn_many(fdb, FDB_PORTS_MAX - 1, 1, 1, 10);
	learn_many(fdb, 0, 1, 1, 10);
	assert_int_equal(fdb_lookup(fdb, mac_of(3, 1)), 3);
	assert_int_equal(fdb_lookup(fdb, mac_of(FDB_PORTS_MAX - 1, 1)), FDB_PORTS_MAX - 1);
	assert_int_equal(fdb_lookup(fdb, mac_of(0, 1)), 0);
	assert_int_equal(fdb_lookup(fdb, mac_of(3, 2)), FDB_NONE);
	assert_int_equal(fdb_count(fdb), 3);
	assert_counts_true(fdb);
	fdb_destroy(fdb);
}

static void a_full_promise_is_kept(void **state)
{
	struct fdb *fdb = table(4096);

	(void)state;
	/* Sequential addresses, as VM managers hand them out. Few pairs may overflow. */
	learn_many(fdb, 1, 0, 4096, 10);
	assert_true(found(fdb, 1, 0, 4096) > 4096 * 97 / 100);
	assert_int_equal(found(fdb, 1, 0, 4096), fdb_count(fdb));
	fdb_destroy(fdb);
}

static void zero_group_and_strange_ports_are_not_learned(void **state)
{
	struct fdb *fdb = table(100);

	(void)state;
	fdb_learn(fdb, 0, 0, 10);
	fdb_learn(fdb, 0, 7, 10);
	fdb_learn(fdb, UINT64_C(0xffffffffffff), 7, 10);
	fdb_learn(fdb, mac_of(7, 1) | 1, 7, 10);
	fdb_learn(fdb, mac_of(7, 1), FDB_PORTS_MAX, 10);
	fdb_learn(fdb, mac_of(7, 1), FDB_NONE, 10);
	assert_int_equal(fdb_count(fdb), 0);
	assert_int_equal(fdb_port_count(fdb, FDB_NONE), 0);
	fdb_destroy(fdb);
}

static void an_address_moves_and_is_counted_once(void **state)
{
	struct fdb *fdb = table(100);

	(void)state;
	fdb_learn(fdb, mac_of(1, 1), 1, 10);
	fdb_learn(fdb, mac_of(1, 1), 1, 11);
	assert_int_equal(fdb_moves(fdb), 0);
	fdb_learn(fdb, mac_of(1, 1), 2, 11);
	assert_int_equal(fdb_lookup(fdb, mac_of(1, 1)), 2);
	assert_int_equal(fdb_moves(fdb), 1);
	assert_int_equal(fdb_count(fdb), 1);
	assert_int_equal(fdb_port_count(fdb, 1), 0);
	assert_int_equal(fdb_port_count(fdb, 2), 1);
	assert_counts_true(fdb);
	fdb_destroy(fdb);
}

static bool known(const struct fdb *fdb, uint64_t mac, uint16_t port, uint32_t now_s)
{
	return fdb_known(fdb, mac, fdb_ending(fdb, port, now_s));
}

static void known_means_this_port_and_lately(void **state)
{
	struct fdb *fdb = table(100);
	uint64_t mac = mac_of(1, 1);

	(void)state;
	assert_false(known(fdb, mac, 1, TICK_S + 1));
	fdb_learn(fdb, mac, 1, TICK_S + 1);
	assert_true(known(fdb, mac, 1, TICK_S + 1));
	assert_false(known(fdb, mac, 2, TICK_S + 1));
	assert_true(known(fdb, mac, 1, 2 * TICK_S - 1));
	assert_false(known(fdb, mac, 1, 2 * TICK_S + 1));
	fdb_learn(fdb, mac, 1, 2 * TICK_S + 1);
	assert_true(known(fdb, mac, 1, 3 * TICK_S - 1));
	/* A core with a clock that is behind does not set an older stamp. */
	fdb_learn(fdb, mac, 1, 2 * TICK_S - 1);
	assert_true(known(fdb, mac, 1, 3 * TICK_S - 1));
	fdb_destroy(fdb);
}

static void age_at(uint32_t learned_s, uint32_t now_s, uint32_t expect)
{
	struct fdb *fdb = table(100);

	fdb_learn(fdb, mac_of(1, 1), 1, learned_s);
	fdb_age_some(fdb, now_s, fdb_buckets(fdb));
	assert_int_equal(fdb_count(fdb), expect);
	assert_int_equal(fdb_lookup(fdb, mac_of(1, 1)), expect ? 1 : FDB_NONE);
	assert_int_equal(fdb_port_count(fdb, 1), expect);
	fdb_destroy(fdb);
}

static void entries_go_when_older_than_the_ageing_time(void **state)
{
	(void)state;
	for (uint32_t s = 0; s < 2 * TICK_S; s++) {
		age_at(s, s + AGE_S, 1);
		age_at(s, s + AGE_S + LATE, 0);
		age_at(s, s + 500, 0);
	}
	age_at(TICK_S + 1, TICK_S - 1, 1); /* the control thread's clock is behind */
	/* The same near the end of the 32-bit seconds, after more than a century. */
	age_at(UINT32_MAX - 2000, UINT32_MAX - 2000 + AGE_S, 1);
	age_at(UINT32_MAX - 2000, UINT32_MAX - 2000 + AGE_S + LATE, 0);
}

/*
 * There is a first moment at which an entry is too old, and a last moment at which its stamp still
 * shows that. If the entry is checked between these moments, it must be dropped.
 */
static void the_shortest_and_the_longest_ageing_time(void **state)
{
	static const uint32_t ages[] = {1, 2, 10, 15, 16, 17, 300, 3600, FDB_AGE_MAX_S};

	(void)state;
	assert_null(fdb_create(1, 0));
	assert_null(fdb_create(1, FDB_AGE_MAX_S + 1));
	for (unsigned i = 0; i < ARRAY_SIZE(ages); i++) {
		uint32_t tick_s = (ages[i] + 15) / 16, from = 12345;

		for (uint32_t later = 0; later <= 29 * tick_s; later += (tick_s + 4) / 5) {
			struct fdb *fdb = fdb_create(8, ages[i]);

			fdb_learn(fdb, mac_of(1, 1), 1, from);
			fdb_age_some(fdb, from + later, fdb_buckets(fdb));
			if (later <= ages[i])
				assert_int_equal(fdb_count(fdb), 1);
			if (later >= ages[i] + 2 * tick_s)
				assert_int_equal(fdb_count(fdb), 0);
			fdb_destroy(fdb);
		}
	}
}

/* MAC, stamp and port of a slot do not affect each other, whatever their bits are. */
static void every_bit_of_an_entry_counts(void **state)
{
	struct fdb *fdb = table(100);

	(void)state;
	for (unsigned bit = 1; bit < 48; bit++)
		fdb_learn(fdb, UINT64_C(1) << bit, bit, bit * TICK_S + 1);
	for (unsigned bit = 1; bit < 48; bit++) {
		uint64_t mac = UINT64_C(1) << bit;

		assert_int_equal(fdb_lookup(fdb, mac), bit);
		assert_true(known(fdb, mac, bit, bit * TICK_S + 1));
		for (unsigned other = 1; other < 32; other++)
			assert_false(known(fdb, mac, bit, (bit + other) * TICK_S + 1));
	}
	assert_counts_true(fdb);
	fdb_destroy(fdb);
}

static void a_confirmed_entry_stays(void **state)
{
	struct fdb *fdb = table(100);

	(void)state;
	learn_many(fdb, 1, 0, 2, 10);
	learn_many(fdb, 1, 0, 1, 200);
	fdb_age_some(fdb, 10 + AGE_S + LATE, fdb_buckets(fdb));
	assert_int_equal(found(fdb, 1, 0, 1), 1);
	assert_int_equal(found(fdb, 1, 1, 1), 0);
	fdb_destroy(fdb);
}

static void ageing_in_slices_covers_the_table_once_a_round(void **state)
{
	struct fdb *fdb = table(1000);
	uint32_t before;

	(void)state;
	learn_many(fdb, 1, 0, 500, 10);
	before = fdb_count(fdb);
	for (uint32_t b = 0; b < fdb_buckets(fdb); b++) {
		fdb_age_some(fdb, 10 + AGE_S + LATE, 1);
		assert_true(fdb_count(fdb) <= before);
		assert_true(before - fdb_count(fdb) <= FDB_BUCKET_SLOTS);
		before = fdb_count(fdb);
	}
	assert_int_equal(before, 0);
	assert_counts_true(fdb);
	fdb_destroy(fdb);
}

static void flush(struct fdb *fdb, uint16_t port)
{
	fdb_flush_port(fdb, port);
	while (fdb_flush_some(fdb, 100))
		;
}

static void flush_forgets_one_port(void **state)
{
	struct fdb *fdb = table(1000);

	(void)state;
	learn_many(fdb, 1, 0, 200, 10);
	learn_many(fdb, 2, 0, 100, 10);
	flush(fdb, 1);
	assert_int_equal(found(fdb, 1, 0, 200), 0);
	assert_int_equal(found(fdb, 2, 0, 100), 100);
	assert_int_equal(fdb_count(fdb), 100);
	assert_counts_true(fdb);
	fdb_destroy(fdb);
}

static void flush_takes_slices_and_ports_that_come_later_a_pass_of_theirs(void **state)
{
	struct fdb *fdb = table(8192); /* no bucket is ever full */
	uint32_t slices = 0, half = fdb_buckets(fdb) / 2;

	(void)state;
	assert_false(fdb_flush_waits(fdb));
	assert_false(fdb_flush_some(fdb, 1)); /* nothing to do */
	for (uint16_t port = 1; port <= 3; port++)
		learn_many(fdb, port, 0, 200, 10);
	fdb_flush_port(fdb, 1);
	assert_true(fdb_flush_waits(fdb));
	assert_true(fdb_flush_some(fdb, half));
	assert_true(fdb_flush_waits(fdb));
	assert_in_range(found(fdb, 1, 0, 200), 1, 199);
	/*
	 * During the pass two more flushes begin: of another port, and of the first port again. The
	 * first port has new addresses in buckets that this pass has already handled.
	 */
	fdb_flush_port(fdb, 2);
	learn_many(fdb, 1, 0, 200, 10);
	fdb_flush_port(fdb, 1);
	assert_true(fdb_flush_some(fdb, half));
	assert_int_equal(found(fdb, 2, 0, 200), 200);
	while (fdb_flush_some(fdb, 1))
		slices++;
	assert_int_equal(slices, fdb_buckets(fdb) - 1);
	assert_int_equal(found(fdb, 1, 0, 200) + found(fdb, 2, 0, 200), 0);
	assert_int_equal(found(fdb, 3, 0, 200), 200);
	assert_counts_true(fdb);
	/* Addresses that are learned afterwards stay. */
	learn_many(fdb, 1, 0, 200, 10);
	assert_false(fdb_flush_waits(fdb));
	assert_false(fdb_flush_some(fdb, UINT32_MAX));
	assert_int_equal(found(fdb, 1, 0, 200), 200);
	fdb_destroy(fdb);
}

static void a_port_that_invents_addresses_pushes_out_nobody(void **state)
{
	struct fdb *fdb = table(4096);

	(void)state;
	for (uint16_t p = 1; p <= 20; p++)
		learn_many(fdb, p, 0, 10, 10);
	learn_many(fdb, 999, 0, 200000, 11);
	for (uint16_t p = 1; p <= 20; p++)
		assert_int_equal(found(fdb, p, 0, 10), 10);
	assert_true(fdb_port_count(fdb, 999) > 3000);
	assert_true(fdb_count(fdb) <= 4096);
	assert_counts_true(fdb);
	fdb_destroy(fdb);
}

static void small_ports_get_in_while_the_table_is_flooded(void **state)
{
	struct fdb *fdb = table(16384);

	(void)state;
	learn_many(fdb, 999, 0, 200000, 10);
	assert_true(fdb_count(fdb) <= 16384);
	for (uint16_t p = 1; p <= 20; p++) {
		learn_many(fdb, p, 0, 20, 11);
		learn_many(fdb, 999, 300000 + p * 5000, 5000, 11);
	}
	for (uint16_t p = 1; p <= 20; p++)
		assert_int_equal(found(fdb, p, 0, 20), 20);
	assert_true(fdb_count(fdb) <= fdb_buckets(fdb) * FDB_BUCKET_SLOTS);
	assert_counts_true(fdb);
	fdb_destroy(fdb);
}

static void two_flooders_share_and_spare_the_rest(void **state)
{
	struct fdb *fdb = table(2048);

	(void)state;
	learn_many(fdb, 1, 0, 50, 10);
	for (uint32_t n = 0; n < 100000; n++) {
		fdb_learn(fdb, mac_of(500, n), 500, 11);
		fdb_learn(fdb, mac_of(501, n), 501, 11);
	}
	assert_int_equal(found(fdb, 1, 0, 50), 50);
	assert_true(fdb_port_count(fdb, 500) > 500);
	assert_true(fdb_port_count(fdb, 501) > 500);
	fdb_destroy(fdb);
}

/* The next address of port from *n on that belongs to this pair of buckets. */
static uint64_t mac_in_pair(const struct fdb *fdb, uint16_t port, uint32_t pair, uint32_t *n)
{
	while (fdb_home(fdb, fdb_place(fdb, mac_of(port, *n))) / 2 != pair)
		++*n;
	return mac_of(port, (*n)++);
}

/* Learn `count` addresses of port that belong to pair 0. The numbers begin with *n. */
static void learn_in_pair(
    struct fdb *fdb, uint16_t port, uint32_t *n, unsigned count, uint32_t now_s)
{
	while (count--)
		fdb_learn(fdb, mac_in_pair(fdb, port, 0, n), port, now_s);
}

#define PAIR (2 * FDB_BUCKET_SLOTS)

/* If both buckets are full, the oldest entry is replaced. */
static void full_buckets_hold_for_one_port_and_its_oldest_goes(void **state)
{
	uint64_t mac[PAIR + 1];

	(void)state;
	for (unsigned oldest = 0; oldest < PAIR; oldest++) {
		struct fdb *fdb = table(1000);
		uint32_t n = 0;

		for (unsigned i = 0; i <= PAIR; i++)
			mac[i] = mac_in_pair(fdb, 1, 0, &n);
		for (unsigned i = 0; i < PAIR; i++)
			fdb_learn(fdb, mac[i], 1, 10);
		for (unsigned i = 0; i < PAIR; i++)
			if (i != oldest)
				fdb_learn(fdb, mac[i], 1, 10 + TICK_S);
		fdb_learn(fdb, mac[PAIR], 1, 10 + TICK_S);
		assert_int_equal(fdb_count(fdb), PAIR);
		for (unsigned i = 0; i <= PAIR; i++)
			assert_int_equal(fdb_lookup(fdb, mac[i]), i == oldest ? FDB_NONE : 1);
		fdb_destroy(fdb);
	}
}

static void the_biggest_port_pays_and_its_equals_do_not(void **state)
{
	struct fdb *fdb = table(1000);
	uint32_t n[3] = {0};

	(void)state;
	learn_in_pair(fdb, 1, &n[0], 12, 10 + TICK_S);
	learn_in_pair(fdb, 2, &n[1], 4, 10); /* older entries, but of a port with few */
	learn_in_pair(fdb, 3, &n[2], 3, 10 + TICK_S);
	assert_int_equal(fdb_port_count(fdb, 1), 9);
	assert_int_equal(fdb_port_count(fdb, 2), 4);
	assert_int_equal(fdb_port_count(fdb, 3), 3);
	/* Port 1 still has the most entries, so new ones replace its own. */
	learn_in_pair(fdb, 1, &n[0], 50, 10 + TICK_S);
	assert_int_equal(fdb_port_count(fdb, 1), 9);
	assert_int_equal(fdb_port_count(fdb, 2), 4);
	assert_int_equal(fdb_port_count(fdb, 3), 3);
	assert_counts_true(fdb);
	fdb_destroy(fdb);
}

static void nobody_gives_way_to_an_equal(void **state)
{
	const uint16_t learner = 100;
	struct fdb *fdb = table(1000);
	uint32_t n = 0;

	(void)state;
	fdb_learn(fdb, mac_in_pair(fdb, learner, 1, &n), learner, 20);
	/* Ports with one address each fill the other pair. */
	for (uint16_t p = 1; p <= PAIR; p++) {
		uint32_t first = 0;

		learn_in_pair(fdb, p, &first, 1, 10);
		assert_int_equal(fdb_port_count(fdb, p), 1);
	}
	learn_in_pair(fdb, learner, &n, 1, 20);
	assert_int_equal(fdb_port_count(fdb, learner), 1);
	for (uint16_t p = 1; p <= PAIR; p++)
		assert_int_equal(fdb_port_count(fdb, p), 1);
	assert_int_equal(fdb_refused(fdb), 1);
	assert_counts_true(fdb);
	fdb_destroy(fdb);
}

/*
 * Most buckets of a small table are empty, also if the table has as many entries as it may have.
 * The limit holds, and a new address gets in after some frames.
 */
static void a_small_table_keeps_its_limit_and_learns_on(void **state)
{
	static const uint32_t sizes[] = {1, 8, 100, 1000};

	(void)state;
	for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++) {
		struct fdb *fdb = table(sizes[s]);

		learn_many(fdb, 1, 0, 2 * sizes[s], 10);
		assert_int_equal(fdb_count(fdb), sizes[s]);
		/* The search for a victim comes past each bucket. */
		for (uint32_t n = 0; n < fdb_buckets(fdb) / FDB_SEARCH; n++)
			learn_many(fdb, 1, 5000, 1, 11);
		assert_int_equal(found(fdb, 1, 5000, 1), 1);
		assert_int_equal(fdb_count(fdb), sizes[s]);
		assert_counts_true(fdb);
		fdb_destroy(fdb);
	}
}

/* The port with most addresses pays, wherever its entries are. */
static void in_a_small_table_small_ports_get_in_and_stay(void **state)
{
	struct fdb *fdb = table(100);

	(void)state;
	learn_many(fdb, 999, 0, 200, 10);
	for (uint32_t n = 0; n < fdb_buckets(fdb); n++)
		for (uint16_t p = 1; p <= 5; p++)
			learn_many(fdb, p, 0, 4, 11);
	learn_many(fdb, 999, 0, 20000, 11);
	for (uint16_t p = 1; p <= 5; p++)
		assert_int_equal(found(fdb, p, 0, 4), 4);
	assert_in_range(fdb_count(fdb), 100, 120);
	assert_counts_true(fdb);
	fdb_destroy(fdb);
}

/* One MAC has an entry of its own in each domain. */
static void domains_are_apart(void **state)
{
	struct fdb *fdb = table(2 * FDB_DOMAINS);
	const uint64_t mac = mac_of(1, 1);
	uint32_t hits = 0;

	(void)state;
	for (unsigned d = 1; d < FDB_DOMAINS; d += 2)
		fdb_learn(fdb, fdb_address(mac, d), d % 1000, 10);
	for (unsigned d = 0; d < FDB_DOMAINS; d += 2)
		assert_int_equal(fdb_lookup(fdb, fdb_address(mac, d)), FDB_NONE);
	for (unsigned d = 1; d < FDB_DOMAINS; d += 2)
		hits += fdb_lookup(fdb, fdb_address(mac, d)) == d % 1000;
	assert_int_equal(hits, FDB_DOMAINS / 2);
	for (unsigned d = 0; d < FDB_DOMAINS; d++)
		fdb_learn(fdb, fdb_address(0, d), 1, 10);
	assert_int_equal(fdb_count(fdb), FDB_DOMAINS / 2);
	fdb_destroy(fdb);
}

/* Each entry says which address it is of. The port is made from the address here. */
static uint16_t port_for(uint64_t address)
{
	return (address ^ address >> 13 ^ address >> 29 ^ address >> 50) % FDB_PORTS_MAX;
}

static void check_entry(const struct fdb_entry *entry, void *arg)
{
	uint32_t *n = arg;

	assert_false(mac_is_group(entry->mac));
	assert_int_equal(entry->port, port_for(fdb_address(entry->mac, entry->domain)));
	assert_false(entry->is_static);
	++*n;
}

static uint64_t random_state = 88172645463325252u;

static uint64_t draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void each_entry_gives_its_address_back(void **state)
{
	static const uint32_t sizes[] = {100, 30000, 60000, 120000, 500000};

	(void)state;
	for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++) {
		struct fdb *fdb = table(sizes[s]);
		uint32_t n = 0;

		/* With so many addresses some are in the bucket beside their own. */
		for (uint32_t i = 0; i < 3 * sizes[s]; i++) {
			uint64_t address = draw() >> 4 & ~UINT64_C(1);

			fdb_learn(fdb, address, port_for(address), 10);
		}
		fdb_foreach(fdb, check_entry, &n);
		assert_int_equal(n, fdb_count(fdb));
		assert_true(n >= sizes[s]);
		fdb_destroy(fdb);
	}
}

/* Address number i of a set that a guest, or the maker of its cards, may choose. */
struct address_set {
	const char *name;
	uint64_t (*address)(unsigned i);
};

/* The bytes of a MAC in the order of the wire, from a number. */
static uint64_t wire(uint64_t number)
{
	return __builtin_bswap64(number << 16);
}

static uint64_t counted(unsigned i)
{
	return wire(UINT64_C(0x525400000000) + i);
}

static uint64_t counted_backwards(unsigned i)
{
	return 2 + 4 * (uint64_t)i;
}

static uint64_t of_one_maker(unsigned i)
{
	return wire(UINT64_C(0x00163e000000) + (i * UINT64_C(2654435761) >> 7 & 0xffffff));
}

static uint64_t same_low_bits(unsigned i)
{
	return UINT64_C(2) | (uint64_t)i << 34;
}

static uint64_t same_high_bits(unsigned i)
{
	return UINT64_C(0x5a5a00000002) | (uint64_t)i << 2;
}

static uint64_t in_steps(unsigned i)
{
	return (UINT64_C(0x10001000102) * (i + 1)) & FDB_MAC & ~UINT64_C(1);
}

static uint64_t in_long_steps(unsigned i)
{
	return (UINT64_C(0x5a827999fcef) * (i + 1)) & FDB_MAC & ~UINT64_C(1);
}

static uint64_t all_vlans_of_four(unsigned i)
{
	return fdb_address(wire(UINT64_C(0x525400000000) + i / 4096), i % 4096);
}

static uint64_t vlan_and_mac_together(unsigned i)
{
	return fdb_address(wire(UINT64_C(0x525400000000) + i), i % 4096);
}

static uint64_t spread_bits(unsigned i)
{
	uint64_t address = 0;

	for (unsigned bit = 0; bit < 15; bit++)
		address |= (uint64_t)(i >> bit & 1) << (4 * bit + 1);
	return address;
}

static const struct address_set sets[] = {
    {"counted", counted},
    {"counted backwards", counted_backwards},
    {"of one maker", of_one_maker},
    {"same low bits", same_low_bits},
    {"same high bits", same_high_bits},
    {"in steps", in_steps},
    {"in long steps", in_long_steps},
    {"all VLANs of four MACs", all_vlans_of_four},
    {"VLAN and MAC together", vlan_and_mac_together},
    {"spread bits", spread_bits},
};

#define SET_SIZE 16384

/* The most addresses of the set that share a pair of buckets. */
static unsigned most_in_a_pair(const struct fdb *fdb, const struct address_set *set)
{
	static uint8_t load[FDB_BUCKETS_MIN / 2];
	unsigned most = 0;

	memset(load, 0, sizeof(load));
	for (unsigned i = 0; i < SET_SIZE; i++) {
		uint8_t *at = &load[fdb_home(fdb, fdb_place(fdb, set->address(i))) / 2];

		++*at;
		most = MAX(most, (unsigned)*at);
	}
	return most;
}

/*
 * Four addresses per pair on average. Of random addresses a pair gets more than 19 in about one of
 * ten thousand tables. Nobody aims at a pair: this is so for each set, in each table.
 */
static void no_set_of_addresses_aims_at_a_bucket(void **state)
{
	unsigned most[ARRAY_SIZE(sets)] = {0}, over[ARRAY_SIZE(sets)] = {0};

	(void)state;
	for (unsigned t = 0; t < 200; t++) {
		struct fdb *fdb = table(1);

		for (unsigned s = 0; s < ARRAY_SIZE(sets); s++) {
			unsigned n = most_in_a_pair(fdb, &sets[s]);

			most[s] = MAX(most[s], n);
			over[s] += n > 15;
		}
		fdb_destroy(fdb);
	}
	for (unsigned s = 0; s < ARRAY_SIZE(sets); s++) {
		print_message(
		    "%s: at most %u; over 15 in %u tables\n", sets[s].name, most[s], over[s]);
		assert_true(most[s] <= 24);
		assert_true(over[s] <= 30);
	}
}

static void a_static_entry_stays(void **state)
{
	struct fdb *fdb = table(1000);
	const uint64_t a = fdb_address(mac_of(1, 1), 7);

	(void)state;
	fdb_learn(fdb, a, 2, 10);
	assert_int_equal(fdb_static_set(fdb, a, 1), 0);
	assert_int_equal(fdb_static_set(fdb, a, 1), 0);
	assert_int_equal(fdb_static_set(fdb, a, 3), -EEXIST);
	assert_int_equal(fdb_count(fdb), 0);
	assert_int_equal(fdb_static_count(fdb), 1);
	fdb_learn(fdb, a, 2, 10);
	assert_int_equal(fdb_lookup(fdb, a), 1);
	assert_int_equal(fdb_moves(fdb), 0);
	fdb_learn(fdb, a, 1, 10);
	for (uint32_t s = 0; s < 4 * AGE_S; s += TICK_S)
		fdb_age_some(fdb, s, fdb_buckets(fdb));
	flush(fdb, 1);
	fdb_flush_port(fdb, 1);
	assert_int_equal(fdb_lookup(fdb, a), 1);
	/* Nobody pushes it out, however many addresses the guest invents. */
	for (uint32_t i = 0; i < 300000; i++)
		fdb_learn(fdb, mac_of(5, i), 5, 10);
	assert_int_equal(fdb_lookup(fdb, a), 1);
	assert_int_equal(fdb_static_clear(fdb, a, 2), -ENOENT);
	assert_int_equal(fdb_static_clear(fdb, fdb_address(mac_of(1, 1), 8), 1), -ENOENT);
	assert_int_equal(fdb_static_clear(fdb, a, 1), 0);
	assert_int_equal(fdb_static_clear(fdb, a, 1), -ENOENT);
	assert_int_equal(fdb_static_count(fdb), 0);
	assert_int_equal(fdb_lookup(fdb, a), FDB_NONE);
	flush(fdb, 5);
	fdb_learn(fdb, a, 2, 10);
	assert_int_equal(fdb_lookup(fdb, a), 2);
	assert_counts_true(fdb);
	fdb_destroy(fdb);
}

static void static_entries_fill_their_buckets_and_no_more(void **state)
{
	struct fdb *fdb = table(1000);
	uint64_t mac[PAIR + 1];
	uint32_t n = 0;

	(void)state;
	learn_in_pair(fdb, 9, &n, PAIR, 10);
	for (unsigned i = 0; i <= PAIR; i++) {
		mac[i] = mac_in_pair(fdb, 9, 0, &n);
		assert_int_equal(fdb_static_set(fdb, mac[i], i), i < PAIR ? 0 : -ENOSPC);
	}
	fdb_learn(fdb, mac[PAIR], 9, 10);
	assert_int_equal(fdb_refused(fdb), 1);
	assert_int_equal(fdb_count(fdb), 0);
	for (unsigned i = 0; i <= PAIR; i++)
		assert_int_equal(fdb_lookup(fdb, mac[i]), i < PAIR ? i : FDB_NONE);
	assert_int_equal(fdb_static_set(fdb, 0, 1), -EINVAL);
	assert_int_equal(fdb_static_set(fdb, mac_of(1, 1) | 1, 1), -EINVAL);
	assert_int_equal(fdb_static_set(fdb, mac_of(1, 1), FDB_PORTS_MAX), -EINVAL);
	fdb_destroy(fdb);
}

#define THREADS     4
#define SHARED_MACS 64
#define ROUNDS      20000

struct hammer {
	struct fdb *fdb;
	uint16_t port;
	uint32_t strange; /* look-ups with a result that no thread has learned */
};

/*
 * Learn and look up addresses of this thread's port, and addresses that all threads learn. Thread 0
 * also learns many new addresses.
 */
static void *hammer_run(void *arg)
{
	struct hammer *h = arg;

	for (uint32_t r = 0; r < ROUNDS; r++) {
		uint64_t shared = mac_of(100, r % SHARED_MACS);
		uint64_t own = mac_of(h->port, r % 16);
		uint16_t at;

		if (!known(h->fdb, own, h->port, r / 1000))
			fdb_learn(h->fdb, own, h->port, r / 1000);
		fdb_learn(h->fdb, shared, h->port, r / 1000);
		if (h->port == 0)
			fdb_learn(h->fdb, mac_of(0, 1000 + r), 0, r / 1000);
		at = fdb_lookup(h->fdb, shared);
		h->strange += at != FDB_NONE && at >= THREADS;
		at = fdb_lookup(h->fdb, own);
		h->strange += at != FDB_NONE && at != h->port;
	}
	return NULL;
}

static void threads_learn_and_look_up_at_once(void **state)
{
	struct fdb *fdb = table(1024);
	struct hammer h[THREADS];
	pthread_t thread[THREADS];

	(void)state;
	for (unsigned t = 0; t < THREADS; t++) {
		h[t] = (struct hammer){.fdb = fdb, .port = t};
		assert_int_equal(pthread_create(&thread[t], NULL, hammer_run, &h[t]), 0);
	}
	/* The control thread ages, flushes and lists meanwhile. */
	for (unsigned i = 0; i < 200; i++) {
		uint32_t by_port[FDB_PORTS_MAX] = {0};

		fdb_age_some(fdb, i % 20, fdb_buckets(fdb) / 10);
		fdb_flush_port(fdb, i % THREADS);
		fdb_flush_some(fdb, fdb_buckets(fdb) / 7);
		fdb_foreach(fdb, tally, by_port);
	}
	for (unsigned t = 0; t < THREADS; t++)
		assert_int_equal(pthread_join(thread[t], NULL), 0);

	/* All threads have ended: the counters must be right, and no lock may be held. */
	assert_counts_true(fdb);
	/* Port 0 was the flooder: at the limit, fairness may refuse it. */
	flush(fdb, 0);
	for (unsigned t = 0; t < THREADS; t++) {
		assert_int_equal(h[t].strange, 0);
		learn_many(fdb, t, 0, 16, 1000);
		assert_int_equal(found(fdb, t, 0, 16), 16);
	}
	for (uint32_t n = 0; n < SHARED_MACS; n++)
		fdb_learn(fdb, mac_of(100, n), 100, 1000);
	assert_int_equal(found(fdb, 100, 0, SHARED_MACS), SHARED_MACS);
	assert_true(fdb_count(fdb) <= fdb_buckets(fdb) * FDB_BUCKET_SLOTS);
	assert_counts_true(fdb);
	fdb_destroy(fdb);
}

static void a_busy_bucket_is_skipped_not_waited_for(void **state)
{
	struct fdb *fdb = table(8);

	(void)state;
	memset(fdb->lock, 1, fdb_buckets(fdb) / 2);
	fdb_learn(fdb, mac_of(1, 1), 1, 10);
	assert_int_equal(fdb_count(fdb), 0);
	memset(fdb->lock, 0, fdb_buckets(fdb) / 2);
	fdb_learn(fdb, mac_of(1, 1), 1, 10);
	assert_int_equal(fdb_count(fdb), 1);
	fdb_destroy(fdb);
}

static void slices_show_each_entry_once(void **state)
{
	struct fdb *fdb = table(5000);
	uint32_t by_port[2] = {0};

	(void)state;
	learn_many(fdb, 1, 0, 4000, 1);
	for (uint32_t first = 0; first < fdb_buckets(fdb) + 7; first += 7)
		fdb_foreach_from(fdb, first, 7, tally, by_port);
	assert_int_equal(by_port[1], 4000);
	fdb_foreach_from(fdb, fdb_buckets(fdb), UINT32_MAX, tally, by_port);
	fdb_foreach_from(fdb, UINT32_MAX, UINT32_MAX, tally, by_port);
	assert_int_equal(by_port[1], 4000);
	fdb_foreach_from(fdb, 0, UINT32_MAX, tally, by_port);
	assert_int_equal(by_port[1], 8000);
	fdb_destroy(fdb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(create_refuses_impossible_sizes),
	    cmocka_unit_test(there_are_two_slots_for_each_entry),
	    cmocka_unit_test(mac_load_reads_six_bytes_anywhere),
	    cmocka_unit_test(what_was_learned_is_found),
	    cmocka_unit_test(a_full_promise_is_kept),
	    cmocka_unit_test(zero_group_and_strange_ports_are_not_learned),
	    cmocka_unit_test(an_address_moves_and_is_counted_once),
	    cmocka_unit_test(known_means_this_port_and_lately),
	    cmocka_unit_test(entries_go_when_older_than_the_ageing_time),
	    cmocka_unit_test(the_shortest_and_the_longest_ageing_time),
	    cmocka_unit_test(every_bit_of_an_entry_counts),
	    cmocka_unit_test(a_confirmed_entry_stays),
	    cmocka_unit_test(ageing_in_slices_covers_the_table_once_a_round),
	    cmocka_unit_test(flush_forgets_one_port),
	    cmocka_unit_test(flush_takes_slices_and_ports_that_come_later_a_pass_of_theirs),
	    cmocka_unit_test(a_port_that_invents_addresses_pushes_out_nobody),
	    cmocka_unit_test(small_ports_get_in_while_the_table_is_flooded),
	    cmocka_unit_test(two_flooders_share_and_spare_the_rest),
	    cmocka_unit_test(full_buckets_hold_for_one_port_and_its_oldest_goes),
	    cmocka_unit_test(the_biggest_port_pays_and_its_equals_do_not),
	    cmocka_unit_test(nobody_gives_way_to_an_equal),
	    cmocka_unit_test(a_small_table_keeps_its_limit_and_learns_on),
	    cmocka_unit_test(in_a_small_table_small_ports_get_in_and_stay),
	    cmocka_unit_test(domains_are_apart),
	    cmocka_unit_test(each_entry_gives_its_address_back),
	    cmocka_unit_test(no_set_of_addresses_aims_at_a_bucket),
	    cmocka_unit_test(a_static_entry_stays),
	    cmocka_unit_test(static_entries_fill_their_buckets_and_no_more),
	    cmocka_unit_test(threads_learn_and_look_up_at_once),
	    cmocka_unit_test(a_busy_bucket_is_skipped_not_waited_for),
	    cmocka_unit_test(slices_show_each_entry_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

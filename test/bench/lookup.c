/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Measures the cost of the bridge for several numbers of learned addresses, in one domain and in
 * 100. It prints cycles for three operations: a look-up; the verdict on a frame with the same
 * source as the last frame; the verdict on a frame with another source. Addresses are drawn at
 * random, so that no branch and no cache line can be predicted.
 *
 * usage: vswitch-lookup [LEVEL]: limit the vector instructions to LEVEL, such as AVX2
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "bridge/fdb_vector.h"
#include "bridge/forward.h"

#define BURST  32
#define BURSTS 32768
#define ROUNDS 8
#define PORTS  64

static uint64_t dst[BURSTS * BURST], src[BURSTS * BURST];
static uint64_t state = 1;

static uint64_t draw(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % n;
}

static unsigned domains;

static uint64_t address_number(uint64_t i)
{
	uint64_t mac = (i * UINT64_C(0x9e3779b97f4a7c15) & UINT64_C(0xfffffffffffc)) | 2;

	return fdb_address(mac, i / 2 % domains);
}

/*
 * Draw a random learned address. Its number is below macs and has this parity. (Some addresses were
 * not learned, because both their buckets were full.)
 */
static uint64_t draw_known(const struct fdb *fdb, uint64_t macs, unsigned parity)
{
	uint64_t mac;

	do
		mac = address_number(2 * draw(macs / 2) + parity);
	while (fdb_lookup(fdb, mac) == FDB_NONE);
	return mac;
}

/*
 * The address address_number(i) is behind port 0, which sends the bursts, if i is odd, and behind
 * one of the other ports if i is even.
 */
static uint16_t port_of(uint64_t i)
{
	return i % 2 ? 0 : 1 + i / 2 % (PORTS - 1);
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double measure(struct fdb *fdb)
{
	static double cycles[ROUNDS];
	uint16_t verdict[BURST];
	unsigned flooded = 0;

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t begin = cpu_clock();

		for (unsigned b = 0; b < BURSTS; b++) {
			forward_burst(fdb, 0, 1, BURST, &dst[b * BURST], &src[b * BURST], verdict);
			for (unsigned i = 0; i < BURST; i++)
				flooded += verdict[i] >= PORTS;
		}
		cycles[r] = (double)(cpu_clock() - begin) / (BURSTS * BURST);
	}
	if (flooded) {
		fprintf(stderr, "%u frames did not find their port\n", flooded);
		exit(1);
	}
	qsort(cycles, ROUNDS, sizeof(cycles[0]), by_value);
	return cycles[ROUNDS / 4];
}

/* Only look up, with prefetches for a burst ahead. */
static ALWAYS_INLINE uint64_t look_up(
    const struct fdb *fdb, uint16_t (*match)(const struct fdb_bucket *, uint64_t))
{
	uint64_t sum = 0;

	for (unsigned b = 0; b < BURSTS; b++) {
		struct fdb_spot spot[BURST];

		for (unsigned i = 0; i < BURST; i++) {
			spot[i] = fdb_spot(fdb, dst[b * BURST + i]);
			fdb_prefetch(&spot[i]);
		}
		for (unsigned i = 0; i < BURST; i++) {
			uint16_t port = match(spot[i].home, spot[i].key);

			if (UNLIKELY(port == FDB_NONE))
				port = fdb_lookup(fdb, dst[b * BURST + i]);
			sum += port;
		}
	}
	return sum;
}

static CPU_AVX2 uint64_t look_up_avx2(const struct fdb *fdb)
{
	return look_up(fdb, fdb_bucket_match_avx2);
}

static CPU_AVX512 uint64_t look_up_avx512(const struct fdb *fdb)
{
	return look_up(fdb, fdb_bucket_match_avx512);
}

static uint64_t look_up_all(const struct fdb *fdb)
{
	if (fdb->level == CPU_LEVEL_AVX512)
		return look_up_avx512(fdb);
	if (fdb->level == CPU_LEVEL_AVX2)
		return look_up_avx2(fdb);
	return look_up(fdb, fdb_bucket_match);
}

static double measure_lookup(const struct fdb *fdb)
{
	static double cycles[ROUNDS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t begin = cpu_clock(), sum;

		sum = look_up_all(fdb);
		cycles[r] = (double)(cpu_clock() - begin) / (BURSTS * BURST);
		if (sum >= (uint64_t)PORTS * BURSTS * BURST)
			exit(1);
	}
	qsort(cycles, ROUNDS, sizeof(cycles[0]), by_value);
	return cycles[ROUNDS / 4];
}

/* Measure a table of so many addresses, and print the result. False: no memory. */
static bool measure_table(unsigned macs)
{
	struct fdb *fdb = fdb_create(macs, 300);
	double both, one, lookup;

	if (!fdb)
		return false;
	for (uint64_t i = 0; i < macs; i++)
		fdb_learn(fdb, address_number(i), port_of(i), 1);
	for (unsigned i = 0; i < BURSTS * BURST; i++) {
		dst[i] = draw_known(fdb, macs, 0);
		src[i] = draw_known(fdb, macs, 1);
	}
	both = measure(fdb);
	for (unsigned i = 0; i < BURSTS * BURST; i++)
		src[i] = address_number(1);
	one = measure(fdb);
	lookup = measure_lookup(fdb);
	printf("{\"macs\": %u, \"domains\": %u, \"lookup\": %.1f, \"destination\": %.1f, "
	       "\"frame\": %.1f, \"level\": \"%s\"}\n",
	    macs, domains, lookup, one, both, cpu_level_name(cpu_level()));
	fdb_destroy(fdb);
	return true;
}

int main(int argc, char *argv[])
{
	static const unsigned counts[] = {2, 1024, 16384, 262144, 1000000};

	for (unsigned level = 0; level < CPU_LEVEL_COUNT; level++)
		if (argc > 1 && strcmp(argv[1], cpu_level_name(level)) == 0)
			cpu_allow_level(level);
	for (domains = 1; domains <= 100; domains += 99) {
		for (unsigned c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
			if (!measure_table(counts[c]))
				return 2;
	}
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/forward.h"

#include "bridge/fdb_vector.h"

/* 01:80:c2:00:00:00 to 01:80:c2:00:00:0f, as mac_load() returns them. */
#define LINK_LOCAL      UINT64_C(0x000000c28001)
#define LINK_LOCAL_MASK UINT64_C(0xf0ffffffffff)
#define PAUSE           UINT64_C(0x010000c28001)

static bool source_valid(uint64_t mac)
{
	return mac != 0 && !mac_is_group(mac);
}

/* The verdict for a group address or address 0. */
static uint16_t decide_group(const struct fdb *fdb, uint64_t dst)
{
	if ((dst & LINK_LOCAL_MASK) != LINK_LOCAL)
		return FORWARD_FLOOD;
	return fdb->forward_link_local && dst != PAUSE ? FORWARD_FLOOD : FORWARD_DROP_LINK_LOCAL;
}

/* The look-up functions of one CPU level. Callers pass constants, so they are inlined. */
struct ways {
	uint16_t (*lookup)(const struct fdb *fdb, uint64_t mac);
	bool (*known)(const struct fdb *fdb, uint64_t mac, uint64_t ending);
};

static ALWAYS_INLINE uint16_t decide(
    const struct fdb *fdb, struct ways ways, uint16_t in_port, uint64_t dst)
{
	uint16_t port;

	if (UNLIKELY(mac_is_group(dst) || dst == 0))
		return decide_group(fdb, dst);
	port = ways.lookup(fdb, dst);
	if (UNLIKELY(port == in_port))
		return FORWARD_DROP_HAIRPIN;
	return port == FDB_NONE ? FORWARD_FLOOD : port;
}

/* Prefetch all buckets first, so that cache misses overlap. Skip an address that repeats. */
static void prefetch_buckets(
    const struct fdb *fdb, unsigned n, const uint64_t dst[], const uint64_t src[])
{
	for (unsigned i = 1; i < n; i++) {
		if (dst[i] != dst[i - 1])
			fdb_prefetch(fdb, dst[i]);
		if (src[i] != src[i - 1])
			fdb_prefetch(fdb, src[i]);
	}
}

static ALWAYS_INLINE void forward(struct fdb *fdb, struct ways ways, uint16_t in_port,
    uint32_t now_s, unsigned n, const uint64_t dst[], const uint64_t src[], uint16_t ret_verdict[])
{
	uint64_t ending = fdb_ending(fdb, in_port, now_s);
	/* Addresses and verdict of the previous frame. 0 is never a valid source. */
	uint64_t last_src = 0, last_dst = 0;
	uint16_t last_verdict = 0;
	bool have_dst = false;

	prefetch_buckets(fdb, n, dst, src);
	for (unsigned i = 0; i < n; i++) {
		if (UNLIKELY(src[i] != last_src || src[i] == 0)) {
			if (!source_valid(src[i])) {
				ret_verdict[i] = FORWARD_DROP_BAD_SOURCE;
				continue;
			}
			if (UNLIKELY(!ways.known(fdb, src[i], ending)))
				fdb_learn(fdb, src[i], in_port, now_s);
			last_src = src[i];
			/* What was learned may change the verdict for the same destination. */
			have_dst = false;
		}
		if (UNLIKELY(dst[i] != last_dst || !have_dst)) {
			last_verdict = decide(fdb, ways, in_port, dst[i]);
			last_dst = dst[i];
			have_dst = true;
		}
		ret_verdict[i] = last_verdict;
	}
}

static CPU_AVX2 void forward_avx2(struct fdb *fdb, uint16_t in_port, uint32_t now_s, unsigned n,
    const uint64_t dst[], const uint64_t src[], uint16_t ret_verdict[])
{
	forward(fdb, (struct ways){fdb_lookup_avx2, fdb_known_avx2}, in_port, now_s, n, dst, src,
	    ret_verdict);
}

static CPU_AVX512 void forward_avx512(struct fdb *fdb, uint16_t in_port, uint32_t now_s, unsigned n,
    const uint64_t dst[], const uint64_t src[], uint16_t ret_verdict[])
{
	forward(fdb, (struct ways){fdb_lookup_avx512, fdb_known_avx512}, in_port, now_s, n, dst,
	    src, ret_verdict);
}

void forward_burst(struct fdb *fdb, uint16_t in_port, uint32_t now_s, unsigned n,
    const uint64_t dst[], const uint64_t src[], uint16_t ret_verdict[])
{
	if (fdb->level == CPU_LEVEL_AVX512)
		forward_avx512(fdb, in_port, now_s, n, dst, src, ret_verdict);
	else if (fdb->level == CPU_LEVEL_AVX2)
		forward_avx2(fdb, in_port, now_s, n, dst, src, ret_verdict);
	else
		forward(fdb, (struct ways){fdb_lookup, fdb_known}, in_port, now_s, n, dst, src,
		    ret_verdict);
}

void forward_link_local_too(struct fdb *fdb)
{
	fdb->forward_link_local = true;
}

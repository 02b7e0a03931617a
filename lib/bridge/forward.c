/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/forward.h"

#include "bridge/fdb_vector.h"

/* 01:80:c2:00:00:00 to 01:80:c2:00:00:0f, as mac_load() returns them. */
#define LINK_LOCAL      UINT64_C(0x000000c28001)
#define LINK_LOCAL_MASK UINT64_C(0xf0ffffffffff)
#define PAUSE           UINT64_C(0x010000c28001)

/* The verdict for a group address or address 0. */
static uint16_t decide_group(const struct fdb *fdb, uint64_t dst)
{
	if ((dst & LINK_LOCAL_MASK) != LINK_LOCAL)
		return FORWARD_FLOOD;
	return fdb->forward_link_local && (dst & FDB_MAC) != PAUSE ? FORWARD_FLOOD
								   : FORWARD_DROP_LINK_LOCAL;
}

/* The look-up functions of one CPU level. Callers pass constants, so they are inlined. */
struct ways {
	uint16_t (*lookup)(const struct fdb *fdb, uint64_t place);
	bool (*known)(const struct fdb *fdb, uint64_t place, uint64_t ending);
};

static ALWAYS_INLINE uint16_t decide(
    const struct fdb *fdb, struct ways ways, uint16_t in_port, uint64_t dst, uint64_t place)
{
	uint16_t port;

	if (UNLIKELY(mac_is_group(dst) || (dst & FDB_MAC) == 0))
		return decide_group(fdb, dst);
	port = ways.lookup(fdb, place);
	if (UNLIKELY(port == in_port))
		return FORWARD_DROP_HAIRPIN;
	return port == FDB_NONE ? FORWARD_FLOOD : port;
}

/* The places of the addresses of a burst. */
struct places {
	uint64_t dst[FORWARD_BURST], src[FORWARD_BURST];
};

/* The place of address i, and its prefetch. An address that repeats is skipped. */
static ALWAYS_INLINE void place_one(
    const struct fdb *fdb, unsigned i, const uint64_t address[], uint64_t place[])
{
	if (i && address[i] == address[i - 1]) {
		place[i] = place[i - 1];
		return;
	}
	place[i] = fdb_place(fdb, address[i]);
	if (i)
		fdb_prefetch(fdb, place[i]);
}

/*
 * Find all places first, and prefetch their buckets, so that cache misses overlap. The first frame
 * is looked up at once, so a prefetch for it would be too late.
 */
static ALWAYS_INLINE void find_places(const struct fdb *fdb, unsigned n, const uint64_t dst[],
    const uint64_t src[], struct places *ret)
{
	for (unsigned i = 0; i < n; i++) {
		place_one(fdb, i, dst, ret->dst);
		place_one(fdb, i, src, ret->src);
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
	struct places place;

	find_places(fdb, n, dst, src, &place);
	for (unsigned i = 0; i < n; i++) {
		if (UNLIKELY(src[i] != last_src || src[i] == 0)) {
			if (!fdb_is_station(src[i])) {
				ret_verdict[i] = FORWARD_DROP_BAD_SOURCE;
				continue;
			}
			if (UNLIKELY(!ways.known(fdb, place.src[i], ending)))
				fdb_learn(fdb, src[i], in_port, now_s);
			last_src = src[i];
			/* What was learned may change the verdict for the same destination. */
			have_dst = false;
		}
		if (UNLIKELY(dst[i] != last_dst || !have_dst)) {
			last_verdict = decide(fdb, ways, in_port, dst[i], place.dst[i]);
			last_dst = dst[i];
			have_dst = true;
		}
		ret_verdict[i] = last_verdict;
	}
}

static CPU_AVX2 void forward_avx2(struct fdb *fdb, uint16_t in_port, uint32_t now_s, unsigned n,
    const uint64_t dst[], const uint64_t src[], uint16_t ret_verdict[])
{
	forward(fdb, (struct ways){fdb_lookup_at_avx2, fdb_known_at_avx2}, in_port, now_s, n, dst,
	    src, ret_verdict);
}

static CPU_AVX512 void forward_avx512(struct fdb *fdb, uint16_t in_port, uint32_t now_s, unsigned n,
    const uint64_t dst[], const uint64_t src[], uint16_t ret_verdict[])
{
	forward(fdb, (struct ways){fdb_lookup_at_avx512, fdb_known_at_avx512}, in_port, now_s, n,
	    dst, src, ret_verdict);
}

void forward_burst(struct fdb *fdb, uint16_t in_port, uint32_t now_s, unsigned n,
    const uint64_t dst[], const uint64_t src[], uint16_t ret_verdict[])
{
	if (fdb->level == CPU_LEVEL_AVX512)
		forward_avx512(fdb, in_port, now_s, n, dst, src, ret_verdict);
	else if (fdb->level == CPU_LEVEL_AVX2)
		forward_avx2(fdb, in_port, now_s, n, dst, src, ret_verdict);
	else
		forward(fdb, (struct ways){fdb_lookup_at, fdb_known_at}, in_port, now_s, n, dst,
		    src, ret_verdict);
}

void forward_link_local_too(struct fdb *fdb)
{
	fdb->forward_link_local = true;
}

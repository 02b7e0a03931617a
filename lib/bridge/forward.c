/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/forward.h"

#include "bridge/fdb_vector.h"

/* 01:80:c2:00:00:00 to 01:80:c2:00:00:0f, as mac_load() returns them. */
#define LINK_LOCAL      UINT64_C(0x000000c28001)
#define LINK_LOCAL_MASK UINT64_C(0xf0ffffffffff)
#define PAUSE           UINT64_C(0x010000c28001)

/* No frame has this address. */
#define NO_ADDRESS UINT64_MAX

/* The verdict for a group address. */
static uint16_t decide_group(const struct fdb *fdb, uint64_t dst)
{
	if ((dst & LINK_LOCAL_MASK) != LINK_LOCAL)
		return FORWARD_FLOOD;
	return fdb->forward_link_local && (dst & FDB_MAC) != PAUSE ? FORWARD_FLOOD
								   : FORWARD_DROP_LINK_LOCAL;
}

/* The look-up functions of one CPU level. Callers pass constants, so they are inlined. */
struct ways {
	uint16_t (*match)(const struct fdb_bucket *bucket, uint64_t key);
	bool (*holds)(const struct fdb_bucket *bucket, uint64_t entry);
};

static __attribute__((noinline)) uint16_t find_aside(const struct fdb *fdb, uint64_t dst)
{
	return fdb_lookup(fdb, dst);
}

static ALWAYS_INLINE uint16_t decide(const struct fdb *fdb, struct ways ways, uint16_t in_port,
    uint64_t dst, const struct fdb_spot *spot)
{
	uint16_t port;

	if (UNLIKELY(mac_is_group(dst)))
		return decide_group(fdb, dst);
	port = ways.match(spot->home, spot->key);
	if (UNLIKELY(port == FDB_NONE))
		port = find_aside(fdb, dst);
	if (UNLIKELY(port == in_port))
		return FORWARD_DROP_HAIRPIN;
	return port == FDB_NONE ? FORWARD_FLOOD : port; /* address 0 is never known */
}

/*
 * The source is not in its home bucket with this ending. Learn it, unless it is in the other
 * bucket. False: no station can have this address.
 */
static __attribute__((noinline)) bool learn(
    struct fdb *fdb, uint64_t src, uint16_t in_port, uint32_t now_s)
{
	if (!fdb_is_station(src))
		return false;
	if (!fdb_known(fdb, src, fdb_ending(fdb, in_port, now_s)))
		fdb_learn(fdb, src, in_port, now_s);
	return true;
}

/*
 * The spot of an address, and its prefetch. *last and *last_spot are those of the address before
 * it.
 */
static ALWAYS_INLINE struct fdb_spot next_spot(
    const struct fdb *fdb, uint64_t address, uint64_t *last, struct fdb_spot *last_spot)
{
	if (address != *last) {
		*last = address;
		*last_spot = fdb_spot(fdb, address);
		fdb_prefetch(last_spot);
	}
	return *last_spot;
}

/* The spots of the addresses of a burst. */
struct spots {
	struct fdb_spot dst[FORWARD_BURST], src[FORWARD_BURST];
};

/*
 * Find all spots first, and prefetch their buckets, so that cache misses overlap. The first frame
 * is looked up at once, so a prefetch for it would be too late.
 */
static ALWAYS_INLINE void find_spots(const struct fdb *fdb, unsigned n, const uint64_t dst[],
    const uint64_t src[], struct spots *ret)
{
	uint64_t last_dst = dst[0], last_src = src[0];
	struct fdb_spot dst_spot = fdb_spot(fdb, last_dst), src_spot = fdb_spot(fdb, last_src);

	ret->dst[0] = dst_spot;
	ret->src[0] = src_spot;
	for (unsigned i = 1; i < n; i++) {
		ret->dst[i] = next_spot(fdb, dst[i], &last_dst, &dst_spot);
		ret->src[i] = next_spot(fdb, src[i], &last_src, &src_spot);
	}
}

static ALWAYS_INLINE void forward(struct fdb *fdb, struct ways ways, uint16_t in_port,
    uint32_t now_s, unsigned n, const uint64_t dst[], const uint64_t src[], uint16_t ret_verdict[])
{
	uint64_t ending = fdb_ending(fdb, in_port, now_s);
	/* Addresses and verdict of the previous frame. */
	uint64_t last_src = NO_ADDRESS, last_dst = NO_ADDRESS;
	uint16_t last_verdict = 0;
	struct spots spot;

	if (n == 0)
		return;
	find_spots(fdb, n, dst, src, &spot);
	for (unsigned i = 0; i < n; i++) {
		bool again = src[i] == last_src && dst[i] == last_dst;

		if (UNLIKELY(src[i] != last_src)) {
			/* A group address may have the spot of a known address. */
			if ((UNLIKELY(mac_is_group(src[i])) ||
				UNLIKELY(
				    !ways.holds(spot.src[i].home, spot.src[i].key | ending))) &&
			    !learn(fdb, src[i], in_port, now_s)) {
				ret_verdict[i] = FORWARD_DROP_BAD_SOURCE;
				continue; /* dropped */
			}
			last_src = src[i];
		}
		/* If a source was learned, the verdict for the same destination may be another. */
		if (UNLIKELY(!again)) {
			last_verdict = decide(fdb, ways, in_port, dst[i], &spot.dst[i]);
			last_dst = dst[i];
		}
		ret_verdict[i] = last_verdict;
	}
}

static CPU_AVX2 void forward_avx2(struct fdb *fdb, uint16_t in_port, uint32_t now_s, unsigned n,
    const uint64_t dst[], const uint64_t src[], uint16_t ret_verdict[])
{
	forward(fdb, (struct ways){fdb_bucket_match_avx2, fdb_bucket_holds_avx2}, in_port, now_s, n,
	    dst, src, ret_verdict);
}

static CPU_AVX512 void forward_avx512(struct fdb *fdb, uint16_t in_port, uint32_t now_s, unsigned n,
    const uint64_t dst[], const uint64_t src[], uint16_t ret_verdict[])
{
	forward(fdb, (struct ways){fdb_bucket_match_avx512, fdb_bucket_holds_avx512}, in_port,
	    now_s, n, dst, src, ret_verdict);
}

void forward_burst(struct fdb *fdb, uint16_t in_port, uint32_t now_s, unsigned n,
    const uint64_t dst[], const uint64_t src[], uint16_t ret_verdict[])
{
	if (fdb->level == CPU_LEVEL_AVX512)
		forward_avx512(fdb, in_port, now_s, n, dst, src, ret_verdict);
	else if (fdb->level == CPU_LEVEL_AVX2)
		forward_avx2(fdb, in_port, now_s, n, dst, src, ret_verdict);
	else
		forward(fdb, (struct ways){fdb_bucket_match, fdb_bucket_holds}, in_port, now_s, n,
		    dst, src, ret_verdict);
}

void forward_link_local_too(struct fdb *fdb)
{
	fdb->forward_link_local = true;
}

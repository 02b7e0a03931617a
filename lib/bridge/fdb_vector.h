/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Look-ups that compare a bucket as a whole, with AVX-512 or AVX2: no branch depends on which slot
 * an entry stands in, which in a table of many addresses nobody can foresee. They answer what
 * fdb.h's answer; slots are still read one by one as far as other threads can tell, for each is
 * aligned.
 */
#pragma once

#include <immintrin.h>

#include "base/cpu.h"
#include "bridge/fdb.h"

_Static_assert((FDB_PORTS_MAX & (FDB_PORTS_MAX - 1)) == 0 && FDB_BUCKET_SLOTS == 8,
    "a slot's lowest bits are its port, and two registers hold a bucket");

/* See fdb_lookup. */
static inline CPU_AVX512 uint16_t fdb_lookup_avx512(const struct fdb *fdb, uint64_t mac)
{
	const __m512i ports = _mm512_set1_epi64(FDB_PORTS_MAX);
	__m512i key = _mm512_set1_epi64((long long)(mac << 16 | FDB_SLOT_USED));
	uint32_t h = fdb_hash(fdb, mac);
	__m512i differ = _mm512_xor_si512(_mm512_load_si512(&fdb->bucket[h]), key);
	__mmask8 match = _mm512_cmplt_epu64_mask(differ, ports);

	if (UNLIKELY(!match)) {
		differ = _mm512_xor_si512(_mm512_load_si512(&fdb->bucket[h ^ 1]), key);
		match = _mm512_cmplt_epu64_mask(differ, ports);
		if (!match)
			return FDB_NONE;
	}
	/* Should a writer show the address twice for a moment, the first one it is. */
	return _mm_cvtsi128_si64(
	    _mm512_castsi512_si128(_mm512_maskz_compress_epi64(match, differ)));
}

/*
 * Which slots of a bucket are key in the bits that care has? ret_differ: how they differ from it,
 * read once.
 */
static ALWAYS_INLINE CPU_AVX2 unsigned fdb_match_avx2(
    const struct fdb_bucket *bucket, uint64_t key, uint64_t care, uint64_t ret_differ[])
{
	const __m256i *half = (const __m256i *)(const void *)bucket;
	unsigned match = 0;

	for (unsigned i = 0; i < 2; i++) {
		__m256i differ = _mm256_xor_si256(
		    _mm256_load_si256(&half[i]), _mm256_set1_epi64x((long long)key));
		__m256i same = _mm256_cmpeq_epi64(
		    _mm256_and_si256(differ, _mm256_set1_epi64x((long long)care)),
		    _mm256_setzero_si256());

		_mm256_storeu_si256((__m256i *)(void *)&ret_differ[4 * i], differ);
		match |= (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(same)) << 4 * i;
	}
	return match;
}

/* See fdb_lookup. */
static inline CPU_AVX2 uint16_t fdb_lookup_avx2(const struct fdb *fdb, uint64_t mac)
{
	const uint64_t care = ~(uint64_t)(FDB_PORTS_MAX - 1);
	uint64_t key = mac << 16 | FDB_SLOT_USED, differ[FDB_BUCKET_SLOTS];
	uint32_t h = fdb_hash(fdb, mac);
	unsigned match = fdb_match_avx2(&fdb->bucket[h], key, care, differ);

	if (UNLIKELY(!match)) {
		match = fdb_match_avx2(&fdb->bucket[h ^ 1], key, care, differ);
		if (!match)
			return FDB_NONE;
	}
	return differ[__builtin_ctz(match)];
}

/* See fdb_known. */
static inline CPU_AVX2 bool fdb_known_avx2(
    const struct fdb *fdb, uint64_t mac, uint16_t port, uint32_t now_s)
{
	uint64_t entry = mac << 16 | FDB_SLOT_USED | port, differ[FDB_BUCKET_SLOTS];
	uint32_t bucket = fdb_hash(fdb, mac);
	unsigned match = fdb_match_avx2(&fdb->bucket[bucket], entry, UINT64_MAX, differ);

	if (UNLIKELY(!match)) {
		bucket ^= 1;
		match = fdb_match_avx2(&fdb->bucket[bucket], entry, UINT64_MAX, differ);
		if (!match)
			return false;
	}
	size_t at = (size_t)bucket * FDB_BUCKET_SLOTS + (unsigned)__builtin_ctz(match);

	return fdb_stamp_age(fdb, __atomic_load_n(&fdb->stamp[at], __ATOMIC_RELAXED), now_s) == 0;
}

/* See fdb_known. */
static inline CPU_AVX512 bool fdb_known_avx512(
    const struct fdb *fdb, uint64_t mac, uint16_t port, uint32_t now_s)
{
	__m512i entry = _mm512_set1_epi64((long long)(mac << 16 | FDB_SLOT_USED | port));
	uint32_t bucket = fdb_hash(fdb, mac);
	__mmask8 match = _mm512_cmpeq_epi64_mask(_mm512_load_si512(&fdb->bucket[bucket]), entry);

	if (UNLIKELY(!match)) {
		bucket ^= 1;
		match = _mm512_cmpeq_epi64_mask(_mm512_load_si512(&fdb->bucket[bucket]), entry);
		if (!match)
			return false;
	}
	size_t at = (size_t)bucket * FDB_BUCKET_SLOTS + (unsigned)__builtin_ctz(match);

	return fdb_stamp_age(fdb, __atomic_load_n(&fdb->stamp[at], __ATOMIC_RELAXED), now_s) == 0;
}

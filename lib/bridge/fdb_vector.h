/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Look-ups that compare a whole bucket at once, with AVX-512 or AVX2. So no branch depends on the
 * slot of an entry. (In a table of many addresses the CPU cannot predict such a branch.) The
 * results are those of the functions in fdb.h. Slots are aligned, so each slot is read in one
 * piece. The bucket as a whole is not.
 */
#pragma once

#include "base/cpu.h"
#include "bridge/fdb.h"

#ifdef __x86_64__
#include <immintrin.h>

_Static_assert(FDB_BUCKET_SLOTS == 8, "two registers of AVX2 hold a bucket");

/*
 * A mask of the slots that have this key. *ret_differ: each slot XOR key, which is what is below
 * the key if the keys are the same.
 */
static ALWAYS_INLINE CPU_AVX512 __mmask8 fdb_match_avx512(
    const struct fdb_bucket *bucket, uint64_t key, __m512i *ret_differ)
{
	*ret_differ =
	    _mm512_xor_si512(_mm512_load_si512(bucket), _mm512_set1_epi64((long long)key));
	return _mm512_cmplt_epu64_mask(*ret_differ, _mm512_set1_epi64(FDB_BELOW_KEY));
}

/* See fdb_bucket_match. */
static ALWAYS_INLINE CPU_AVX512 uint16_t fdb_bucket_match_avx512(
    const struct fdb_bucket *bucket, uint64_t key)
{
	__m512i differ;
	__mmask8 match = fdb_match_avx512(bucket, key, &differ);

	if (UNLIKELY(!match))
		return FDB_NONE;
	/* A writer may drop an entry and add it elsewhere during the read: take the first match. */
	differ = _mm512_maskz_compress_epi64(match, differ);
	return (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(differ)) % FDB_PORTS_MAX;
}

/* See fdb_bucket_holds. */
static ALWAYS_INLINE CPU_AVX512 bool fdb_bucket_holds_avx512(
    const struct fdb_bucket *bucket, uint64_t entry)
{
	return _mm512_cmpeq_epi64_mask(
	    _mm512_load_si512(bucket), _mm512_set1_epi64((long long)entry));
}

/* See fdb_match_avx512. */
static ALWAYS_INLINE CPU_AVX2 unsigned fdb_match_avx2(
    const struct fdb_bucket *bucket, uint64_t key, uint64_t ret_differ[])
{
	const __m256i *half = (const __m256i *)(const void *)bucket;
	const __m256i above = _mm256_set1_epi64x(-(long long)FDB_BELOW_KEY);
	unsigned match = 0;

	for (unsigned i = 0; i < 2; i++) {
		__m256i differ = _mm256_xor_si256(
		    _mm256_load_si256(&half[i]), _mm256_set1_epi64x((long long)key));
		__m256i same =
		    _mm256_cmpeq_epi64(_mm256_and_si256(differ, above), _mm256_setzero_si256());

		_mm256_storeu_si256((__m256i *)(void *)&ret_differ[4ul * i], differ);
		match |= (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(same)) << 4 * i;
	}
	return match;
}

/* See fdb_bucket_match. */
static ALWAYS_INLINE CPU_AVX2 uint16_t fdb_bucket_match_avx2(
    const struct fdb_bucket *bucket, uint64_t key)
{
	uint64_t differ[FDB_BUCKET_SLOTS];
	unsigned match = fdb_match_avx2(bucket, key, differ);

	return LIKELY(match) ? differ[__builtin_ctz(match)] % FDB_PORTS_MAX : FDB_NONE;
}

/* See fdb_bucket_holds. */
static ALWAYS_INLINE CPU_AVX2 bool fdb_bucket_holds_avx2(
    const struct fdb_bucket *bucket, uint64_t entry)
{
	const __m256i *half = (const __m256i *)(const void *)bucket;
	__m256i all = _mm256_set1_epi64x((long long)entry);
	__m256i same = _mm256_or_si256(_mm256_cmpeq_epi64(_mm256_load_si256(&half[0]), all),
	    _mm256_cmpeq_epi64(_mm256_load_si256(&half[1]), all));

	return !_mm256_testz_si256(same, same);
}
#else
#define fdb_bucket_match_avx2   fdb_bucket_match
#define fdb_bucket_match_avx512 fdb_bucket_match
#define fdb_bucket_holds_avx2   fdb_bucket_holds
#define fdb_bucket_holds_avx512 fdb_bucket_holds
#endif

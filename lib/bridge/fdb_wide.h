/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Look-ups that compare a bucket as a whole, with AVX-512: no branch depends on which slot an
 * entry stands in, which in a table of many addresses nobody can foresee. They answer what fdb.h's
 * answer; slots are still read one by one as far as other threads can tell, for each is aligned.
 */
#pragma once

#include <immintrin.h>

#include "base/cpu.h"
#include "bridge/fdb.h"

/* See fdb_lookup. */
static inline CPU_WIDE uint16_t fdb_lookup_wide(const struct fdb *fdb, uint64_t mac)
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

/* See fdb_known. */
static inline CPU_WIDE bool fdb_known_wide(
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

	return fdb_fresh(fdb, __atomic_load_n(&fdb->stamp[at], __ATOMIC_RELAXED), now_s);
}

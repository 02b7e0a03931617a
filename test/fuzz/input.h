/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The input of a fuzzer is read like a program: every target reads its next operation and the
 * parameters of the operation from the input. After the end of the input, zeros are read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct input {
	const uint8_t *at;
	size_t left;
};

/* libFuzzer and replay.c call this function of the target. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* If a guarantee does not hold, abort, which the fuzzer reports. */
#define promise(condition) \
	do { \
		if (!(condition)) \
			abort(); \
	} while (0)

static inline void input_bytes(struct input *in, void *to, size_t n)
{
	size_t there = n < in->left ? n : in->left;

	memset(to, 0, n);
	if (there)
		memcpy(to, in->at, there);
	in->at += there;
	in->left -= there;
}

#define INPUT_NUMBER(bits) \
	static inline uint##bits##_t input_u##bits(struct input *in) \
	{ \
		uint##bits##_t value; \
\
		input_bytes(in, &value, sizeof(value)); \
		return value; \
	}
INPUT_NUMBER(8)
INPUT_NUMBER(16)
INPUT_NUMBER(32)
INPUT_NUMBER(64)
#undef INPUT_NUMBER

/* A number from 0 to n - 1; n is at most 256. */
static inline unsigned input_below(struct input *in, unsigned n)
{
	return input_u8(in) % n;
}

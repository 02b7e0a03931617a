/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes that wait: added at the end, taken from the beginning. All zero: empty. */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

struct buffer {
	char *bytes;
	size_t at, n; /* the first byte that waits; how many wait */
	size_t room;
};

/* Memory that an empty buffer keeps. */
#define BUFFER_KEEP 4096

/* NULL: it has no memory. */
static inline char *buffer_begin(const struct buffer *b)
{
	return b->bytes ? b->bytes + b->at : NULL;
}

/* -ENOMEM: nothing was added. */
static inline int buffer_add(struct buffer *b, const void *bytes, size_t n)
{
	size_t room = MAX(b->room, 512u);
	char *larger;

	if (n == 0)
		return 0;
	if (b->at && b->at + b->n + n > b->room) {
		memmove(b->bytes, buffer_begin(b), b->n);
		b->at = 0;
	}
	while (room < b->n + n)
		room *= 2;
	if (room > b->room) {
		larger = realloc(b->bytes, room);
		if (!larger)
			return -ENOMEM;
		b->bytes = larger;
		b->room = room;
	}
	memcpy(b->bytes + b->at + b->n, bytes, n);
	b->n += n;
	return 0;
}

static inline void buffer_free(struct buffer *b)
{
	free(b->bytes);
	*b = (struct buffer){0};
}

static inline void buffer_take(struct buffer *b, size_t n)
{
	b->at += n;
	b->n -= n;
	if (b->n == 0) {
		b->at = 0;
		if (b->room > BUFFER_KEEP)
			buffer_free(b);
	}
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "traffic/mix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"

struct mix_size {
	uint32_t bytes;
	unsigned weight;
};

#define SIZE(bytes, weight)    {(bytes), (weight)},
#define MIX(name, about, list) {name, {list}},
static const struct {
	const char *name;
	struct mix_size size[STREAM_SIZES_MAX];
} mixes[] = {MIXES(MIX, SIZE)};
#undef MIX
#undef SIZE

static int add(struct stream_profile *p, uint32_t bytes, unsigned weight)
{
	if (p->n_sizes == STREAM_SIZES_MAX || weight > STREAM_ORDER_MAX - p->n_order)
		return -E2BIG;
	p->size[p->n_sizes] = bytes;
	for (unsigned i = 0; i < weight; i++)
		p->order[p->n_order++] = p->n_sizes;
	p->n_sizes++;
	return 0;
}

/* Repeat a short order, so that no pattern of a few frames comes again and again. */
static void repeat(struct stream_profile *p)
{
	unsigned n = p->n_order, times = STREAM_ORDER_MAX / MAX(n, 1u);

	for (unsigned i = 1; i < times; i++)
		memcpy(p->order + (size_t)i * n, p->order, n);
	p->n_order = n * times;
}

/* Fisher and Yates's shuffle. */
static void shuffle(struct stream_profile *p)
{
	uint64_t state = 1;

	for (unsigned i = p->n_order; i > 1; i--) {
		unsigned j;
		uint8_t other;

		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		j = (state >> 33) % i;
		other = p->order[j];
		p->order[j] = p->order[i - 1];
		p->order[i - 1] = other;
	}
}

static void finish(struct stream_profile *p)
{
	repeat(p);
	shuffle(p);
}

bool mix_named(struct stream_profile *p, const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(mixes); i++) {
		if (strcmp(name, mixes[i].name) != 0)
			continue; /* another mix */
		p->n_sizes = p->n_order = 0;
		for (const struct mix_size *s = mixes[i].size; s->bytes; s++)
			add(p, s->bytes, s->weight);
		finish(p);
		return true;
	}
	return false;
}

/* Does text have the rest of a line? A line that is too long, or has a zero byte, has not. */
static bool is_whole(const char *text, FILE *file)
{
	return strchr(text, '\n') || feof(file);
}

/* One line. 0, -EINVAL, -E2BIG. */
static int read_line(struct stream_profile *p, char *text)
{
	unsigned long size, weight;
	char *rest, *end;

	text[strcspn(text, "#\n")] = '\0';
	text += strspn(text, " \t\r");
	if (*text == '\0')
		return 0;
	size = strtoul(text, &rest, 10);
	weight = strtoul(rest, &end, 10);
	if (rest == text || end == rest || end[strspn(end, " \t\r")] || strchr(text, '-') ||
	    size < STREAM_FRAME_MIN || size > STREAM_FRAME_MAX || weight < 1)
		return -EINVAL;
	return weight > STREAM_ORDER_MAX ? -E2BIG : add(p, size, weight);
}

int mix_read(struct stream_profile *p, const char *path, unsigned *ret_line)
{
	char text[MIX_LINE_MAX];
	FILE *file = fopen(path, "re");
	int err = 0;

	if (!file)
		return -errno;
	p->n_sizes = p->n_order = *ret_line = 0;
	while (!err && fgets(text, sizeof(text), file)) {
		++*ret_line;
		err = is_whole(text, file) ? read_line(p, text) : -EINVAL;
	}
	if (!err && ferror(file))
		err = -EIO;
	fclose(file);
	if (err)
		return err;
	*ret_line = 0;
	finish(p);
	return p->n_sizes ? 0 : -EINVAL;
}

void mix_acknowledge(struct stream_profile *p)
{
	p->size[0] = MIX_TCP_ACK;
	p->n_sizes = 1;
	p->n_order = 0;
	p->gso = 0;
	p->csum = true;
}

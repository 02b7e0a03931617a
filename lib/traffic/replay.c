/* SPDX-License-Identifier: BSD-3-Clause */
#include "traffic/replay.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "traffic/stream.h"

static void leave_out(struct replay_left_out *why, uint64_t number)
{
	if (why->n++ == 0 || number < why->first)
		why->first = number;
}

/* Make room for one more frame of this length. */
static bool grow(struct replay *r, uint32_t len)
{
	uint64_t frames = r->frame_room ? 2 * r->frame_room : 1024;
	uint64_t bytes = r->byte_room ? 2 * r->byte_room : 1 << 20;
	void *larger;

	if (r->n == r->frame_room) {
		larger = realloc(r->frame, frames * sizeof(*r->frame));
		if (!larger)
			return false;
		r->frame = larger;
		r->frame_room = frames;
	}
	if (r->n_bytes + len > r->byte_room) {
		larger = realloc(r->bytes, bytes);
		if (!larger)
			return false;
		r->bytes = larger;
		r->byte_room = bytes;
	}
	return true;
}

static int keep(struct replay *r, const uint8_t *bytes, uint32_t len, uint64_t at)
{
	uint64_t last = r->n ? r->frame[r->n - 1].at : 0;

	if (!grow(r, len))
		return -ENOMEM;
	memcpy(r->bytes + r->n_bytes, bytes, len);
	r->frame[r->n++] = (struct replay_frame){
	    .offset = r->n_bytes, .at = MAX(at, last), .len = len, .number = r->n_read};
	r->n_bytes += len;
	r->longest = MAX(r->longest, len);
	return 0;
}

int replay_add(struct replay *r, const uint8_t *bytes, uint32_t captured, uint32_t len, uint64_t at)
{
	struct replay_left_out *why = NULL;

	r->n_read++;
	if (len < REPLAY_FRAME_MIN)
		why = &r->too_short;
	else if (len > STREAM_FRAME_MAX)
		why = &r->too_long;
	else if (captured < len)
		why = &r->cut;
	if (!why)
		return keep(r, bytes, len, at);
	leave_out(why, r->n_read);
	return 0;
}

void replay_finish(struct replay *r)
{
	uint64_t first = r->n ? r->frame[0].at : 0;

	for (uint64_t i = 0; i < r->n; i++)
		r->frame[i].at -= first;
	/* The gap from the last frame to the first is the average gap. */
	if (r->n > 1)
		r->span = r->frame[r->n - 1].at / (r->n - 1.0) * r->n;
}

void replay_limit(struct replay *r, uint32_t frame_max)
{
	uint64_t kept = 0;

	for (uint64_t i = 0; i < r->n; i++) {
		if (r->frame[i].len > frame_max)
			leave_out(&r->too_long, r->frame[i].number);
		else
			r->frame[kept++] = r->frame[i];
	}
	r->n = kept;
	r->longest = MIN(r->longest, frame_max);
}

void replay_cleanup(struct replay *r)
{
	free(r->frame);
	free(r->bytes);
	*r = (struct replay){0};
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The streams of a port take turns after each frame. Its queue pairs take turns after each burst. A
 * replay is sent through one pair only: the flows of its frames are not known, and pairs would not
 * keep the order of a flow.
 */
#include "traffic/sender.h"

#include <string.h>

#include "base/util.h"
#include "traffic/trial_result.h"

#define AHEAD 2 /* frames to prefetch ahead if every byte is written */

/* The number of frames that are due, at most half a burst. */
static unsigned frames_due(const struct sender *s, uint64_t now)
{
	double ready = (now - s->due) / s->interval;

	if (UNLIKELY(sender_answers(s)))
		return MIN(s->stream[0]->answers->counts.received - s->sent, TPORT_BURST / 2);
	if (s->interval == 0)
		return TPORT_BURST / 2;
	return ready < 0 ? 0 : MIN((uint64_t)ready + 1, TPORT_BURST / 2);
}

/* Streams take turns, with as many frames in succession as their profile says. */
static inline void next_turn(struct sender *s, const struct stream_profile *p)
{
	if (s->n_streams == 1)
		return;
	if (UNLIKELY(p->locality > 1) && ++s->train < p->locality)
		return;
	s->train = 0;
	s->turn = s->turn + 1 == s->n_streams ? 0 : s->turn + 1;
}

unsigned sender_send(struct sender *s, uint64_t now, struct trial_result *r)
{
	struct tport *port = s->port;
	uint8_t *frame[TPORT_BURST];
	uint32_t len[TPORT_BURST];
	unsigned want = MIN(frames_due(s, now), s->limit - s->sent), n;

	if (want == 0)
		return 0;
	n = port->ops->room(port, s->pair, want, frame);
	r->refused += n < want;
	for (unsigned k = 0; k < n; k++)
		__builtin_prefetch(frame[k], 1);
	for (unsigned k = 0; k < n; k++) {
		uint64_t due = s->interval == 0 ? now : (uint64_t)s->due;
		struct stream *stream = s->stream[s->turn];

		if (stream->profile.touch_all && k + AHEAD < n)
			stream_prefetch(stream, frame[k + AHEAD]);
		len[k] = stream_make(stream, s->pair, frame[k], tport_header(frame[k]), due);
		r->late += now > due + s->late;
		s->due += s->interval;
		next_turn(s, &stream->profile);
	}
	port->ops->send(port, s->pair, len, n);
	s->sent += n;
	s->pair = s->pair + 1 == s->stream[0]->profile.lanes ? 0 : s->pair + 1;
	return n;
}

/* The time from this frame of a replay to the next frame. */
static double gap(const struct sender *s, const struct replay *replay)
{
	uint64_t at = replay->frame[s->next].at;

	if (s->pace == 0)
		return s->interval;
	if (s->next + 1 == replay->n)
		return (replay->span - at) * s->pace;
	return (replay->frame[s->next + 1].at - at) * s->pace;
}

static void copy_frame(uint8_t *to, const struct replay *replay, const struct replay_frame *f)
{
	struct virtio_net_hdr *hdr = tport_header(to);

	memset(hdr, 0, VIRTIO_NET_HDR_LEN - 2);
	memcpy(to, replay->bytes + f->offset, f->len);
}

unsigned sender_replay(struct sender *s, const struct replay *replay, uint64_t now,
    struct stream_counts *counts, struct trial_result *r)
{
	unsigned want = MIN((uint64_t)TPORT_BURST / 2, s->limit - s->sent), room, n;
	bool timed = s->interval != 0 || s->pace != 0;
	struct tport *port = s->port;
	uint8_t *frame[TPORT_BURST];
	uint32_t len[TPORT_BURST];

	if (want == 0 || (timed && s->due > now))
		return 0;
	room = port->ops->room(port, 0, want, frame);
	for (n = 0; n < room && (!timed || s->due <= now); n++) {
		const struct replay_frame *f = &replay->frame[s->next];

		copy_frame(frame[n], replay, f);
		len[n] = f->len;
		counts->sent_bytes += f->len;
		r->late += timed && now > s->due + s->late;
		s->due += gap(s, replay);
		s->next = s->next + 1 == replay->n ? 0 : s->next + 1;
	}
	r->refused += n == room && n < want;
	port->ops->send(port, 0, len, n);
	counts->sent += n;
	s->sent += n;
	return n;
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/sweep.h"

static void sweep_begin(struct sweep *s, const struct forwarding *fwd, const struct poll_list *list)
{
	*s = (struct sweep){.generation = fwd->generation, .n_warm = list->n};
	for (unsigned i = 0; i < list->n; i++) {
		list->warm[i] = i;
		list->quiet[i] = 0;
	}
}

/* A stalled ring may have work that its driver does not show: a translation may have come. */
static bool has_work(const struct queue *q)
{
	return vring_has_avail(q->ring) || vring_stalled(q->ring);
}

static void look_at_cold(struct sweep *s, const struct poll_list *list)
{
	unsigned looks = s->n_warm ? list->n / SWEEP_SLICES + 1 : list->n;

	for (; looks && s->n_warm < list->n; looks--) {
		unsigned i = s->cursor;

		s->cursor = i + 1 < list->n ? i + 1 : 0;
		if (list->quiet[i] == SWEEP_COLD && has_work(list->queue[i])) {
			list->quiet[i] = 0;
			list->warm[s->n_warm++] = i;
		}
	}
}

unsigned sweep_turn(struct sweep *s, struct burst *b, const struct forwarding *fwd,
    const struct poll_list *list, uint32_t now_s)
{
	unsigned frames = 0;

	if (UNLIKELY(s->generation != fwd->generation))
		sweep_begin(s, fwd, list);
	look_at_cold(s, list);
	for (unsigned k = 0; k < s->n_warm;) {
		unsigned i = list->warm[k];
		unsigned n = burst_run(b, fwd, list->queue[i], now_s);

		frames += n;
		if (n)
			list->quiet[i] = 0;
		else if (++list->quiet[i] == SWEEP_COLD) {
			list->warm[k] = list->warm[--s->n_warm];
			continue; /* another one stands here now */
		}
		k++;
	}
	return frames;
}

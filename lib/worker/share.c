/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/share.h"

/*
 * A more expensive visit raises the cost at once. A cheaper visit lowers it by 1/COST_FALLS of the
 * difference.
 */
#define COST_FALLS 8

void shares_init(struct shares *s, uint64_t tsc_hz)
{
	*s = (struct shares){
	    .turn = 1,
	    .round = 1,
	    .round_cycles = tsc_hz / 1000000 * SHARE_ROUND_US,
	    .visit_cycles = tsc_hz / 1000000 * SHARE_VISIT_US,
	};
	s->frame_cycles = s->visit_cycles / SHARE_FRAMES;
}

int64_t share_refill(const struct shares *s, int64_t credit, uint32_t rounds)
{
	int64_t full = (int64_t)s->round_cycles, least = -SHARE_DEFICIT_MAX * full;

	return MIN(MAX(credit, least) + MIN(rounds, SHARE_DEFICIT_MAX + 1u) * full, full);
}

/* Does this visit limit the next visit? The first expensive visit only begins the watch. */
static bool share_limits(struct share *share, bool expensive)
{
	bool watched = share->watch > 0;

	if (expensive)
		share->watch = SHARE_WATCH;
	else if (share->watch > (share->cost > 0))
		share->watch--;
	return watched && (expensive || share->cost);
}

void share_judge(struct shares *s, struct share *share, uint64_t spent, unsigned frames)
{
	uint64_t cost = MIN(spent / frames, s->visit_cycles);

	if (!share_limits(share, spent > s->frame_cycles * frames))
		return;
	if (cost < share->cost)
		cost = share->cost - (share->cost - cost + COST_FALLS - 1) / COST_FALLS;
	if (cost <= s->frame_cycles) {
		share->cost = share->frames = 0;
		return;
	}
	share->cost = cost;
	share->frames = MAX(s->visit_cycles / cost, UINT64_C(1));
}

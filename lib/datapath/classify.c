/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 3: apply the policy of the source port to its frames, before their destinations are looked
 * up.
 */
#include "datapath/burst.h"

const struct port_policy port_policy_none = {0};

/* Policies have no features yet. Every feature may change frames, so a general burst is needed. */
void burst_classify(struct burst *b)
{
	if (!b->plain)
		return;
	burst_fill_in(b);
	for (unsigned i = 0; i < b->n; i++)
		b->frame[i].dest = DEST_FLOOD; /* until looked up */
}

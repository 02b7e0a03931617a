/* SPDX-License-Identifier: BSD-3-Clause */
/* Stage 3: what a port's policy decides about its frames before they are looked up. */
#include "datapath/burst.h"

const struct port_policy port_policy_none = {0};

/* There are no features yet. All of them may change frames, so they need a general burst. */
void burst_classify(struct burst *b)
{
	if (!b->plain)
		return;
	burst_fill_in(b);
	for (unsigned i = 0; i < b->n; i++)
		b->frame[i].dest = DEST_FLOOD; /* until looked up */
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* What lookup.c and lookup_policy.c share. */
#pragma once

#include "datapath/burst.h"
#include "bridge/forward.h"

/* Turn the bridge's verdict into a destination or a drop reason. */
void lookup_take_verdict(struct burst *b, unsigned i, uint16_t verdict);

/* Are all frames of a plain burst one train? This is so in the usual burst, and the check is quick.
 */
bool lookup_one_train(const struct burst *b);

/* burst_lookup() for a source port with features. */
void lookup_with_policy(struct burst *b);

/* SPDX-License-Identifier: BSD-3-Clause */
/* What a bridge is asked to be, and the limits of bridges. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BRIDGES_MAX         64           /* with the default bridge */
#define BRIDGES_ENTRIES_MAX (64 * 65536) /* addresses of all bridges but the default bridge */
#define BRIDGE_NAME_MAX     32           /* characters */
#define BRIDGE_DEFAULT      "default"

struct bridge_config {
	char name[BRIDGE_NAME_MAX + 1]; /* letters, digits, "-", "_", "." */
	uint32_t fdb_entries;           /* 1 to FDB_ENTRIES_MAX */
	unsigned fdb_age_s;             /* 1 to FDB_AGE_MAX_S */
	bool forward_bpdu;              /* flood link-local frames, too */
	bool drop_unknown;              /* unicast frames to unknown addresses are dropped */
};

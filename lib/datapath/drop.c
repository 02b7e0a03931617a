/* SPDX-License-Identifier: BSD-3-Clause */
#include "datapath/drop.h"

static const struct {
	const char *name, *text;
} reasons[] = {
#define X(id, name, text) {name, text},
    DROP_REASONS(X)
#undef X
};

const char *drop_name(enum drop_reason reason)
{
	return reasons[reason].name;
}

const char *drop_text(enum drop_reason reason)
{
	return reasons[reason].text;
}

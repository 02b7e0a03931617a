/* SPDX-License-Identifier: BSD-3-Clause */
/* What came of applying a configuration: the changes, or the fault and its place. */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "manage/error.h"

/* The fault has no place in the configuration. */
#define APPLY_NO_PLACE SIZE_MAX

struct apply_outcome {
	json_t *changes; /* the answer of config.apply; NULL: nothing has changed, see error */
	struct manage_error error;
	const char *list; /* "ports" or "bridges": where the fault is */
	size_t index;     /* in this list; or APPLY_NO_PLACE */
};

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What schema_table.c and schema_methods.c share; for them only.
 *
 * Threads: tables are constant.
 */
#pragma once

#include "base/log.h"
#include "manage/events.h"
#include "manage/schema.h"

#define ANY_NUMBER .type = SCHEMA_UINT, .max = SCHEMA_UINT_MAX
#define TOLD       SCHEMA_READ_ONLY
#define TOLD_SHOWN (SCHEMA_READ_ONLY | SCHEMA_COLUMN)
#define END \
	{ \
		0 \
	}

static const char *const log_levels[] = {
#define X(id, name) (name),
    LOG_LEVELS(X)
#undef X
	NULL};

static const char *const event_names[] = {
#define X(id, name, about) (name),
    MANAGE_EVENTS(X)
#undef X
	NULL};

extern const struct schema_object schema_objects[];
extern const struct schema_method schema_methods[];

/* SPDX-License-Identifier: BSD-3-Clause */
/* Help, made from the schema. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "candidates.h"
#include "manage/schema.h"

/*
 * Help for these words; no words: an overview. shell: for a person who types without "vswitchctl".
 * 0, or -1 with *ret_fault: there is no such thing.
 */
int help_print(const struct schema *schema, int n, char *const words[], bool shell, FILE *out,
    struct usage_fault *ret_fault);

/* SPDX-License-Identifier: BSD-3-Clause */
/* Help and completion, made from the schema. */
#pragma once

#include <stdio.h>

#include "manage/schema.h"

/* Help for these words; no words: an overview. 0, or -1: there is no such thing. */
int help_print(const struct schema *schema, int n, char *const words[], FILE *out);

/* The words that begin in this way after the n - 1 words before, one per line. path: the socket. */
void help_complete(
    const struct schema *schema, const char *path, int n, char *const words[], FILE *out);

/* A script for bash. */
void help_bash(FILE *out);

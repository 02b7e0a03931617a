/* SPDX-License-Identifier: BSD-3-Clause */
/* Completion of words: of commands and fields from the schema, of names from the switch, of files.
 */
#pragma once

#include <stdio.h>

#include "client.h"

/*
 * Call add(word, about, arg) for each word that may stand in place of the last of n words, n > 0;
 * `about` may be NULL. Returns the field whose value the word is, or NULL.
 */
const struct schema_field *complete_words(struct client *c, int n, char *const words[],
    void (*add)(const char *word, const char *about, void *arg), void *arg);

/* The same words, one per line, for scripts. Options may come first. */
void complete_print(struct client *c, int n, char *const words[], FILE *out);

/* A script for bash. */
void complete_bash(FILE *out);

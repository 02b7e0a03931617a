/* SPDX-License-Identifier: BSD-3-Clause */
/* The words that may stand at one place of a command. */
#pragma once

#include <stddef.h>

#include "manage/schema.h"

#define CANDIDATES_MAX 128

struct candidates {
	unsigned n;
	char text[CANDIDATES_MAX][SCHEMA_NAME_MAX];
	const char *about[CANDIDATES_MAX];
};

/* What is wrong with the words. */
struct usage_fault {
	int word;           /* its number; the number of words: something is missing at the end;
			     * -1: a file is wrong, and `expected` says what */
	char expected[600]; /* what would be right */
};

/* Add a text of len bytes, if it is not there yet. `about` is kept: it stays the caller's. */
void candidates_add(struct candidates *c, const char *text, size_t len, const char *about);

/* The candidate that is meant, or -1: no candidate, or several, begin with the word. */
int candidates_find(const struct candidates *c, const char *word);

/* Does the text begin with the word? "-" may stand for "_". */
bool candidates_begins(const char *text, const char *word);

/* Fill *fault: this is expected at a place. Returns -1. */
int candidates_fault_at(struct usage_fault *fault, int word, const char *expected);

/*
 * Fill *fault: the word (NULL: none is there) is not one of the candidates, or several begin with
 * it. If there are none, `otherwise` is expected. Returns -1.
 */
int candidates_fault(struct usage_fault *fault, int at, const struct candidates *c,
    const char *word, const char *otherwise);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A line as words, as a shell does it: blanks separate them, 'quotes' and "quotes" keep blanks, and
 * a backslash keeps the next character. "#" begins a comment.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define WORDS_MAX 256

struct words {
	int n;
	char *list[WORDS_MAX + 1]; /* a null pointer at the end */
	size_t last;               /* where the last word begins in the line */
	char *text;                /* of all words */
};

/*
 * Split the first n bytes of a line. With `open`, the last word is the word that ends there: it may
 * be empty, and its quotes may be open. 0, or the quote that is missing, or -1: there are too many
 * words, or too little memory. The owner calls words_free(), also then.
 */
int words_split(const char *line, size_t n, bool open, struct words *ret);
void words_free(struct words *words);

/* Print a word so that words_split() gives it back. */
void words_quote(const char *word, FILE *out);

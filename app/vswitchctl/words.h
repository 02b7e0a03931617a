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
 * Split the first n bytes of a line into words. Returns 0 for success. Returns the quote that is
 * missing at the end, or -1 if there are too many words or too little memory. The caller frees *ret
 * with words_free() in all cases.
 *
 * open: the user is still typing the last word, for example when it is to be completed. Then the
 * last word is what ends at byte n. It may be empty, and a missing quote is no fault.
 */
int words_split(const char *line, size_t n, bool open, struct words *ret);
void words_free(struct words *words);

/* Print a word so that words_split() gives it back. */
void words_quote(const char *word, FILE *out);

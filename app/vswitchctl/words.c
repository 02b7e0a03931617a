/* SPDX-License-Identifier: BSD-3-Clause */
#include "words.h"

#include <stdlib.h>
#include <string.h>

#define BLANKS  " \t\r\n"
#define SPECIAL BLANKS "'\"\\#"

static bool is_one_of(const char *set, char c)
{
	return c && strchr(set, c);
}

/* Copy the word at line[*at] to *to; *at moves to its end. Returns the quote that is missing, or 0.
 */
static int take_word(const char *line, size_t n, size_t *at, char **to)
{
	char quote = 0;

	for (; *at < n && (quote || !is_one_of(BLANKS, line[*at])); (*at)++) {
		char c = line[*at];

		if (c == '\\' && quote != '\'' && *at + 1 < n)
			*(*to)++ = line[++*at];
		else if (!quote && is_one_of("'\"", c))
			quote = c;
		else if (quote && c == quote)
			quote = 0;
		else
			*(*to)++ = c;
	}
	*(*to)++ = '\0';
	return quote;
}

int words_split(const char *line, size_t n, bool open, struct words *ret)
{
	size_t at = 0;
	char *to;
	int quote = 0;
	bool at_end = false; /* the last word ends where the line ends */

	ret->n = 0;
	ret->list[0] = NULL;
	ret->last = n;
	ret->text = to = malloc(2 * n + 2);
	for (;;) {
		while (at < n && is_one_of(BLANKS, line[at]))
			at++;
		if (!to || (at < n && ret->n == WORDS_MAX))
			return -1;
		if (at == n || line[at] == '#')
			break;
		ret->last = at;
		ret->list[ret->n++] = to;
		quote = take_word(line, n, &at, &to);
		at_end = at == n;
		ret->list[ret->n] = NULL;
	}
	if (open && at == n && !at_end) {
		if (ret->n == WORDS_MAX)
			return -1;
		*to = '\0';
		ret->list[ret->n++] = to;
		ret->list[ret->n] = NULL;
		ret->last = n;
	}
	return quote;
}

void words_free(struct words *words)
{
	free(words->text);
	words->text = NULL;
}

void words_quote(const char *word, FILE *out)
{
	if (!*word)
		fputs("''", out);
	for (; *word; word++) {
		if (is_one_of(SPECIAL, *word))
			fputc('\\', out);
		fputc(*word, out);
	}
}

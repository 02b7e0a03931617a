/* SPDX-License-Identifier: BSD-3-Clause */
#include "text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/util.h"

#define SHOWN_MAX 12
#define INVALID   UINT32_MAX

/* The character at *text, which is no null byte; *text moves behind it. INVALID: no UTF-8. */
static uint32_t next_character(const char **text)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	unsigned char first = (unsigned char)*(*text)++;
	unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
	uint32_t c = more ? first & (0x3fu >> more) : first;

	if (first >= 0xf8 || (first >= 0x80 && !more))
		return INVALID;
	for (unsigned i = 0; i < more; i++) {
		if (((unsigned char)(*text)[i] & 0xc0) != 0x80)
			return INVALID;
		c = c << 6 | ((unsigned char)(*text)[i] & 0x3f);
	}
	if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return INVALID;
	*text += more;
	return c;
}

static bool is_plain(uint32_t c)
{
	/* Marks and embeddings of right-to-left text; separators of lines. */
	static const uint32_t others[][2] = {
	    {0x61c, 0x61c}, {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069}};

	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		if (c >= others[i][0] && c <= others[i][1])
			return false;
	return c >= 0x20 && !(c >= 0x7f && c < 0xa0) && c != INVALID;
}

/* How the next character is shown, and its width; *text moves behind it. */
static unsigned show_next(const char **text, char shown[SHOWN_MAX])
{
	const char *begin = *text;
	uint32_t c = next_character(text);
	size_t n = (size_t)(*text - begin);
	int width;

	if (!is_plain(c))
		return (unsigned)snprintf(shown, SHOWN_MAX, c == INVALID ? "\\x%02x" : "\\u%04x",
		    c == INVALID ? (unsigned char)*begin : c);
	memcpy(shown, begin, n);
	shown[n] = '\0';
	width = wcwidth((wchar_t)c);
	return width < 0 ? 1 : (unsigned)width; /* the locale does not know it */
}

bool text_is_plain(const char *text)
{
	while (*text)
		if (!is_plain(next_character(&text)))
			return false;
	return true;
}

unsigned text_width(const char *text)
{
	char shown[SHOWN_MAX];
	unsigned width = 0;

	while (*text)
		width += show_next(&text, shown);
	return width;
}

void text_print(const char *text, FILE *out)
{
	char shown[SHOWN_MAX];

	while (*text) {
		show_next(&text, shown);
		fputs(shown, out);
	}
}

unsigned text_print_part(const char *text, unsigned width, bool end, FILE *out)
{
	unsigned left = end ? text_width(text) : 0, used = 0;
	char shown[SHOWN_MAX];

	while (*text) {
		unsigned w = show_next(&text, shown);
		bool skip = end && left > width;

		left -= end ? w : 0;
		if (skip)
			continue; /* in front of the end */
		if (used + w > width)
			break;
		fputs(shown, out);
		used += w;
	}
	return used;
}

/* jansson escapes the control characters of ASCII, except DEL. The other ones are line breaks. */
void text_print_json(const json_t *json, size_t flags, FILE *out)
{
	char *dump = json_dumps(json, flags), shown[SHOWN_MAX];

	for (const char *text = dump ? dump : "null"; *text;) {
		if (*text == '\n')
			fputc(*text++, out);
		else
			fputs((show_next(&text, shown), shown), out);
	}
	fputc('\n', out);
	free(dump);
}

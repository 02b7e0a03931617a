/* SPDX-License-Identifier: BSD-3-Clause */
#include "candidates.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"

void candidates_add(struct candidates *c, const char *text, size_t len, const char *about)
{
	for (unsigned i = 0; i < c->n; i++)
		if (strlen(c->text[i]) == len && strncmp(c->text[i], text, len) == 0)
			return;
	if (c->n == CANDIDATES_MAX || len >= SCHEMA_NAME_MAX)
		return;
	memcpy(c->text[c->n], text, len);
	c->text[c->n][len] = '\0';
	c->about[c->n++] = about;
}

bool candidates_begins(const char *text, const char *word)
{
	for (; *word; word++, text++) {
		if ((*word == '-' ? '_' : *word) != (*text == '-' ? '_' : *text))
			return false;
	}
	return true;
}

int candidates_find(const struct candidates *c, const char *word)
{
	int found = -1;

	for (unsigned i = 0; i < c->n; i++) {
		if (schema_same_name(c->text[i], word))
			return (int)i;
		if (!*word || !candidates_begins(c->text[i], word))
			continue; /* another word */
		if (found >= 0)
			found = -2;
		else if (found == -1)
			found = (int)i;
	}
	return MAX(found, -1);
}

/* How many begin with the word. */
static unsigned count(const struct candidates *c, const char *word)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n; i++)
		n += candidates_begins(c->text[i], word);
	return n;
}

int candidates_fault_at(struct usage_fault *fault, int word, const char *expected)
{
	fault->word = word;
	snprintf(fault->expected, sizeof(fault->expected), "%s", expected);
	return -1;
}

int candidates_fault(struct usage_fault *fault, int at, const struct candidates *c,
    const char *word, const char *otherwise)
{
	const char *names[CANDIDATES_MAX], *nearest = NULL, *comma = "one of ";
	size_t room = sizeof(fault->expected), used = 0;
	bool several = word && *word && count(c, word) > 1;

	if (c->n == 0)
		return candidates_fault_at(fault, at, otherwise);
	for (unsigned i = 0; i < c->n; i++) {
		names[i] = c->text[i];
		if (several && !candidates_begins(c->text[i], word))
			continue; /* the word does not mean it */
		if (used < room)
			used += (size_t)snprintf(fault->expected + used, room - used, "%s%s",
			    c->n > 1 ? comma : "", c->text[i]);
		comma = ", ";
	}
	if (word && !several)
		nearest = schema_nearest(word, names, c->n);
	if (nearest && used < room && candidates_find(c, word) < 0)
		snprintf(fault->expected + used, room - used, "; did you mean %s?", nearest);
	fault->word = at;
	return -1;
}

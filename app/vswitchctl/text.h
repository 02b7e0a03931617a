/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Texts that others wrote, on a terminal. Names of ports are an example. What a terminal could take
 * for a command is printed as \u001b or \x9b: control characters, bytes that are no UTF-8, and
 * characters that change the order of others.
 *
 * Widths are columns of a terminal. They are right after setlocale(LC_CTYPE) with UTF-8.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Can it be printed as it is? */
bool text_is_plain(const char *text);

unsigned text_width(const char *text);

void text_print(const char *text, FILE *out);

/* Print its beginning, or its end, in at most this many columns. Returns how many it printed. */
unsigned text_print_part(const char *text, unsigned width, bool end, FILE *out);

/* Print JSON. It stays the same JSON: only strings have such characters. */
void text_print_json(const json_t *json, size_t flags, FILE *out);

/* SPDX-License-Identifier: BSD-3-Clause */
#include "value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "manage/check.h"
#include "manage/yaml.h"

void value_words(const struct schema_field *f, struct candidates *c)
{
	for (const char *const *w = f->type == SCHEMA_WORD ? f->words : NULL; w && *w; w++)
		candidates_add(c, *w, strlen(*w), NULL);
	if (f->type == SCHEMA_BOOL) {
		candidates_add(c, "true", 4, NULL);
		candidates_add(c, "false", 5, NULL);
	}
}

/* The switch has another working directory. */
static json_t *path(const char *text)
{
	char *directory = text[0] == '/' ? NULL : getcwd(NULL, 0);
	json_t *json = directory ? json_sprintf("%s/%s", directory, text) : json_string(text);

	free(directory);
	return json;
}

/* One value, or a part of a list. */
static json_t *one_value(const struct schema_field *f, const char *text)
{
	struct candidates c = {0};
	json_t *json = NULL;
	int i;

	switch (f->type) {
	case SCHEMA_UINT:
		json = check_read_number(text);
		break;
	case SCHEMA_BOOL:
		json = check_read_bool(text);
		break;
	case SCHEMA_PATH:
		return path(text);
	case SCHEMA_WORD:
		value_words(f, &c);
		i = candidates_find(&c, text);
		if (i >= 0)
			json = json_string(c.text[i]);
		break;
	default:
		break;
	}
	return json ? json : json_string(text);
}

json_t *value_of(const struct schema_field *f, const char *text)
{
	json_t *list;

	if (!(f->flags & SCHEMA_LIST))
		return one_value(f, text);
	list = json_array();
	while (*text) {
		size_t n = strcspn(text, ",");
		char *part = strndup(text, n);

		json_array_append_new(list, one_value(f, part));
		free(part);
		text += n + (text[n] == ',');
	}
	return list;
}

/* Read the whole file. NULL: errno. */
static char *read_file(const char *name, size_t *ret_n)
{
	FILE *file = fopen(name, "re");
	char *text = file ? malloc(YAML_BYTES_MAX + 1) : NULL;

	if (text)
		*ret_n = fread(text, 1, YAML_BYTES_MAX + 1, file);
	if (file)
		fclose(file);
	return text;
}

int value_take_file(const struct schema *schema, const struct schema_field *f, const char *name,
    json_t *params, struct usage_fault *fault)
{
	struct yaml_fault wrong;
	size_t n = 0;
	char *text = read_file(name, &n);
	json_t *json = NULL;

	fault->word = -1;
	if (text)
		json = yaml_read(schema, schema_object(schema, f->object), text, n, &wrong);
	if (!text)
		snprintf(
		    fault->expected, sizeof(fault->expected), "%s: %s", name, error_text(errno));
	else if (!json)
		snprintf(fault->expected, sizeof(fault->expected), "%s:%u:%u: %s", name, wrong.line,
		    wrong.column, wrong.message);
	free(text);
	if (!json)
		return -1;
	json_object_set_new(params, f->name, json);
	return 0;
}

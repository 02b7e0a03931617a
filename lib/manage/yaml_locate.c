/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/yaml.h"

#include <yaml.h>

struct walker {
	yaml_parser_t parser;
	yaml_event_t event;
	bool has_event;
};

/* False: the text is no YAML. */
static bool next(struct walker *w)
{
	if (w->has_event)
		yaml_event_delete(&w->event);
	w->has_event = yaml_parser_parse(&w->parser, &w->event);
	return w->has_event;
}

static bool next_is(struct walker *w, yaml_event_type_t type)
{
	return next(w) && w->event.type == type;
}

/* Go to the end of the value that the last event begins. */
static bool skip(struct walker *w)
{
	unsigned depth = 0;

	do {
		yaml_event_type_t type = w->event.type;

		depth += type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT;
		depth -= type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT;
	} while (depth && next(w));
	return depth == 0;
}

/* The last event began an object: go to the value of this name. */
static bool find_member(struct walker *w, const char *name)
{
	while (next_is(w, YAML_SCALAR_EVENT)) {
		bool same = schema_same_name((const char *)w->event.data.scalar.value, name);

		if (!next(w))
			return false;
		if (same)
			return true;
		if (!skip(w))
			return false;
	}
	return false;
}

/* The last event began a list: go to the beginning of this part. */
static bool find_part(struct walker *w, size_t index)
{
	while (next(w) && w->event.type != YAML_SEQUENCE_END_EVENT) {
		if (index-- == 0)
			return true;
		if (!skip(w))
			return false;
	}
	return false;
}

static void tell(const struct walker *w, struct yaml_fault *at)
{
	at->line = (unsigned)w->event.start_mark.line + 1;
	at->column = (unsigned)w->event.start_mark.column + 1;
}

void yaml_locate(const char *text, size_t n, const char *list, size_t index, const char *field,
    struct yaml_fault *at)
{
	struct walker w = {.has_event = false};

	at->line = at->column = 1;
	if (!yaml_parser_initialize(&w.parser))
		return;
	yaml_parser_set_input_string(&w.parser, (const unsigned char *)text, n);
	if (next_is(&w, YAML_STREAM_START_EVENT) && next_is(&w, YAML_DOCUMENT_START_EVENT) &&
	    next_is(&w, YAML_MAPPING_START_EVENT) && find_member(&w, list)) {
		tell(&w, at);
		if (w.event.type == YAML_SEQUENCE_START_EVENT && find_part(&w, index)) {
			tell(&w, at);
			if (field && w.event.type == YAML_MAPPING_START_EVENT &&
			    find_member(&w, field))
				tell(&w, at);
		}
	}
	if (w.has_event)
		yaml_event_delete(&w.event);
	yaml_parser_delete(&w.parser);
}

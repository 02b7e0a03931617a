/* SPDX-License-Identifier: BSD-3-Clause */
#include "facts.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/util.h"

#define NAME_SIZE      32
#define BUSY           0.9  /* of the time with frames: the core can do no more */
#define SWITCHED_SHARE 10.0 /* times per second that a thread with a CPU of its own may lose it */

static const struct {
	const char *name;
	uint64_t mask;
} features[] = {
#define X(name, bit) {#name, UINT64_C(1) << (bit)},
    VIRTIO_FEATURES(X)
#undef X
};

/* NET_F_CSUM is "csum", as in the switch's log. */
static void short_name(const char *name, char *text, size_t size)
{
	const char *at = strstr(name, "F_") + 2;
	size_t i;

	for (i = 0; i + 1 < size && at[i]; i++)
		text[i] = tolower((unsigned char)at[i]);
	text[i] = '\0';
}

void facts_names(uint64_t mask, char *text, size_t size)
{
	size_t n = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		char name[NAME_SIZE];

		if (!(mask & features[i].mask))
			continue; /* not asked for */
		short_name(features[i].name, name, sizeof(name));
		n += snprintf(text + n, size - n, "%s%s", n ? " " : "", name);
		if (n >= size)
			return;
	}
}

static json_t *names_of(uint64_t mask)
{
	json_t *list = json_array();
	char text[NAME_SIZE];

	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		if (!(mask & features[i].mask))
			continue; /* not negotiated */
		short_name(features[i].name, text, sizeof(text));
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static json_t *port_json(const char *name, struct tport *port)
{
	json_t *j = json_pack("{s:s}", "port", name);
	struct tport_facts f;

	if (!port->ops->facts)
		return j;
	port->ops->facts(port, &f);
	json_object_set_new(j, "features", names_of(f.features));
	json_object_update_new(j,
	    json_pack("{s:i, s:b, s:i, s:b, s:i, s:I, s:I, s:I}", "send_chain", (int)f.send_chain,
		"send_indirect", (int)f.send_indirect, "receive_chain", (int)f.receive_chain,
		"receive_indirect", (int)f.receive_indirect, "send_room", (int)f.send_room, "kicks",
		(json_int_t)f.kicks, "calls_asked", (json_int_t)f.calls_asked, "calls",
		(json_int_t)f.calls));
	return j;
}

json_t *facts_negotiated(const struct options *o, const struct traffic *t)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < t->n_ports; i++)
		json_array_append_new(list, port_json(o->port[i], t->port[i]));
	return list;
}

static enum tag_form weakest_form(const struct traffic *t)
{
	enum tag_form weakest = TAG_FULL;

	for (unsigned i = 0; i < t->n_streams; i++)
		weakest = MAX(weakest, profile_weakest_form(&t->stream[i]->profile));
	return weakest;
}

json_t *facts_checked(const struct traffic *t)
{
	const struct stream_profile *p = &t->stream[0]->profile;
	const struct tag_tells *tells = &tag_tells[weakest_form(t)];
	bool made = !t->replay;

	return json_pack("{s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:b}", "loss", 1, "order",
	    made && tells->order, "duplicates", made && tells->order, "tag", made && tells->sum,
	    "latency", made && tells->age, "headers",
	    made && (p->touch_all || weakest_form(t) != TAG_FULL), "every_byte",
	    made && p->touch_all, "checksum", made && profile_tcp(p));
}

void facts_print_unchecked(const struct traffic *t)
{
	const struct tag_tells *tells = &tag_tells[weakest_form(t)];

	if (tells->order && tells->age && tells->sum)
		return;
	printf("unchecked  %s%s%s: the shortest frame has no room for it\n",
	    tells->order ? "" : " order, duplicates,", tells->sum ? "" : " changes of the number,",
	    " latency");
}

const char *facts_directions(const struct options *o)
{
	switch (o->pattern) {
	case PATTERN_UNIDIRECTIONAL:
		return o->n_ports > 2 ? "all pairs of ports, one direction" : "one direction";
	case PATTERN_BIDIRECTIONAL:
		return o->n_ports > 2 ? "all pairs of ports, both directions" : "both directions";
	case PATTERN_LOOP:
		return "all ports";
	default:
		return "all ports to all others";
	}
}

void facts_print_calls(const struct traffic *t)
{
	struct tport_facts f, sum = {0};

	for (unsigned i = 0; i < t->n_ports; i++) {
		if (!t->port[i]->ops->facts)
			continue; /* it has no calls */
		t->port[i]->ops->facts(t->port[i], &f);
		sum.calls_asked += f.calls_asked;
		sum.calls += f.calls;
	}
	if (sum.calls_asked)
		printf("calls       %" PRIu64 " made, %" PRIu64 " asked for\n", sum.calls,
		    sum.calls_asked);
}

const char *facts_invalid(const struct trial_result *r, uint64_t switched)
{
	double cycles = r->busy_cycles + r->idle_cycles;

	if (r->late <= TRIAL_LATE_SHARE * r->sum.sent)
		return NULL;
	if (switched > SWITCHED_SHARE * r->seconds)
		return "vswitch-pktgen lost its CPU again and again. Likely it shares the CPU with "
		       "the switch: give each a CPU of its own (taskset)";
	if (r->refused)
		return "rings were full. Likely the switch cannot take this rate, or its worker "
		       "shares a CPU with vswitch-pktgen or another process";
	if (r->busy_cycles > BUSY * cycles)
		return "the rate is higher than vswitch-pktgen can send on its CPU";
	return "likely vswitch-pktgen shares its CPU with the switch or another process: give each "
	       "a CPU of its own (taskset)";
}

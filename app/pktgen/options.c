/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * One table describes every option: its name, its argument, its help line, and how its value is
 * stored in struct options. argp's table is made from it. If a value is out of range, argp_error()
 * says what is right and ends the program. Rules that involve several options are checked at the
 * end.
 */
#include "options.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "device.h"
#include "traffic/mix.h"
#include "traffic/vport.h"

const char *argp_program_version = "vswitch-pktgen " VSWITCHD_VERSION;

static const char doc[] =
    "Generate traffic on vhost-user ports and other devices, and check what arrives.\v"
    "A --port is a socket on which a vhost-user back-end listens, for example vswitchd; this "
    "program is the guest behind it. Or a --port is a device of DPDK: vdev:NAME[,ARGUMENTS], such "
    "as vdev:net_af_xdp0,iface=eth1, or pci:ADDRESS[,ARGUMENTS]; --packed, --in-order, "
    "--mergeable, --buffer, --indirect, --chain and --calls do not apply to devices. --pattern "
    "says between which ports frames are sent. The exit status is 0 if frames arrived and none was "
    "corrupt, duplicated or out of order (frames may be lost), 1 otherwise, 2 after a fault of "
    "usage, set-up or output, 3 if only the latencies are invalid, because more than 1 % of the "
    "frames left late.\n\n"
    "Mixes, in bytes without FCS:\n"
#define MIX(name, about, list) "  " name ": " about "\n"
#define SIZE(bytes, weight)
    MIXES(MIX, SIZE)
#undef MIX
#undef SIZE
	"--size imix is the sizes of imix in a fixed order of 12 frames.\n\n"
	"Example: two ports of a switch, 64-byte frames both ways at full speed:\n"
	"  vswitch-pktgen --port /run/a.sock --port /run/b.sock";

#define SECONDS_MAX 1000000

/* In the order of enum method and of enum pattern. */
#define METHODS  "trial, mrr, ndrpdr, rfc2544, loss, back-to-back"
#define PATTERNS "uni, bi, mesh, loop"

static double number(
    struct argp_state *state, const char *what, const char *text, double min, double max)
{
	char *end;
	double value = strtod(text, &end);

	if (*end == 'k')
		value *= 1e3, end++;
	else if (*end == 'M')
		value *= 1e6, end++;
	if (end == text || *end || !(value >= min && value <= max))
		argp_error(
		    state, "%s: '%s' is not a number from %.15g to %.15g", what, text, min, max);
	return value;
}

static void take_sizes(struct argp_state *state, struct options *o, const char *text)
{
	/* 7:4:1 (the "simple" internet mix), without FCS, in mixed order. */
	static const uint32_t imix[] = {64, 590, 64, 64, 590, 64, 1514, 590, 64, 64, 590, 64};
	struct stream_profile *p = &o->profile;
	char *copy = strdup(text), *rest = copy, *word;

	o->sizes_given = true;
	p->n_sizes = p->n_order = 0;
	if (strcmp(text, "imix") == 0) {
		memcpy(p->size, imix, sizeof(imix));
		p->n_sizes = ARRAY_SIZE(imix);
	} else {
		while ((word = strsep(&rest, ","))) {
			if (p->n_sizes == STREAM_SIZES_MAX)
				argp_error(state, "--size: at most %d sizes", STREAM_SIZES_MAX);
			if (isalpha((unsigned char)*word))
				argp_error(
				    state, "--size: '%s' is neither a number nor imix", word);
			p->size[p->n_sizes++] = (uint32_t)number(
			    state, "--size", word, STREAM_FRAME_MIN, STREAM_FRAME_MAX);
		}
	}
	free(copy);
}

static void take_mix(struct argp_state *state, struct options *o, const char *text)
{
	unsigned line;
	int err;

	o->mix = text;
	if (mix_named(&o->profile, text))
		return;
	err = mix_read(&o->profile, text, &line);
	if (err == -ENOENT)
		argp_error(state,
		    "--mix: '%s' is none of imix, datacenter, linux-tcp, and there is no such file",
		    text);
	else if (err == -E2BIG)
		argp_error(state,
		    "--mix: %s: at most %d sizes, and weights that add up to at most %d", text,
		    STREAM_SIZES_MAX, STREAM_ORDER_MAX);
	else if (err == -EINVAL && line == 0)
		argp_error(state, "--mix: %s has no line with a size and a weight", text);
	else if (err == -EINVAL)
		argp_error(state,
		    "--mix: %s:%u: a line is a size from %d to %d and a weight from 1 on", text,
		    line, STREAM_FRAME_MIN, STREAM_FRAME_MAX);
	else if (err)
		argp_error(state, "--mix: cannot read %s: %s", text, error_text(-err));
}

/* The position of the text in a list of words. */
static unsigned choice(
    struct argp_state *state, const char *what, const char *text, const char *words)
{
	size_t len = strlen(text);

	for (unsigned i = 0; *words; i++) {
		size_t n = strcspn(words, ",");

		if (n == len && memcmp(text, words, len) == 0)
			return i;
		words += n;
		words += strspn(words, ", ");
	}
	argp_error(state, "%s: there is no '%s'", what, text);
	return 0;
}

static void take_port(struct argp_state *state, struct options *o, const char *text)
{
	if (o->n_ports == PKTGEN_PORTS_MAX)
		argp_error(state, "at most %d ports", PKTGEN_PORTS_MAX);
	o->port[o->n_ports++] = text;
}

/* How an option's value is stored: by a function, or as the table says. */
enum option_kind {
	OPTION_TAKE,   /* a function stores it */
	OPTION_FLAG,   /* there is no value: a bool becomes true */
	OPTION_NUMBER, /* in an unsigned integer */
	OPTION_REAL,   /* in a double */
	OPTION_CHOICE, /* one of several words: its position, in an enumeration */
	OPTION_TEXT,   /* in a const char * */
};

struct option_spec {
	const char *name;
	int letter; /* short name; 0: the option has no short name */
	const char *argument, *help;
	int group; /* of the help text */
	enum option_kind kind;
	void (*take)(struct argp_state *state, struct options *o, const char *text);
	size_t at, size;   /* the member of struct options: its offset and its bytes */
	double min, max;   /* of the number */
	const char *words; /* that can be chosen */
};

#define MEMBER(member) \
	.at = offsetof(struct options, member), .size = sizeof(((struct options *)0)->member)
#define TAKE(function)       .kind = OPTION_TAKE, .take = function
#define FLAG(member)         .kind = OPTION_FLAG, MEMBER(member)
#define TEXT(member)         .kind = OPTION_TEXT, MEMBER(member)
#define CHOICE(member, list) .kind = OPTION_CHOICE, MEMBER(member), .words = (list)
#define NUMBER(member, least, most) \
	.kind = OPTION_NUMBER, MEMBER(member), .min = (least), .max = (most)
#define REAL(member, least, most) .kind = OPTION_REAL, MEMBER(member), .min = (least), .max = (most)

static const struct option_spec option_table[] = {
    {"port", 'p', "PATH|DEVICE", "A port: a back-end's socket or a device; repeat for more ports",
	1, TAKE(take_port)},
    {"packed", 0, NULL, "Packed virtqueues instead of split ones", 1, FLAG(packed)},
    {"in-order", 0, NULL, "Negotiate in-order use of buffers", 1, FLAG(in_order)},
    {"mergeable", 0, NULL, "Negotiate mergeable receive buffers", 1, FLAG(mergeable)},
    {"ring-size", 0, "N", "Descriptors per ring, a power of two (1024)", 1,
	NUMBER(ring_size, 64, 32768)},
    {"buffer", 0, "BYTES", "Size of a receive buffer (the longest frame)", 1,
	NUMBER(buffer, 128, 65535)},
    {"indirect", 0, NULL, "Descriptors in indirect tables; implies --chain 1", 1, FLAG(indirect)},
    {"chain", 0, "N",
	"N descriptors for a frame, or a receive buffer that is not mergeable, and one for its net "
	"header (one descriptor for all)",
	1, NUMBER(chain, 1, VPORT_CHAIN_MAX)},
    {"calls", 0, NULL, "Ask for calls (interrupts), with the event index, as a guest does", 1,
	FLAG(calls)},
    {"queues", 'q', "N", "Queue pairs per port (1)", 1, NUMBER(pairs, 1, TPORT_PAIRS_MAX)},
    {"no-huge", 0, NULL, "Guest memory from ordinary pages", 1, FLAG(no_huge)},
    {"size", 's', "BYTES|imix",
	"Ethernet bytes without FCS, 14 to 65535; several sizes with commas are used in turn (64)",
	2, TAKE(take_sizes)},
    {"mix", 0, "FILE|NAME",
	"Sizes with weights in mixed order: imix, datacenter, linux-tcp, or a file with lines of a "
	"size and a weight",
	2, TAKE(take_mix)},
    {"flows", 0, "N", "Flows per stream (1)", 2, NUMBER(profile.flows, 1, 1 << 24)},
    {"macs", 0, "N", "MAC addresses per port; there are at least as many flows (1)", 2,
	NUMBER(profile.macs, 1, 1 << 23)},
    {"locality", 0, "N", "Frames in succession that use the same flow and address (1)", 2,
	NUMBER(profile.locality, 1, 1000000)},
    {"vlan", 0, "ID", "Tag all frames", 2, NUMBER(profile.vlan, 1, 4094)},
    {"tso", 0, "MSS", "TCP frames that ask for segmentation into MSS bytes of payload", 2,
	NUMBER(profile.gso, 64, 65000)},
    {"csum", 0, NULL,
	"TCP frames with partial checksums; arriving checksums are checked, partial or complete", 2,
	FLAG(profile.csum)},
    {"no-guest-csum", 0, NULL, "With --csum: accept only complete checksums", 2,
	FLAG(no_guest_csum)},
    {"touch-all", 0, NULL, "Write and check every byte, not only the first cache line", 2,
	FLAG(profile.touch_all)},
    {"pattern", 'P', "KIND",
	"uni: port 1 to 2, 3 to 4...; bi: and back; mesh: all to all; loop: each to itself (bi)", 3,
	CHOICE(pattern, PATTERNS)},
    {"rate", 'r', "FPS",
	"Frames per second of all streams together; k and M are allowed (full speed)", 3,
	REAL(rate, 1, 1000000000)},
    {"duration", 'd', "SECONDS", "Longest time that a trial sends (3)", 3,
	REAL(seconds, 0.001, SECONDS_MAX)},
    {"frames", 0, "N", "Most frames that a trial sends per port", 3,
	NUMBER(frames, 1, 1000000000000)},
    {"pcap", 0, "FILE",
	"Send the frames of a capture again and again, from every port where a stream starts", 4,
	TEXT(pcap)},
    {"pcap-once", 0, NULL, "Send the capture once; then only a given --duration limits the time", 4,
	FLAG(pcap_once)},
    {"pcap-speed", 0, "X", "Send at the times of the file, X times as fast (default: at --rate)", 4,
	REAL(pcap_speed, 1e-6, 1e6)},
    {"test", 't', "METHOD", "One of " METHODS " (trial)", 5, CHOICE(method, METHODS)},
    {"json", 0, "FILE", "Write the results to FILE; - is standard output", 5, TEXT(json)},
    {"quiet", 'Q', NULL, "Print no progress and no text", 5, FLAG(quiet)},
};

static void finish_mix(struct argp_state *state, struct options *o)
{
	if (o->mix && (o->sizes_given || o->pcap))
		argp_error(state, "--mix is instead of --size and --pcap");
	if (!o->mix || strcmp(o->mix, MIX_TCP) != 0)
		return;
	if (o->pattern != PATTERN_BIDIRECTIONAL && o->pattern != PATTERN_UNIDIRECTIONAL)
		argp_error(state, "--mix linux-tcp is for --pattern bi and uni");
	o->profile.gso = o->profile.gso ? o->profile.gso : MIX_TCP_MSS;
	o->acknowledge = o->pattern == PATTERN_BIDIRECTIONAL;
}

static void finish_descriptors(struct argp_state *state, struct options *o)
{
	if (o->indirect && o->chain == 0)
		o->chain = 1;
	if (o->chain && o->in_order && !o->indirect)
		argp_error(state, "--chain with --in-order needs --indirect");
}

static void finish_csum(struct argp_state *state, struct options *o)
{
	bool gso = o->profile.gso;

	o->profile.csum |= gso;
	if (o->no_guest_csum && (!o->profile.csum || gso))
		argp_error(state, "--no-guest-csum is for --csum without segmentation");
	for (unsigned i = 0; i < o->n_ports; i++) {
		if ((o->acknowledge || (o->profile.csum && !gso)) && device_is_named(o->port[i]))
			argp_error(state, "--csum and --mix linux-tcp are not for devices");
	}
}

/* Check rules that involve several options. */
static void finish(struct argp_state *state, struct options *o)
{
	const char *fault;

	if (o->n_ports < (o->pattern == PATTERN_LOOP ? 1 : 2))
		argp_error(state, "at least two --port are needed, or --pattern loop");
	if (o->ring_size & (o->ring_size - 1))
		argp_error(state, "--ring-size: %u is not a power of two", o->ring_size);
	if ((o->pcap_speed > 0 || o->pcap_once) && (!o->pcap || o->method != METHOD_TRIAL))
		argp_error(state, "--pcap-speed and --pcap-once are for a trial with --pcap");
	if (o->pcap_speed > 0 && o->rate > 0)
		argp_error(state, "--pcap-speed or --rate, not both");
	finish_mix(state, o);
	finish_descriptors(state, o);
	finish_csum(state, o);
	if (o->pcap && (o->profile.csum || o->profile.touch_all))
		argp_error(state,
		    "--tso, --csum and --touch-all are for frames that are made, not --pcap");
	if (o->seconds == 0)
		o->seconds = o->pcap_once ? SECONDS_MAX : 3;
	o->profile.flows = MAX(o->profile.flows, o->profile.macs);
	o->profile.lanes = MIN(o->profile.flows, o->pairs);
	fault = profile_fault(&o->profile);
	if (fault)
		argp_error(state, "these frames cannot be made: %s", fault);
}

static void store_number(void *member, size_t size, uint64_t value)
{
	if (size == sizeof(uint16_t))
		*(uint16_t *)member = (uint16_t)value;
	else if (size == sizeof(uint32_t))
		*(uint32_t *)member = (uint32_t)value;
	else
		*(uint64_t *)member = value;
}

static void take(
    struct argp_state *state, const struct option_spec *spec, struct options *o, const char *text)
{
	void *member = (char *)o + spec->at;
	char what[32];

	snprintf(what, sizeof(what), "--%s", spec->name);
	switch (spec->kind) {
	case OPTION_TAKE:
		spec->take(state, o, text);
		break;
	case OPTION_FLAG:
		*(bool *)member = true;
		break;
	case OPTION_NUMBER:
		store_number(
		    member, spec->size, (uint64_t)number(state, what, text, spec->min, spec->max));
		break;
	case OPTION_REAL:
		*(double *)member = number(state, what, text, spec->min, spec->max);
		break;
	case OPTION_CHOICE:
		store_number(member, spec->size, choice(state, what, text, spec->words));
		break;
	case OPTION_TEXT:
		*(const char **)member = text;
		break;
	}
}

/* The key of option i for argp: the short name, or a number that is no character. */
static int key_of(unsigned i)
{
	return option_table[i].letter ? option_table[i].letter : 256 + (int)i;
}

static const struct option_spec *spec_of(int key)
{
	for (unsigned i = 0; i < ARRAY_SIZE(option_table); i++)
		if (key_of(i) == key)
			return &option_table[i];
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	const struct option_spec *spec = spec_of(key);

	if (spec)
		take(state, spec, state->input, arg);
	else if (key == ARGP_KEY_ARG)
		argp_error(state, "'%s' is not an option: name ports with --port", arg);
	else if (key == ARGP_KEY_END)
		finish(state, state->input);
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

static void fill_argp(struct argp_option options[])
{
	for (unsigned i = 0; i < ARRAY_SIZE(option_table); i++)
		options[i] = (struct argp_option){
		    .name = option_table[i].name,
		    .key = key_of(i),
		    .arg = option_table[i].argument,
		    .doc = option_table[i].help,
		    .group = option_table[i].group,
		};
}

void options_parse(struct options *o, int argc, char *argv[])
{
	struct argp_option options[ARRAY_SIZE(option_table) + 1] = {0};
	const struct argp argp = {.options = options, .parser = parse, .doc = doc};

	*o = (struct options){
	    .ring_size = 1024,
	    .pairs = 1,
	    .profile = {.size = {64}, .n_sizes = 1, .flows = 1, .macs = 1},
	    .pattern = PATTERN_BIDIRECTIONAL,
	};
	fill_argp(options);
	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, o);
}

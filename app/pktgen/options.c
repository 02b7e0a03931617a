/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * argp reads the command line: --help, --usage and the accepted options come from one table. If a
 * value is out of range, argp_error() says what is right and ends the program. Rules that involve
 * several options are checked at the end.
 */
#include "options.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

const char *argp_program_version = "vswitch-pktgen " VSWITCHD_VERSION;

static const char doc[] =
    "Generate traffic on vhost-user ports and other devices, and check what arrives.\v"
    "A --port is a socket on which a vhost-user back-end listens, for example vswitchd; this "
    "program is the guest behind it. Or a --port is a device of DPDK: vdev:NAME[,ARGUMENTS], such "
    "as vdev:net_af_xdp0,iface=eth1, or pci:ADDRESS[,ARGUMENTS]; --packed, --in-order, "
    "--mergeable and --buffer do not apply to devices. --pattern says between which ports frames "
    "are sent. The exit status is 0 if frames arrived and none was corrupt, duplicated or out of "
    "order (frames may be lost), 1 otherwise, 2 after a fault of usage, set-up or output.\n\n"
    "Example: two ports of a switch, 64-byte frames both ways at full speed:\n"
    "  vswitch-pktgen --port /run/a.sock --port /run/b.sock";

#define SECONDS_MAX 1000000

#define METHODS "trial, mrr, ndrpdr, rfc2544, loss, back-to-back"

enum {
	KEY_PACKED = 256,
	KEY_IN_ORDER,
	KEY_MERGEABLE,
	KEY_NO_HUGE,
	KEY_RING_SIZE,
	KEY_BUFFER,
	KEY_FLOWS,
	KEY_MACS,
	KEY_VLAN,
	KEY_TSO,
	KEY_TOUCH_ALL,
	KEY_FRAMES,
	KEY_PCAP,
	KEY_PCAP_SPEED,
	KEY_PCAP_ONCE,
	KEY_JSON,
};

static const struct argp_option table[] = {
    {"port", 'p', "PATH|DEVICE", 0,
	"A port: a back-end's socket or a device; repeat for more ports", 1},
    {"packed", KEY_PACKED, 0, 0, "Packed virtqueues instead of split ones", 1},
    {"in-order", KEY_IN_ORDER, 0, 0, "Negotiate in-order use of buffers", 1},
    {"mergeable", KEY_MERGEABLE, 0, 0, "Negotiate mergeable receive buffers", 1},
    {"ring-size", KEY_RING_SIZE, "N", 0, "Descriptors per ring, a power of two (1024)", 1},
    {"buffer", KEY_BUFFER, "BYTES", 0, "Size of a receive buffer (the longest frame)", 1},
    {"queues", 'q', "N", 0, "Queue pairs per port (1)", 1},
    {"no-huge", KEY_NO_HUGE, 0, 0, "Guest memory from ordinary pages", 1},
    {"size", 's', "BYTES|imix", 0,
	"Ethernet bytes without FCS; several sizes with commas are used in turn (64)", 2},
    {"flows", KEY_FLOWS, "N", 0, "Flows per stream (1)", 2},
    {"macs", KEY_MACS, "N", 0, "MAC addresses per port; there are at least as many flows (1)", 2},
    {"vlan", KEY_VLAN, "ID", 0, "Tag all frames", 2},
    {"tso", KEY_TSO, "MSS", 0, "TCP frames that ask for segmentation into MSS bytes of payload", 2},
    {"touch-all", KEY_TOUCH_ALL, 0, 0, "Write and check every byte, not only the first cache line",
	2},
    {"pattern", 'P', "KIND", 0,
	"uni: port 1 to 2, 3 to 4...; bi: and back; mesh: all to all; loop: each to itself (bi)",
	3},
    {"rate", 'r', "FPS", 0,
	"Frames per second of all streams together; k and M are allowed (full speed)", 3},
    {"duration", 'd', "SECONDS", 0, "Longest time that a trial sends (3)", 3},
    {"frames", KEY_FRAMES, "N", 0, "Most frames that a trial sends per port", 3},
    {"pcap", KEY_PCAP, "FILE", 0,
	"Send the frames of a capture again and again, from every port where a stream starts", 4},
    {"pcap-once", KEY_PCAP_ONCE, 0, 0,
	"Send the capture once; then only a given --duration limits the time", 4},
    {"pcap-speed", KEY_PCAP_SPEED, "X", 0,
	"Send at the times of the file, X times as fast (default: at --rate)", 4},
    {"test", 't', "METHOD", 0, "One of " METHODS " (trial)", 5},
    {"json", KEY_JSON, "FILE", 0, "Write the results to FILE; - is standard output", 5},
    {"quiet", 'Q', 0, 0, "Print no progress and no text", 5},
    {0},
};

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

static void sizes(struct argp_state *state, struct stream_profile *p, const char *text)
{
	/* 7:4:1 (the "simple" internet mix), without FCS, in mixed order. */
	static const uint32_t imix[] = {64, 590, 64, 64, 590, 64, 1514, 590, 64, 64, 590, 64};
	char *copy = strdup(text), *rest = copy, *word;

	p->n_sizes = 0;
	if (strcmp(text, "imix") == 0) {
		memcpy(p->size, imix, sizeof(imix));
		p->n_sizes = ARRAY_SIZE(imix);
	} else {
		while ((word = strsep(&rest, ","))) {
			if (p->n_sizes == STREAM_SIZES_MAX)
				argp_error(state, "--size: at most %d sizes", STREAM_SIZES_MAX);
			p->size[p->n_sizes++] = (uint32_t)number(
			    state, "--size", word, STREAM_FRAME_MIN, STREAM_FRAME_MAX);
		}
	}
	free(copy);
}

static int choice(struct argp_state *state, const char *what, const char *text,
    const char *const names[], unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(text, names[i]) == 0)
			return i;
	}
	argp_error(state, "%s: there is no '%s'", what, text);
	return 0;
}

/* Check rules that involve several options. */
static void finish(struct argp_state *state, struct options *o)
{
	if (o->n_ports < (o->pattern == PATTERN_LOOP ? 1 : 2))
		argp_error(state, "at least two --port are needed, or --pattern loop");
	if (o->ring_size & (o->ring_size - 1))
		argp_error(state, "--ring-size: %u is not a power of two", o->ring_size);
	if ((o->pcap_speed > 0 || o->pcap_once) && (!o->pcap || o->method != METHOD_TRIAL))
		argp_error(state, "--pcap-speed and --pcap-once are for a trial with --pcap");
	if (o->pcap_speed > 0 && o->rate > 0)
		argp_error(state, "--pcap-speed or --rate, not both");
	if (o->pcap && (o->profile.gso || o->profile.touch_all))
		argp_error(state, "--tso and --touch-all are for frames that are made, not --pcap");
	if (o->seconds == 0)
		o->seconds = o->pcap_once ? SECONDS_MAX : 3;
	o->profile.flows = MAX(o->profile.flows, o->profile.macs);
	o->profile.lanes = MIN(o->profile.flows, o->pairs);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	static const char *const methods[] = {
	    "trial", "mrr", "ndrpdr", "rfc2544", "loss", "back-to-back"};
	static const char *const patterns[] = {"uni", "bi", "mesh", "loop"};
	struct options *o = state->input;

	switch (key) {
	case 'p':
		if (o->n_ports == PKTGEN_PORTS_MAX)
			argp_error(state, "at most %d ports", PKTGEN_PORTS_MAX);
		o->port[o->n_ports++] = arg;
		break;
	case KEY_PACKED:
		o->packed = true;
		break;
	case KEY_IN_ORDER:
		o->in_order = true;
		break;
	case KEY_MERGEABLE:
		o->mergeable = true;
		break;
	case KEY_NO_HUGE:
		o->no_huge = true;
		break;
	case KEY_RING_SIZE:
		o->ring_size = (unsigned)number(state, "--ring-size", arg, 64, 32768);
		break;
	case KEY_BUFFER:
		o->buffer = (unsigned)number(state, "--buffer", arg, 128, 65535);
		break;
	case 'q':
		o->pairs = (unsigned)number(state, "--queues", arg, 1, TPORT_PAIRS_MAX);
		break;
	case 's':
		sizes(state, &o->profile, arg);
		break;
	case KEY_FLOWS:
		o->profile.flows = (unsigned)number(state, "--flows", arg, 1, 1 << 24);
		break;
	case KEY_MACS:
		o->profile.macs = (unsigned)number(state, "--macs", arg, 1, 1 << 23);
		break;
	case KEY_VLAN:
		o->profile.vlan = (uint16_t)number(state, "--vlan", arg, 1, 4094);
		break;
	case KEY_TSO:
		o->profile.gso = (uint16_t)number(state, "--tso", arg, 64, 65000);
		break;
	case KEY_TOUCH_ALL:
		o->profile.touch_all = true;
		break;
	case 'P':
		o->pattern = choice(state, "--pattern", arg, patterns, ARRAY_SIZE(patterns));
		break;
	case 'r':
		o->rate = number(state, "--rate", arg, 1, 1000000000);
		break;
	case 'd':
		o->seconds = number(state, "--duration", arg, 0.001, SECONDS_MAX);
		break;
	case KEY_FRAMES:
		o->frames = number(state, "--frames", arg, 1, 1000000000000);
		break;
	case KEY_PCAP:
		o->pcap = arg;
		break;
	case KEY_PCAP_SPEED:
		o->pcap_speed = number(state, "--pcap-speed", arg, 1e-6, 1e6);
		break;
	case KEY_PCAP_ONCE:
		o->pcap_once = true;
		break;
	case 't':
		o->method = choice(state, "--test", arg, methods, ARRAY_SIZE(methods));
		break;
	case KEY_JSON:
		o->json = arg;
		break;
	case 'Q':
		o->quiet = true;
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not an option: name ports with --port", arg);
		break;
	case ARGP_KEY_END:
		finish(state, o);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

void options_parse(struct options *o, int argc, char *argv[])
{
	static const struct argp argp = {.options = table, .parser = parse, .doc = doc};

	*o = (struct options){
	    .ring_size = 1024,
	    .pairs = 1,
	    .profile = {.size = {64}, .n_sizes = 1, .flows = 1, .macs = 1},
	    .pattern = PATTERN_BIDIRECTIONAL,
	};
	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, o);
}

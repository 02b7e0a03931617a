/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of vswitch-pktgen. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "traffic/stream.h"

#define PKTGEN_PORTS_MAX 64

enum pattern { PATTERN_UNIDIRECTIONAL, PATTERN_BIDIRECTIONAL, PATTERN_MESH, PATTERN_LOOP };
enum method {
	METHOD_TRIAL,
	METHOD_MRR,
	METHOD_NDRPDR,
	METHOD_RFC2544,
	METHOD_LOSS,
	METHOD_BACK_TO_BACK
};

struct options {
	const char *port[PKTGEN_PORTS_MAX]; /* as given */
	unsigned n_ports;
	bool packed, in_order, mergeable, no_huge;
	bool indirect, calls, no_guest_csum;
	unsigned ring_size, pairs, buffer, chain;
	bool sizes_given;
	const char *mix;  /* NULL: none */
	bool acknowledge; /* ports 2, 4... only answer ports 1, 3... */
	struct stream_profile profile;
	enum pattern pattern;
	enum method method;
	double rate, seconds;
	uint64_t frames;
	const char *pcap; /* path of frames to replay; NULL: none */
	double pcap_speed;
	bool pcap_once;
	const char *json; /* path, - for standard output; NULL: none */
	bool quiet;
};

/* Set the defaults, then read argv. Ends the process after --help and after an error. */
void options_parse(struct options *o, int argc, char *argv[]);

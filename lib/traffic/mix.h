/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mixes of frame sizes: each size has a weight, and the sizes come in a mixed order that is always
 * the same.
 *
 * Threads: any.
 */
#pragma once

#include <stddef.h>

#include "traffic/template.h"

/* name, what it is (for the help text), then SIZE(bytes, weight)... */
#define MIXES(MIX, SIZE) \
	MIX("imix", "simple IMIX: 64, 590 and 1514 bytes, 7:4:1", \
	    SIZE(64, 7) SIZE(590, 4) SIZE(1514, 1)) \
	MIX("datacenter", \
	    "two peaks, short and full: 60, 66, 90, 200, 576, 1514 bytes, 3:27:15:10:5:40", \
	    SIZE(60, 3) SIZE(66, 27) SIZE(90, 15) SIZE(200, 10) SIZE(576, 5) SIZE(1514, 40)) \
	MIX("linux-tcp", \
	    "TCP from port 1 to 2, 3 to 4...: 1514, 4398, 14534, 65214 bytes, 1:1:2:4, which " \
	    "ask for segmentation into 1448 bytes; back, one acknowledgement of 66 bytes for " \
	    "each", \
	    SIZE(1514, 1) SIZE(4398, 1) SIZE(14534, 2) SIZE(65214, 4))

#define MIX_TCP     "linux-tcp"
#define MIX_TCP_MSS 1448
#define MIX_TCP_ACK 66

#define MIX_LINE_MAX 256

/* False: there is no such mix. */
bool mix_named(struct stream_profile *p, const char *name);

/*
 * Read lines of a size and a weight, with blanks between; empty lines and lines from # on are
 * ignored. A line has less than MIX_LINE_MAX bytes. 0; -errno; -EINVAL, and *ret_line is the number
 * of the wrong line, 0: there is no size; -E2BIG: too many sizes, or the weights add up to more
 * than STREAM_ORDER_MAX.
 */
int mix_read(struct stream_profile *p, const char *path, unsigned *ret_line);

/* For the acknowledgements of MIX_TCP, which have no data. */
void mix_acknowledge(struct stream_profile *p);

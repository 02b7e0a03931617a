/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <pcap/pcap.h>

#include "base/util.h"

static int read_frames(pcap_t *pcap, struct replay *r)
{
	struct pcap_pkthdr *header;
	const u_char *bytes;
	int got, err = 0;

	while (!err && (got = pcap_next_ex(pcap, &header, &bytes)) == 1) {
		/* The precision is nanoseconds, although the member is called tv_usec. */
		uint64_t at = header->ts.tv_sec * UINT64_C(1000000000) + header->ts.tv_usec;

		err = replay_add(r, bytes, header->caplen, header->len, at);
	}
	if (!err && got == PCAP_ERROR)
		err = -EIO;
	replay_finish(r);
	return err;
}

int capture_read(const char *path, struct replay *r)
{
	char text[PCAP_ERRBUF_SIZE] = "";
	pcap_t *pcap =
	    pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, text);
	int err;

	*r = (struct replay){0};
	if (!pcap) {
		/* In most cases libpcap's text contains the path. */
		fprintf(stderr, "vswitch-pktgen: cannot read %s: %s\n", path, text);
		return -EINVAL;
	}
	if (pcap_datalink(pcap) != DLT_EN10MB) {
		fprintf(stderr, "vswitch-pktgen: %s is a capture of something else than Ethernet\n",
		    path);
		err = -EPROTO;
	} else {
		err = read_frames(pcap, r);
		if (err)
			fprintf(stderr, "vswitch-pktgen: frame %" PRIu64 " of %s: %s\n",
			    r->n_read + 1, path,
			    err == -EIO ? pcap_geterr(pcap) : error_text(-err));
	}
	pcap_close(pcap);
	return err;
}

void capture_name_left_out(const char *path, const struct replay *r)
{
	const struct {
		const struct replay_left_out *left_out;
		const char *why;
	} reasons[] = {
	    {&r->too_short, "too short to be a frame"},
	    {&r->too_long, "too long for the ports"},
	    {&r->cut, "captured only in part"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(reasons); i++) {
		if (reasons[i].left_out->n)
			fprintf(stderr,
			    "vswitch-pktgen: %s: %" PRIu64 " of %" PRIu64
			    " frames are left out, %s; the first is number %" PRIu64 "\n",
			    path, reasons[i].left_out->n, r->n_read, reasons[i].why,
			    reasons[i].left_out->first);
	}
}

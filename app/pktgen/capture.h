/* SPDX-License-Identifier: BSD-3-Clause */
/* Capture files, as libpcap reads them: pcap and pcapng. */
#pragma once

#include "traffic/replay.h"

/*
 * Read all frames of a file. Prints what is wrong. 0 or -errno; call replay_cleanup() in any case.
 */
int capture_read(const char *path, struct replay *ret_replay);

/* Print which frames are left out and why. */
void capture_name_left_out(const char *path, const struct replay *r);

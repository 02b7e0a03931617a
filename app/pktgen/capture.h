/* SPDX-License-Identifier: BSD-3-Clause */
/* Capture files, as libpcap reads them: pcap and pcapng. */
#pragma once

#include "traffic/replay.h"

/* All frames of a file; says what is wrong. 0 or -errno; clean the replay up in any case. */
int capture_read(const char *path, struct replay *ret_replay);

/* Say which frames are left out, and why, if any are. */
void capture_name_left_out(const char *path, const struct replay *r);

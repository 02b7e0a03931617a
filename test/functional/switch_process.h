/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vswitchd for one test: it starts in an empty directory with a socket path per port; at its end
 * the counters are read and checked. If something fails that no test expects, every function ends
 * the test.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#define SWITCH_PORTS_MAX 1024

struct switch_process {
	pid_t pid; /* 0: not running */
	unsigned n_ports;
	bool client;
	bool iommu; /* with --iommu */
	unsigned n_workers;
	char dir[64];
	char path[SWITCH_PORTS_MAX][96];
	char stats[96];
	char log[96]; /* what it wrote to stderr */
};

/* Set the path of vswitchd, which otherwise is $VSWITCHD. */
void switch_binary(const char *path);

/* Further options, separated by spaces, for switches started from now on; NULL: none. */
void switch_option(const char *options);

/* True: switches started from now on write their log to a pipe, which is not read after "ready". */
void switch_log_unread(bool unread);

/* Make the directory and start; returns when vswitchd says that it is ready. */
void switch_start(struct switch_process *sw, unsigned n_ports, unsigned n_workers, bool client);

/* The same with --iommu. */
void switch_start_with_iommu(struct switch_process *sw, unsigned n_ports, unsigned n_workers);

/* Start again after switch_kill() or switch_stop(), with the same paths. */
void switch_start_again(struct switch_process *sw);

/* SIGKILL and wait. */
void switch_kill(struct switch_process *sw);

/*
 * Send SIGTERM; the switch must end with status 0. Returns the counters that it wrote; the caller
 * releases them with json_decref.
 */
json_t *switch_stop(struct switch_process *sw);

/* Send SIGUSR1, and return the counters that the switch writes. */
json_t *switch_stats(struct switch_process *sw);

/* Remove the directory. */
void switch_remove(struct switch_process *sw);

/* Has it logged this? */
bool switch_log_contains(const struct switch_process *sw, const char *text);

/* Is it running? */
bool switch_alive(struct switch_process *sw);

/*
 * Check that the counters balance. For each ingress queue: frames == unicast + flooded + drops. For
 * the whole switch: unicast + flood copies + GSO segments == frames delivered + drops at egress
 * queues.
 */
void switch_check_totals(const json_t *stats);

/* Stop the switch, check its counters, remove its directory. */
void switch_finish(struct switch_process *sw);

/* A counter of one direction ("ingress" or "egress") of a port, summed over its queues. */
uint64_t switch_counter(
    const json_t *stats, unsigned port, const char *direction, const char *counter);
/* The same for a drop reason; NULL: all reasons. */
uint64_t switch_drops(
    const json_t *stats, unsigned port, const char *direction, const char *reason);

/* What the kernel knows of the process. */
struct switch_usage {
	unsigned n_fds, n_maps;
	uint64_t private_kib; /* anonymous memory that is resident */
};
struct switch_usage switch_usage(const struct switch_process *sw);
/*
 * The same when nothing is pending, for comparison with an earlier usage: some descriptors and
 * mappings of a front-end are released some time after it has gone. No frame may move during the
 * call, which takes 5 s at most.
 */
struct switch_usage switch_usage_at_rest(const struct switch_process *sw);

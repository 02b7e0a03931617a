/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of vswitchd. */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "control/ports.h"
#include "control/scheduler.h"
#include "datapath/port.h"

#define OPTION_DIRECTORIES_MAX 64

enum options_outcome {
	OPTIONS_RUN,  /* start the switch */
	OPTIONS_DONE, /* the requested text has been printed: exit 0 */
	OPTIONS_BAD,  /* the fault has been named on stderr: exit 2 */
};

/* One --socket-path or --fd, in command line order. */
struct port_option {
	const char *path; /* or NULL */
	int fd;           /* or -1 */
};

struct options {
	unsigned n_ports;
	struct port_option port[PORTS_MAX];
	unsigned n_directories;
	const char *directory[OPTION_DIRECTORIES_MAX];
	struct port_config port_defaults; /* what all ports have in common */
	uint32_t n_workers;
	cpu_set_t worker_cpus; /* exactly n_workers of them */
	bool no_huge;
	bool idle_sleep;
	bool no_sandbox;
	bool forward_bpdu;
	uint32_t mac_table;
	unsigned forget_after_s;
	struct schedule_config schedule;
	enum log_level log_level;
	const char *control;    /* path of the control socket; NULL: the usual one */
	const char *config;     /* path of the configuration file; or NULL */
	const char *stats_json; /* or NULL */
	int argc;               /* the whole command line */
	char **argv;
	int eal_argc; /* what follows -- */
	char **eal_argv;
};

enum options_outcome options_parse(int argc, char *argv[], struct options *ret);

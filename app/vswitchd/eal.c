/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * This file starts the EAL. The EAL is told on which CPUs its threads run, and to leave no files
 * behind. It uses one huge page or none. Free huge pages are counted before the EAL starts. The
 * count may be wrong: a control group may have a limit, or another process may take the page first.
 * Then the EAL gets no memory and fails. It cannot be started twice in a process, so the program
 * executes itself again with --no-huge.
 */
#include "eal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_vect.h>

#include "base/closer.h"
#include "base/cpu.h"
#include "base/util.h"
#include "vhost/helper.h"
#include "hugepages.h"
#include "options.h"

#define EAL_ARGS_MAX 64

/*
 * All CPUs that this process may use and that no worker has. If there are none, all CPUs that this
 * process may use.
 */
void eal_control_cpus(const struct options *o, cpu_set_t *ret)
{
	cpu_set_t allowed, workers;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	CPU_AND(&workers, &allowed, &o->worker_cpus);
	CPU_XOR(ret, &allowed, &workers);
	if (CPU_COUNT(ret) == 0)
		*ret = allowed;
}

/* "0@(0,1),1@2": the control thread is lcore 0; worker n is lcore n on its own CPU. */
static char *lcores_argument(const struct options *o)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	cpu_set_t control;
	unsigned lcore = 0;
	const char *comma = "";

	if (!out)
		return NULL;
	eal_control_cpus(o, &control);
	fprintf(out, "--lcores=0@(");
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &control)) {
			fprintf(out, "%s%u", comma, cpu);
			comma = ",";
		}
	}
	fprintf(out, ")");
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &o->worker_cpus))
			fprintf(out, ",%u@%u", ++lcore, cpu);
	fclose(out);
	return text;
}

/* Redirect stdout and stderr to /dev/null; saved gets the old descriptors. */
static void output_mute(int saved[2])
{
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		saved[i] = fcntl(STDOUT_FILENO + i, F_DUPFD_CLOEXEC, 3);
		if (nowhere >= 0)
			dup2(nowhere, STDOUT_FILENO + i);
	}
	if (nowhere >= 0)
		close(nowhere);
}

static void output_restore(int saved[2])
{
	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		if (saved[i] < 0)
			continue; /* could not be saved: stays redirected */
		dup2(saved[i], STDOUT_FILENO + i);
		close(saved[i]);
	}
}

/* The EAL prints its usage and several lines of its own. One line with the cause is enough. */
static int eal_init(int argc, const char *argv[], bool verbose)
{
	int saved[2], n;

	if (!verbose)
		output_mute(saved);
	n = rte_eal_init(argc, (char **)(uintptr_t)argv);
	if (n < 0)
		n = rte_errno ? -rte_errno : -EIO;
	if (!verbose)
		output_restore(saved);
	return n;
}

/*
 * Execute this program again without huge pages. The EAL has moved this thread to other CPUs, so
 * restore the thread's CPUs first. Returns on failure only.
 */
static void start_again(const struct options *o, const cpu_set_t *cpus)
{
	const char **argv = calloc(o->argc + 2, sizeof(*argv));

	if (!argv)
		return;
	argv[0] = o->argv[0];
	argv[1] = "--no-huge";
	for (int i = 1; i < o->argc; i++)
		argv[i + 1] = o->argv[i];
	sched_setaffinity(0, sizeof(*cpus), cpus);
	closer_stop();
	helper_stop();
	execv("/proc/self/exe", (char **)(uintptr_t)argv);
	log_error("cannot start again without huge pages: %s", error_text(errno));
	free(argv);
}

/*
 * Without the option --force-max-simd-bitwidth the EAL returns its default, 256, which the user did
 * not ask for.
 */
static void limit_simd(const struct options *o)
{
	uint16_t bits = rte_vect_get_max_simd_bitwidth();
	bool asked = false;

	for (int i = 0; i < o->eal_argc; i++)
		asked |= strncmp(o->eal_argv[i], "--force-m", strlen("--force-m")) == 0;
	if (asked || bits < RTE_VECT_SIMD_256)
		cpu_allow_bits(bits);
}

/*
 * Start the EAL with our arguments and the arguments after "--". The caller logs errors. 1: an
 * argument after "--" is not an EAL option; that has been logged.
 */
static int init_with(const struct options *o, bool no_huge)
{
	const char *argv[EAL_ARGS_MAX] = {"vswitchd", "--no-pci", "--no-telemetry"};
	bool verbose = o->log_level >= LOG_DEBUG;
	char *lcores = lcores_argument(o);
	int argc = 3, n;

	if (!lcores)
		return -ENOMEM;
	argv[argc++] = lcores;
	argv[argc++] = verbose ? "--log-level=*:info" : "--log-level=*:critical";
	/* Both leave no file behind. The EAL accepts --in-memory only with huge pages. */
	argv[argc++] = no_huge ? "--no-huge" : "--in-memory";
	argv[argc++] = "--no-shconf";
	for (int i = 0; i < o->eal_argc; i++)
		argv[argc++] = o->eal_argv[i];
	n = eal_init(argc, argv, verbose);
	free(lcores);
	if (n < 0 || n + 1 == argc)
		return MIN(n, 0);
	log_error("'%s' is not an EAL option", argv[n + 1]);
	return 1;
}

int eal_start(const struct options *o)
{
	bool no_huge = o->no_huge || !hugepages_available();
	cpu_set_t cpus;
	int err;

	if (o->eal_argc > EAL_ARGS_MAX - 8) {
		log_error("too many EAL options after --");
		return -E2BIG;
	}
	sched_getaffinity(0, sizeof(cpus), &cpus);
	err = init_with(o, no_huge);
	if (err == -ENOMEM && !no_huge) {
		hugepages_warn_refused();
		start_again(o, &cpus);
	}
	if (err > 0)
		return -EINVAL;
	if (err) {
		log_error("DPDK's environment did not start: %s; --log-level debug shows more",
		    error_text(-err));
		return err;
	}
	limit_simd(o);
	log_debug("frames are moved with %s", cpu_level_name(cpu_level()));
	return 0;
}

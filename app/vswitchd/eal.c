/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_vect.h>

#include "base/cpu.h"
#include "options.h"

#define EAL_ARGS_MAX 64

static unsigned long read_number(const char *path)
{
	unsigned long n = 0;
	FILE *f = fopen(path, "re");

	if (!f)
		return 0;
	if (fscanf(f, "%lu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

static bool huge_pages_free(void)
{
	glob_t found;
	bool any = false;

	if (glob("/sys/kernel/mm/hugepages/hugepages-*/free_hugepages", 0, NULL, &found) != 0)
		return false;
	for (size_t i = 0; i < found.gl_pathc; i++)
		any |= read_number(found.gl_pathv[i]) > 0;
	globfree(&found);
	return any;
}

/*
 * Where the control thread may run: wherever this process may, but not where a worker would have to
 * make room for it, unless there is no other CPU.
 */
static void control_cpus(const struct options *o, cpu_set_t *ret)
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
	control_cpus(o, &control);
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

/* Point stdout and stderr at nothing; what they were goes to saved. */
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
			continue; /* could not be saved: stays mute */
		dup2(saved[i], STDOUT_FILENO + i);
		close(saved[i]);
	}
}

/* The EAL prints its usage and several lines of its own; one that names the cause will do. */
static int eal_init(int argc, const char *argv[], bool verbose)
{
	int saved[2], n, err;

	if (!verbose)
		output_mute(saved);
	n = rte_eal_init(argc, (char **)(uintptr_t)argv);
	err = n < 0 ? (rte_errno ? -rte_errno : -EIO) : 0;
	if (!verbose)
		output_restore(saved);
	if (err)
		log_error("DPDK's environment did not start: %s; --log-level debug tells more",
		    strerror(-err));
	else if (n + 1 < argc) {
		log_error("'%s' is not an EAL option", argv[n + 1]);
		err = -EINVAL;
	}
	return err;
}

/* Without its option the EAL answers 256, which is its own caution and nobody's wish. */
static void limit_simd(const struct options *o)
{
	uint16_t bits = rte_vect_get_max_simd_bitwidth();
	bool asked = false;

	for (int i = 0; i < o->eal_argc; i++)
		asked |= strncmp(o->eal_argv[i], "--force-m", strlen("--force-m")) == 0;
	if (bits < RTE_VECT_SIMD_256)
		cpu_allow_level(CPU_LEVEL_BASELINE);
	else if (asked && bits < RTE_VECT_SIMD_512)
		cpu_allow_level(CPU_LEVEL_AVX2);
}

int eal_start(const struct options *o)
{
	const char *argv[EAL_ARGS_MAX] = {"vswitchd", "--no-pci", "--no-telemetry"};
	int argc = 3, err = 0;
	bool no_huge = o->no_huge;
	char *lcores = lcores_argument(o);

	if (!lcores)
		return -ENOMEM;
	argv[argc++] = lcores;
	argv[argc++] = o->log_level >= LOG_DEBUG ? "--log-level=*:info" : "--log-level=*:critical";
	if (!no_huge && !huge_pages_free()) {
		log_warn("no huge page is free on this machine, using ordinary pages; reserve some "
			 "with: echo 64 > /proc/sys/vm/nr_hugepages");
		no_huge = true;
	}
	/* Either way no file stays behind; the EAL takes --in-memory only with huge pages. */
	argv[argc++] = no_huge ? "--no-huge" : "--in-memory";
	argv[argc++] = "--no-shconf";
	if (argc + o->eal_argc >= EAL_ARGS_MAX) {
		log_error("too many EAL options after --");
		free(lcores);
		return -E2BIG;
	}
	for (int i = 0; i < o->eal_argc; i++)
		argv[argc++] = o->eal_argv[i];
	err = eal_init(argc, argv, o->log_level >= LOG_DEBUG);
	if (!err) {
		limit_simd(o);
		log_debug("frames are moved with %s", cpu_level_name(cpu_level()));
	}
	free(lcores);
	return err;
}

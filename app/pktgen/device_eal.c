/* SPDX-License-Identifier: BSD-3-Clause */
/* Start DPDK's run time with only the parts that devices need. */
#include <errno.h>
#include <glob.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "base/util.h"
#include "device.h"

#define ARGS_MAX 160
#define MORE     (64u << 20) /* what a device needs besides mbufs */

/* Of all page sizes. */
static size_t huge_bytes_free(void)
{
	size_t bytes = 0;
	glob_t found;

	if (glob("/sys/kernel/mm/hugepages/hugepages-*kB/free_hugepages", 0, NULL, &found) != 0)
		return 0;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		unsigned long n = 0, kb = 0;
		FILE *f = fopen(found.gl_pathv[i], "re");

		if (!f)
			continue; /* it has gone meanwhile; nothing depends on it */
		if (fscanf(f, "%lu", &n) == 1 &&
		    sscanf(found.gl_pathv[i], "/sys/kernel/mm/hugepages/hugepages-%lukB", &kb) == 1)
			bytes += n * kb << 10;
		fclose(f);
	}
	globfree(&found);
	return bytes;
}

/* One lcore, this thread. It may still run on all its CPUs. */
static char *lcores_argument(void)
{
	const char *comma = "";
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	cpu_set_t allowed;

	if (!out)
		return NULL;
	sched_getaffinity(0, sizeof(allowed), &allowed);
	fprintf(out, "--lcores=0@(");
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &allowed)) {
			fprintf(out, "%s%u", comma, cpu);
			comma = ",";
		}
	}
	fprintf(out, ")");
	fclose(out);
	return text;
}

/* Add the PCI devices to the arguments. False: there are none. */
static bool add_pci(const char *const specs[], unsigned n, char *argv[], int *argc)
{
	bool any = false;

	for (unsigned i = 0; i < n; i++) {
		if (strncmp(specs[i], "pci:", 4) == 0) {
			argv[(*argc)++] = strdup("-a");
			argv[(*argc)++] = strdup(specs[i] + 4);
			any = true;
		}
	}
	return any;
}

/*
 * Use huge pages that lie in few files, because virtio-user shares these files with the back-end;
 * or ordinary pages.
 */
/* NOLINTBEGIN(clang-analyzer-unix.Malloc): devices_start() frees what argv[] has */
static void add_memory(char *argv[], int *argc, size_t bytes, bool no_huge)
{
	if (!no_huge && huge_bytes_free() < bytes) {
		fprintf(stderr,
		    "vswitch-pktgen: not enough free huge pages for DPDK; slower without\n");
		no_huge = true;
	}
	if (!no_huge) {
		argv[(*argc)++] = strdup("--in-memory");
		argv[(*argc)++] = strdup("--single-file-segments");
		return;
	}
	argv[(*argc)++] = strdup("--no-huge");
	argv[(*argc)++] = strdup("--no-shconf");
	argv[(*argc)++] = strdup("-m");
	if (asprintf(&argv[*argc], "%zu", bytes >> 20) >= 0)
		(*argc)++;
}

int devices_start(
    const char *const specs[], unsigned n, const struct device_config *config, bool no_huge)
{
	char *argv[ARGS_MAX] = {
	    strdup("vswitch-pktgen"), strdup("--no-telemetry"), strdup("--log-level=*:critical")};
	char *kept[ARGS_MAX];
	int argc = 3, err = 0;

	argv[argc++] = lcores_argument();
	if (!add_pci(specs, n, argv, &argc))
		argv[argc++] = strdup("--no-pci");
	add_memory(argv, &argc, n * device_memory(config) + MORE, no_huge);
	for (int i = 0; i < argc; i++) {
		if (!argv[i])
			err = -ENOMEM;
		kept[i] = argv[i]; /* the EAL changes their order */
	}
	if (!err && rte_eal_init(argc, argv) < 0)
		err = rte_errno ? -rte_errno : -EIO;
	if (err)
		fprintf(stderr, "vswitch-pktgen: DPDK's run time did not start: %s\n",
		    error_text(-err));
	for (int i = 0; i < argc; i++)
		free(kept[i]);
	return err;
}
/* NOLINTEND(clang-analyzer-unix.Malloc) */

void devices_stop(void)
{
	rte_eal_cleanup();
}

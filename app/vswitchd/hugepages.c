/* SPDX-License-Identifier: BSD-3-Clause */
#include "hugepages.h"

#include <glob.h>
#include <stdio.h>

#include "base/log.h"

/* Read a number from the directory of a page size; 0 if it does not exist. */
static unsigned long page_number(const char *directory, const char *name)
{
	unsigned long n = 0;
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%lu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

struct huge_pages {
	unsigned long there;     /* on this machine, of any size */
	unsigned long free;      /* not in use */
	unsigned long available; /* free and not reserved, or the kernel may add them */
};

static unsigned long difference(unsigned long a, unsigned long b)
{
	return a > b ? a - b : 0;
}

/* Count as the EAL does. */
static struct huge_pages count_huge_pages(void)
{
	struct huge_pages sum = {0};
	glob_t found;

	if (glob("/sys/kernel/mm/hugepages/hugepages-*", GLOB_ONLYDIR, NULL, &found) != 0)
		return sum;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *size = found.gl_pathv[i];
		unsigned long n_free = page_number(size, "free_hugepages");

		sum.there += page_number(size, "nr_hugepages");
		sum.free += n_free;
		sum.available += difference(n_free, page_number(size, "resv_hugepages"));
		sum.available += difference(page_number(size, "nr_overcommit_hugepages"),
		    page_number(size, "surplus_hugepages"));
	}
	globfree(&found);
	return sum;
}

#define ADVICE "using ordinary pages; reserve more with: echo %lu > /proc/sys/vm/nr_hugepages"
#define ENOUGH 64

bool hugepages_available(void)
{
	struct huge_pages pages = count_huge_pages();

	if (pages.available)
		return true;
	if (pages.free)
		log_warn("no huge page is free on this machine: other programs have reserved all "
			 "%lu unused ones; " ADVICE,
		    pages.free, pages.there + ENOUGH);
	else
		log_warn("no huge page is free on this machine; " ADVICE, pages.there + ENOUGH);
	return false;
}

void hugepages_warn_refused(void)
{
	log_warn("huge pages are free on this machine but cannot be allocated (a limit of the "
		 "control group?); " ADVICE,
	    count_huge_pages().there + ENOUGH);
}

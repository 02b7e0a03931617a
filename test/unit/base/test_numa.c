/* SPDX-License-Identifier: BSD-3-Clause */
/* A page that was touched has a node if the kernel tells it. Other addresses have none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/numa.h"

#define PAGE  4096
#define PAGES 300 /* more than one system call asks for */

static void pages_have_a_node_once_they_are_touched(void **state)
{
	uint8_t *memory =
	    mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *address[PAGES];
	int node[PAGES], own;

	(void)state;
	assert_true(memory != MAP_FAILED);
	madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE);
	for (unsigned i = 0; i < PAGES; i++) {
		address[i] = memory + (size_t)i * PAGE + i;
		if (i % 2)
			memory[(size_t)i * PAGE] = 1;
	}
	numa_find((void *[]){&own}, 1, &own);
	numa_find(address, PAGES, node);
	for (unsigned i = 0; i < PAGES; i++) {
		if (i % 2 == 0 || own == NUMA_UNKNOWN)
			assert_int_equal(node[i], NUMA_UNKNOWN);
		else
			assert_true(node[i] >= 0);
	}
	munmap(memory, PAGES * PAGE);
}

static void what_is_not_mapped_has_none(void **state)
{
	void *address[2] = {NULL, (void *)(uintptr_t)4096};
	int node[2];

	(void)state;
	numa_find(address, 2, node);
	assert_int_equal(node[0], NUMA_UNKNOWN);
	assert_int_equal(node[1], NUMA_UNKNOWN);
	numa_find(address, 0, node);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pages_have_a_node_once_they_are_touched),
	    cmocka_unit_test(what_is_not_mapped_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs in a guest, in rounds. Each round writes a number into many pages, then reads the pages, and
 * reports if a page has another number.
 */
#include <stdint.h>
#include <stdio.h>

#define PAGES 2048
#define WORDS 1024

static volatile uint32_t page[PAGES][WORDS] __attribute__((aligned(4096)));

int main(void)
{
	for (uint32_t n = 1;; n++) {
		unsigned lost = 0, last = 0;
		uint32_t old = 0;

		for (unsigned p = 0; p < PAGES; p++)
			page[p][0] = n;
		for (unsigned p = 0; p < PAGES; p++) {
			uint32_t found = page[p][0];

			if (found == n)
				continue; /* as it should be */
			lost++;
			last = p;
			old = found;
		}
		if (lost)
			printf("%u of %u pages lost writes: page %u has %u, not %u\n", lost, PAGES,
			    last, old, n);
		fflush(stdout);
	}
}

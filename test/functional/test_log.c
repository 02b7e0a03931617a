/* SPDX-License-Identifier: BSD-3-Clause */
/* Nothing waits if the log is not read, and one front-end cannot fill the log. */
#include "functional.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "frontend/frontend.h"

#define PORTS   12
#define SECONDS 3

static void come_and_go(const char *path, unsigned times, const void *bytes, size_t size)
{
	struct frontend fe;

	frontend_init(&fe);
	while (times--) {
		if (frontend_connect(&fe, path) == 0 && size)
			frontend_send_bytes(&fe, bytes, size);
		frontend_disconnect(&fe);
	}
	frontend_cleanup(&fe);
}

static void must_answer(const struct switch_process *sw, unsigned port)
{
	struct frontend fe;
	uint64_t features;

	frontend_init(&fe);
	fe.timeout_ms = 8000; /* see connect_patiently() */
	must(frontend_connect(&fe, sw->path[port]) == 0, "a front-end cannot connect");
	must(frontend_get_u64(&fe, VHOST_USER_GET_FEATURES, &features) == 0,
	    "a front-end is not answered");
	frontend_cleanup(&fe);
}

/* The log goes to a pipe of 4 KiB, which holds about 60 lines. */
static void test_a_log_that_nobody_reads_costs_no_front_end_an_answer(void **state)
{
	struct switch_process sw;
	uint64_t start;
	json_t *stats;

	(void)state;
	switch_log_unread(true);
	switch_start(&sw, PORTS, 1, false);
	switch_log_unread(false);
	for (unsigned port = 1; port < PORTS; port++)
		come_and_go(sw.path[port], 10, NULL, 0);
	usleep(1000000);
	must_answer(&sw, 0);
	start = now_ns();
	stats = switch_stop(&sw);
	must(now_ns() - start < 1000000000, "vswitchd takes long to end");
	json_decref(stats);
	switch_remove(&sw);
}

static unsigned count_lines(const struct switch_process *sw, const char *text)
{
	FILE *f = fopen(sw->log, "r");
	char line[1200];
	unsigned n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	if (f)
		fclose(f);
	return n;
}

static void test_a_front_end_causes_20_lines_a_second_at_most(void **state)
{
	static const uint8_t garbage[200] = {1, 0, 0, 0, 2, 3, 4, 5};
	uint64_t begin, end;
	struct switch_process sw;
	unsigned lines;

	(void)state;
	switch_start(&sw, 2, 1, false);
	begin = now_ns();
	end = begin + SECONDS * UINT64_C(1000000000);
	while (now_ns() < end)
		come_and_go(sw.path[0], 1, garbage, sizeof(garbage));
	lines = count_lines(&sw, sw.path[0]);
	must(lines >= 10, "faults are not logged");
	must(lines <= 10 + 5 * (now_ns() - begin) / 1000000000 + 2, "one front-end fills the log");
	must(switch_log_contains(&sw, "more lines were left out"), "nothing was left out");
	switch_finish(&sw);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_log_that_nobody_reads_costs_no_front_end_an_answer),
	    cmocka_unit_test(test_a_front_end_causes_20_lines_a_second_at_most),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

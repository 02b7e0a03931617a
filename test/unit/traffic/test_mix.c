/* SPDX-License-Identifier: BSD-3-Clause */
/* Mixes of sizes: the named ones, and files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "traffic/mix.h"

static struct stream_profile p;

/* How often a size comes. */
static unsigned count(uint32_t size)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p.n_order; i++)
		n += p.size[p.order[i]] == size;
	return n;
}

static void names_have_their_weights(void **state)
{
	(void)state;
	assert_true(mix_named(&p, "imix"));
	assert_int_equal(p.n_sizes, 3);
	assert_int_equal(count(64), 7 * count(1514));
	assert_int_equal(count(590), 4 * count(1514));
	assert_int_equal(count(64) + count(590) + count(1514), p.n_order);
	assert_true(p.n_order > 4000);
	assert_true(mix_named(&p, "datacenter"));
	assert_int_equal(count(60) * 100, p.n_order * 3);
	assert_true(mix_named(&p, MIX_TCP));
	assert_int_equal(count(65214) * 8, p.n_order * 4);
	assert_false(mix_named(&p, "IMIX"));
	assert_false(mix_named(&p, ""));
}

static void sizes_are_mixed(void **state)
{
	unsigned longest = 0, run = 1;

	(void)state;
	assert_true(mix_named(&p, "imix"));
	for (unsigned i = 1; i < p.n_order; i++) {
		run = p.order[i] == p.order[i - 1] ? run + 1 : 1;
		longest = run > longest ? run : longest;
	}
	assert_in_range(longest, 5, 40);
	/* The smallest order is not repeated. */
	assert_true(memcmp(p.order, p.order + 12, 12) != 0);
}

static void the_order_is_always_the_same(void **state)
{
	static struct stream_profile other;

	(void)state;
	assert_true(mix_named(&p, "datacenter"));
	assert_true(mix_named(&other, "datacenter"));
	assert_int_equal(p.n_order, other.n_order);
	assert_memory_equal(p.order, other.order, p.n_order);
}

/* Read this text as a file. */
static int read_text(const char *text, unsigned *line)
{
	char path[] = "/tmp/test-mix-XXXXXX";
	int fd = mkstemp(path), err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	err = mix_read(&p, path, line);
	unlink(path);
	return err;
}

static void a_file_has_sizes_and_weights(void **state)
{
	unsigned line;

	(void)state;
	assert_int_equal(read_text("# sizes\n60 3\n\n 1514\t97 # full\n", &line), 0);
	assert_int_equal(p.n_sizes, 2);
	assert_int_equal(p.n_order, 4000);
	assert_int_equal(count(60), 120);
	assert_int_equal(count(1514), 3880);
	assert_int_equal(read_text("14 1", &line), 0);
	assert_int_equal(count(14), STREAM_ORDER_MAX);
	assert_int_equal(read_text("65535 4096\n", &line), 0);
	assert_int_equal(p.n_order, 4096);
}

static void a_wrong_file_is_refused(void **state)
{
	static const struct {
		const char *text;
		int err;
		unsigned line;
	} cases[] = {
	    {"", -EINVAL, 0},
	    {"# nothing\n", -EINVAL, 0},
	    {"64 1\n13 1\n", -EINVAL, 2},
	    {"65536 1\n", -EINVAL, 1},
	    {"64 0\n", -EINVAL, 1},
	    {"64\n", -EINVAL, 1},
	    {"64 1 1\n", -EINVAL, 1},
	    {"64 1x\n", -EINVAL, 1},
	    {"-64 1\n", -EINVAL, 1},
	    {"64 4097\n", -E2BIG, 1},
	    {"64 4000\n66 97\n", -E2BIG, 2},
	};
	char text[MIX_LINE_MAX + 8];
	unsigned line;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(read_text(cases[i].text, &line), cases[i].err);
		assert_int_equal(line, cases[i].line);
	}
	assert_int_equal(mix_read(&p, "/nonexistent/mix", &line), -ENOENT);
	assert_int_equal(mix_read(&p, "/dev/zero", &line), -EINVAL);
	memset(text, '#', MIX_LINE_MAX);
	memcpy(text + MIX_LINE_MAX - 2, "\n60 1\n", 7);
	assert_int_equal(read_text(text, &line), 0);
	text[MIX_LINE_MAX - 2] = '#';
	memcpy(text + MIX_LINE_MAX - 1, "\n60 1\n", 7);
	assert_int_equal(read_text(text, &line), -EINVAL);
	assert_int_equal(line, 1);
}

static void too_many_sizes_are_refused(void **state)
{
	char text[1024] = "";
	unsigned line;

	(void)state;
	for (unsigned i = 0; i <= STREAM_SIZES_MAX; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%u 1\n", 100 + i);
	assert_int_equal(read_text(text, &line), -E2BIG);
	assert_int_equal(line, STREAM_SIZES_MAX + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_have_their_weights),
	    cmocka_unit_test(sizes_are_mixed),
	    cmocka_unit_test(the_order_is_always_the_same),
	    cmocka_unit_test(a_file_has_sizes_and_weights),
	    cmocka_unit_test(a_wrong_file_is_refused),
	    cmocka_unit_test(too_many_sizes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Values of --features, and the answers to wrong values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "net/net_features.h"

static char word[64];

static uint64_t parse(const char *text)
{
	uint64_t features = 0;

	assert_true(net_features_parse(text, &features, word, sizeof(word)));
	return features;
}

static void ring_reset_has_to_be_asked_for(void **state)
{
	(void)state;
	assert_int_equal(parse("all"), NET_FEATURES_USUAL);
	assert_false(VIRTIO_HAS(parse("all"), F_RING_RESET));
	assert_int_equal(parse("all,+ring_reset"), NET_FEATURES);
	assert_int_equal(parse("+ring_reset"), NET_FEATURES);
}

static void words_add_and_take_away_in_their_order(void **state)
{
	uint64_t packed = VIRTIO_BIT(F_RING_PACKED), csum = VIRTIO_BIT(NET_F_CSUM);

	(void)state;
	assert_int_equal(parse("all,-ring_packed,+ring_reset"), NET_FEATURES & ~packed);
	assert_int_equal(parse("-ring_packed"), NET_FEATURES_USUAL & ~packed);
	assert_int_equal(parse("all,-ring_packed,+ring_packed"), NET_FEATURES_USUAL);
	assert_int_equal(parse("csum,ring_packed"), csum | packed);
	assert_int_equal(parse("CSUM,+Ring_Packed"), csum | packed);
	assert_int_equal(parse("csum,-csum"), 0);
	assert_int_equal(parse("dpdk-22.11-tso,-dpdk-22.11"),
	    VIRTIO_BIT(NET_F_HOST_TSO4) | VIRTIO_BIT(NET_F_HOST_TSO6));
}

static void what_is_no_name_is_named(void **state)
{
	static const struct {
		const char *text, *word;
	} bad[] = {
	    {"", ""},
	    {"all,", ""},
	    {",all", ""},
	    {"all,+", "+"},
	    {"all,nothing", "nothing"},
	    {"all,-packed,csum", "-packed"},
	    {"all,++csum", "++csum"},
	    {"all, csum", " csum"},
	    /*
	     * Names that --features refuses. These features are always offered, or set by another
	     * option, or not supported.
	     */
	    {"log_all", "log_all"},
	    {"protocol_features", "protocol_features"},
	    {"access_platform", "access_platform"},
	    {"ctrl_vlan", "ctrl_vlan"},
	};
	char longest[200];
	uint64_t features;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_false(net_features_parse(bad[i].text, &features, word, sizeof(word)));
		assert_string_equal(word, bad[i].word);
	}
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_false(net_features_parse(longest, &features, word, sizeof(word)));
	assert_int_equal(strlen(word), sizeof(word) - 1);
}

static void every_name_that_is_listed_is_understood(void **state)
{
	char names[640], *rest, *name;
	uint64_t all = 0;
	unsigned n = 0;

	(void)state;
	net_features_names(names, sizeof(names));
	for (name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest), n++)
		all |= parse(name);
	assert_int_equal(all, NET_FEATURES);
	assert_int_equal(n, 3 + __builtin_popcountll(NET_FEATURES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ring_reset_has_to_be_asked_for),
	    cmocka_unit_test(words_add_and_take_away_in_their_order),
	    cmocka_unit_test(what_is_no_name_is_named),
	    cmocka_unit_test(every_name_that_is_listed_is_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guests behind an IOMMU. The test acts as the IOMMU: it translates the pages that the switch asks
 * for, removes translations while frames flow, or does not answer.
 */
#include "functional.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE       4096u
#define IOMMU      VIRTIO_BIT(F_ACCESS_PLATFORM)
#define FRAMES     300
#define SLOTS      2000 /* more than those of two rings of 256, with frames that are lost */
#define TIMEOUT_NS UINT64_C(30000000000)

struct lab {
	struct switch_process sw;
	unsigned n;
	struct net_driver *nd[4];
	uint64_t random;
};

static void attach_port(struct lab *l, unsigned port, uint64_t features, bool iommu)
{
	struct net_config c = usual_config(features | (iommu ? IOMMU : 0), 1);

	c.iommu = iommu;
	l->nd[port] = attach(&l->sw, port, &c);
	must(!iommu || VIRTIO_HAS(l->nd[port]->fe.features, F_ACCESS_PLATFORM),
	    "no ACCESS_PLATFORM is offered");
}

/*
 * Let the stations send broadcasts until each has received one of every other station. Frames that
 * come while a receive ring is not translated are lost, so one round may not be enough.
 */
static void introduce_patiently(struct lab *l)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	uint64_t deadline = now_ns() + TIMEOUT_NS;
	unsigned heard = 0, wanted = 0;

	for (unsigned i = 0; i < l->n; i++)
		wanted |= ((1u << l->n) - 1 - (1u << i)) << 4 * i;
	while (heard != wanted) {
		must(now_ns() < deadline, "not all stations hear each other");
		for (unsigned i = 0; i < l->n; i++) {
			uint8_t frame[60], mac[6];

			station_mac(mac, i, 0);
			make_frame(frame, sizeof(frame), all, mac, &l->random);
			send_surely(l->nd[i], 0, frame, sizeof(frame), NULL, NULL);
		}
		usleep(2000);
		for (unsigned i = 0; i < l->n; i++) {
			struct net_frame f;

			while (net_receive(l->nd[i], 0, &f) == 1)
				heard |= 1u << (4 * i + f.bytes[9]);
		}
	}
	for (unsigned i = 0; i < l->n; i++)
		drain(l->nd[i], 20);
}

static void open_lab(struct lab *l, uint64_t features, const char *ports)
{
	*l = (struct lab){.n = strlen(ports), .random = 1};
	switch_start_with_iommu(&l->sw, l->n, 1);
	for (unsigned i = 0; i < l->n; i++)
		attach_port(l, i, features, ports[i] == 'i');
	introduce_patiently(l);
}

static void close_lab(struct lab *l)
{
	must(switch_alive(&l->sw), "vswitchd has died");
	switch_finish(&l->sw);
	for (unsigned i = 0; i < l->n; i++)
		net_driver_destroy(l->nd[i]);
}

/* Take back the translation of some pages somewhere in a region. */
static void unmap_somewhere(struct lab *l, struct net_driver *nd, int region)
{
	const struct frontend_region *r = &nd->fe.region[region];
	uint64_t pages = r->size / PAGE;
	uint64_t first = random_next(&l->random) % pages;
	uint64_t n = 1 + random_next(&l->random) % (pages - first);

	must_equal(-frontend_iommu_unmap(&nd->fe, r->gpa + first * PAGE, n * PAGE), 0,
	    "errno of an invalidation");
}

/*
 * Sender and receiver are behind an IOMMU, and no translation is removed. Only the first frames may
 * be lost.
 */
static void translated_traffic(uint64_t features)
{
	struct stream s[2];
	struct lab l;

	open_lab(&l, features, "ii");
	for (unsigned i = 0; i < 2; i++) {
		s[i] = usual_stream(l.nd, i, 1 - i, 1 + i);
		s[i].lossy = true;
	}
	/* Use every slot of the rings once, whether its frame is lost or not. */
	for (uint64_t end = now_ns() + TIMEOUT_NS; s[0].sent < SLOTS || s[1].sent < SLOTS;) {
		must(now_ns() < end, "the first streams hardly run");
		streams_run(s, 2, 30);
	}
	for (unsigned i = 0; i < 2; i++) {
		s[i] = usual_stream(l.nd, i, 1 - i, 3 + i);
		s[i].len_max = 1514;
	}
	for (uint64_t end = now_ns() + TIMEOUT_NS;
	     s[0].received < FRAMES || s[1].received < FRAMES;) {
		must(now_ns() < end, "the streams hardly run");
		streams_step(s, 2);
	}
	streams_settle(s, 2);
	close_lab(&l);
}

/*
 * The front-end of the sender removes translations and sends them again. The sender's frames wait
 * meanwhile, but no frame is lost or changed.
 */
static void unmap_sender(uint64_t features)
{
	struct stream s;
	struct lab l;
	uint64_t end;

	open_lab(&l, features, "i-");
	s = usual_stream(l.nd, 0, 1, 1);
	end = now_ns() + TIMEOUT_NS;
	for (unsigned i = 1; s.received < FRAMES || i < 300; i++) {
		must(now_ns() < end, "the stream hardly runs");
		streams_step(&s, 1);
		if (i % 16 == 0)
			unmap_somewhere(&l, l.nd[0], l.nd[0]->buffers_region);
		/* Sometimes those of the rings as well. */
		if (i % 128 == 0)
			unmap_somewhere(&l, l.nd[0], l.nd[0]->rings_region);
	}
	streams_settle(&s, 1);
	must(l.nd[0]->fe.misses > 100, "the switch hardly asked");
	close_lab(&l);
}

/*
 * The front-end of the receiver removes translations and sends them again. Frames are lost and
 * counted meanwhile. The frames that arrive must be right.
 */
static void unmap_receiver(uint64_t features)
{
	struct stream s;
	struct lab l;
	json_t *stats;
	uint64_t end;

	open_lab(&l, features, "-i");
	s = usual_stream(l.nd, 0, 1, 1);
	s.lossy = true;
	end = now_ns() + TIMEOUT_NS;
	for (unsigned i = 1; s.received < FRAMES || i < 1000; i++) {
		must(now_ns() < end, "the stream hardly runs");
		streams_step(&s, 1);
		if (i % 16 == 0)
			unmap_somewhere(&l, l.nd[1], l.nd[1]->buffers_region);
		if (i % 256 == 0)
			unmap_somewhere(&l, l.nd[1], l.nd[1]->rings_region);
	}
	streams_settle(&s, 1);
	stats = switch_stats(&l.sw);
	switch_check_totals(stats);
	must(switch_drops(stats, 1, "egress", "iotlb-miss") > 0, "no miss is counted");
	must_equal(switch_drops(stats, 1, "egress", "bad-buffer"), 0, "bad buffers");
	json_decref(stats);
	close_lab(&l);
}

/*
 * After an invalidation was answered, nothing is written to the memory that it translated to,
 * although many frames are under way.
 */
static void an_invalidation_is_complete(uint64_t features)
{
	struct lab l;
	struct stream s;
	struct frontend_region *r;
	uint8_t *before;

	open_lab(&l, features, "-i");
	s = usual_stream(l.nd, 0, 1, 1);
	s.lossy = true;
	r = &l.nd[1]->fe.region[l.nd[1]->buffers_region];
	before = malloc(r->size);
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < 20; i++)
			streams_step(&s, 1);
		stream_send(&s);
		must_equal(-frontend_iommu_unmap(&l.nd[1]->fe, r->gpa, r->size), 0, "unmap");
		memcpy(before, r->host, r->size);
		for (unsigned i = 0; i < 20; i++) {
			stream_send(&s);
			usleep(50);
		}
		must(memcmp(before, r->host, r->size) == 0,
		    "memory is written after its translation has gone");
		/* The comparison took long, but frames that came before it are not lost. */
		streams_receive(&s, 1, l.nd[1]);
		s.progress_ns = now_ns();
	}
	streams_settle(&s, 1);
	free(before);
	close_lab(&l);
}

/*
 * Has port 0 lost frames that were sent to it, has it lost a receive buffer, and was one of the
 * frames dropped that it sent?
 */
static bool gave_up(const json_t *stats)
{
	return switch_drops(stats, 0, "egress", "iotlb-miss") &&
	    switch_drops(stats, 0, "egress", "bad-buffer") &&
	    switch_drops(stats, 0, "ingress", "bad-descriptors");
}

/*
 * A guest gets no answers to its misses: its own frames are dropped as bad, and frames for it are
 * lost. Two ports beside it lose no frame.
 */
static void nobody_answers(uint64_t features)
{
	uint8_t frame[60], mac[2][6];
	struct stream s;
	struct lab l;
	json_t *stats;
	uint64_t end;

	open_lab(&l, features, "i---");
	for (unsigned i = 0; i < 2; i++)
		station_mac(mac[i], i, 0);
	l.nd[0]->fe.iommu_silent = true;
	must_equal(-frontend_iommu_unmap(&l.nd[0]->fe, NET_BUFFERS_GPA, UINT64_C(1) << 32), 0, "");
	s = usual_stream(l.nd, 2, 3, 1);
	end = now_ns() + TIMEOUT_NS;
	for (unsigned i = 1;; i++) {
		make_frame(frame, sizeof(frame), mac[0], mac[1], &l.random);
		net_send(l.nd[1], 0, frame, sizeof(frame), NULL, NULL);
		make_frame(frame, sizeof(frame), mac[1], mac[0], &l.random);
		net_send(l.nd[0], 0, frame, sizeof(frame), NULL, NULL);
		streams_step(&s, 1);
		if (i % 2000)
			continue; /* read the counters only sometimes */
		stats = switch_stats(&l.sw);
		if (gave_up(stats))
			break;
		json_decref(stats);
		must(now_ns() < end, "what nobody answers is not given up");
	}
	json_decref(stats);
	streams_settle(&s, 1);
	must(s.received > 100, "the neighbours hardly ran");
	stats = switch_stats(&l.sw);
	switch_check_totals(stats);
	must_equal(switch_drops(stats, 3, "egress", NULL), 0, "the neighbour's drops");
	json_decref(stats);
	close_lab(&l);
}

static void send_nonsense(struct lab *l, struct frontend *fe)
{
	struct vhost_wire_iotlb wire;

	random_fill(&l->random, &wire, sizeof(wire));
	wire.type &= 3;
	switch (random_next(&l->random) % 4) {
	case 0:
		wire.iova = -(uint64_t)random_between(&l->random, 0, 2 * PAGE);
		wire.size = random_between(&l->random, 0, 4 * PAGE);
		/* fallthrough */
	case 1:
		wire.uaddr = frontend_uaddr(fe, NET_BUFFERS_GPA);
		wire.perm &= 3;
		/* fallthrough */
	case 2:
		wire.size = random_between(&l->random, 0, 64) * (PAGE / 4);
		break;
	default:
		break;
	}
	frontend_iotlb(fe, &wire); /* refused or not */
}

/*
 * A front-end sends translations without end: the switch needs no more memory, and the neighbours
 * lose no frame.
 */
static void test_a_flood_of_translations(void **state)
{
	struct switch_usage before, after;
	struct stream s;
	struct lab l;

	(void)state;
	open_lab(&l, FEATURES_BASE, "i---");
	s = usual_stream(l.nd, 2, 3, 1);
	for (unsigned i = 0; i < 12000; i++) {
		if (i == 6000)
			before = switch_usage_at_rest(&l.sw);
		send_nonsense(&l, &l.nd[0]->fe);
		streams_step(&s, 1);
	}
	streams_settle(&s, 1);
	after = switch_usage_at_rest(&l.sw);
	must_equal(after.n_fds, before.n_fds, "descriptors");
	must_equal(after.n_maps, before.n_maps, "mappings");
	must(after.private_kib < before.private_kib + 1024, "memory grows");
	close_lab(&l);
}

/* The front-end closes the channel, passes a new one, and continues. */
static void test_the_channel_is_replaced(void **state)
{
	struct stream s;
	struct lab l;

	(void)state;
	open_lab(&l, FEATURES_BASE, "i-");
	s = usual_stream(l.nd, 0, 1, 1);
	for (unsigned i = 0; i < 20; i++) {
		unmap_somewhere(&l, l.nd[0], l.nd[0]->buffers_region);
		frontend_close_channel(&l.nd[0]->fe);
		for (unsigned k = 0; k < 5; k++)
			stream_send(&s);
		must_equal(-frontend_open_channel(&l.nd[0]->fe), 0, "errno of a new channel");
		streams_run(&s, 1, 10);
	}
	must(s.received > 50, "the stream hardly ran");
	close_lab(&l);
}

#define EACH_FORMAT(name) \
	static void test_##name##_split(void **state) \
	{ \
		(void)state; \
		name(FEATURES_BASE); \
	} \
	static void test_##name##_packed(void **state) \
	{ \
		(void)state; \
		name(FEATURES_PACKED); \
	}

EACH_FORMAT(translated_traffic)
EACH_FORMAT(unmap_sender)
EACH_FORMAT(unmap_receiver)
EACH_FORMAT(an_invalidation_is_complete)
EACH_FORMAT(nobody_answers)

int main(int argc, char *argv[])
{
#define BOTH(name) cmocka_unit_test(test_##name##_split), cmocka_unit_test(test_##name##_packed)
	const struct CMUnitTest tests[] = {
	    BOTH(translated_traffic),
	    BOTH(unmap_sender),
	    BOTH(unmap_receiver),
	    BOTH(an_invalidation_is_complete),
	    BOTH(nobody_answers),
	    cmocka_unit_test(test_a_flood_of_translations),
	    cmocka_unit_test(test_the_channel_is_replaced),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

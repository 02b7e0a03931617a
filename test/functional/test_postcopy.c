/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end announces missing pages and never sends them. A worker waits for a while; then the
 * front-end is disconnected. The neighbours wait meanwhile, but they lose no frame.
 */
#include "functional.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "virtio/vring.h"

#define LAZY 2
#define SIZE 256
#define PROTOCOL \
	(VHOST_PROTOCOL_BIT(MQ) | VHOST_PROTOCOL_BIT(REPLY_ACK) | VHOST_PROTOCOL_BIT(PAGEFAULT))
#define TIMEOUT_S 10

/*
 * Connect as the destination of a postcopy migration: no page of the memory is there. Start a
 * transmit ring in it.
 */
static int arrive(struct frontend *fe, const char *path)
{
	struct vhost_wire_mem_table table = {.n_regions = 1}, reply;
	const struct frontend_region *r;
	uint64_t ready = 0;
	int kick = eventfd(0, EFD_CLOEXEC), uffd = -1;

	frontend_init(fe);
	must_equal(-frontend_connect(fe, path), 0, "errno of connect");
	must_equal(-frontend_negotiate(
		       fe, FEATURES_BASE | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES), PROTOCOL),
	    0, "errno of negotiation");
	must_equal(-frontend_send(fe, VHOST_USER_POSTCOPY_ADVISE, VHOST_VERSION, NULL, 0, NULL, 0),
	    0, "errno of POSTCOPY_ADVISE");
	must_equal(frontend_receive_reply(fe, VHOST_USER_POSTCOPY_ADVISE, NULL, 0, &uffd), 0,
	    "bytes in the reply");
	must(uffd >= 0, "no userfaultfd");
	must_equal(-frontend_call(fe, VHOST_USER_POSTCOPY_LISTEN, NULL, 0, NULL, 0), 0,
	    "errno of POSTCOPY_LISTEN");
	must(frontend_region_create(fe, 0, 1 << 16, 0, false) == 0, "no memory");
	r = &fe->region[0];
	table.region[0] = (struct vhost_wire_region){.size = r->size, .uaddr = r->uaddr};
	frontend_send(fe, VHOST_USER_SET_MEM_TABLE, VHOST_VERSION, &table, 40, &r->fd, 1);
	must_equal(
	    frontend_receive_reply(fe, VHOST_USER_SET_MEM_TABLE, &reply, sizeof(reply), NULL), 40,
	    "bytes in the reply");
	must(reply.region[0].uaddr && reply.region[0].uaddr != r->uaddr, "no address came back");
	must_equal(-frontend_call(fe, VHOST_USER_SET_MEM_TABLE, &ready, sizeof(ready), NULL, 0), 0,
	    "errno of the last word");
	must_equal(-frontend_set_vring_num(fe, 1, SIZE), 0, "errno of SET_VRING_NUM");
	must_equal(-frontend_set_vring_addr(fe, 1, r->uaddr, r->uaddr + 8192, r->uaddr + 16384), 0,
	    "errno of SET_VRING_ADDR");
	/* Do not wait for an answer: it may depend on a worker that waits for a page from us. */
	frontend_set_vring_fd(fe, VHOST_USER_SET_VRING_KICK, 1, kick);
	close(kick);
	return uffd;
}

static void test_a_lazy_front_end_loses_its_port(void **state)
{
	struct switch_usage before, after;
	struct switch_process sw;
	struct net_driver *nd[2];
	struct stream s[2];
	struct frontend fe;
	uint64_t start;
	char byte;
	int uffd;

	(void)state;
	switch_option("--postcopy");
	switch_start(&sw, 3, 1, false);
	attach_neighbours(&sw, nd, s);
	streams_run(s, 2, 100);
	before = switch_usage_at_rest(&sw);
	for (unsigned round = 0; round < 2; round++) {
		uffd = arrive(&fe, sw.path[LAZY]);
		start = now_ns();
		while (recv(fe.fd, &byte, 1, MSG_DONTWAIT) != 0) {
			must(now_ns() - start < TIMEOUT_S * UINT64_C(1000000000),
			    "a worker waits for ever");
			streams_step(s, 2);
			usleep(1000);
		}
		printf("let go after %llu ms\n", (unsigned long long)(now_ns() - start) / 1000000);
		close(uffd);
		frontend_cleanup(&fe);
		streams_run(s, 2, 100);
	}
	after = switch_usage_at_rest(&sw);
	must_equal(after.n_fds, before.n_fds, "open descriptors of vswitchd");
	must(after.n_maps <= before.n_maps + 1, "mappings of vswitchd grow");
	switch_finish(&sw);
	net_driver_destroy(nd[0]);
	net_driver_destroy(nd[1]);
	switch_option(NULL);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_lazy_front_end_loses_its_port),
	};

	if (argc > 1)
		switch_binary(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

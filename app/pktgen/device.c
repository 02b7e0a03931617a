/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * Opening: virtual devices are added by name after the run time has started. So it is known which
 * device an error is about. The run time finds PCI devices itself. Each device gets a pool of
 * mbufs. An mbuf can contain the longest frame in one piece.
 *
 * Sending: room() takes mbufs from the pool and send() gives them to the device. The mbufs that the
 * device does not take are the backlog of the pair. room() offers the backlog again before new
 * mbufs. receive() does that, too, because at the end of a trial room() is not called any more. An
 * mbuf's net header is in its headroom; it is translated if it asks for segmentation.
 *
 * Receiving: an mbuf is one piece, or several if it is a chain. It is freed when it is given back.
 */
#include "device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "base/util.h"

#define OVERHEAD   18 /* Ethernet's header and a VLAN tag, which the MTU does not include */
#define LINK_TRIES 50 /* of 0.1 s */
#define IP_LEN     20
#define TCP_LEN    20

struct device_pair {
	struct rte_mbuf *sending[TPORT_BURST]; /* from room() to send(), then the backlog */
	unsigned n_sending, n_backlog;
	struct rte_mbuf *taken[TPORT_BURST];
	unsigned n_taken;
};

struct device {
	struct tport tport;
	uint16_t id;
	char name[RTE_ETH_NAME_MAX_LEN];
	bool segment, started;
	struct rte_mempool *pool;
	struct device_pair pair[TPORT_PAIRS_MAX];
};

bool device_is_named(const char *spec)
{
	return strncmp(spec, "vdev:", 5) == 0 || strncmp(spec, "pci:", 4) == 0;
}

static struct device *device_of(struct tport *tp)
{
	return (struct device *)tp;
}

static void flush(struct device *d, unsigned pair)
{
	struct device_pair *p = &d->pair[pair];
	unsigned n = rte_eth_tx_burst(d->id, pair, p->sending, p->n_backlog);

	p->n_backlog -= n;
	memmove(p->sending, p->sending + n, p->n_backlog * sizeof(p->sending[0]));
}

static unsigned room(struct tport *tp, unsigned pair, unsigned want, uint8_t *frame[TPORT_BURST])
{
	struct device *d = device_of(tp);
	struct device_pair *p = &d->pair[pair];

	if (UNLIKELY(p->n_backlog))
		flush(d, pair);
	if (p->n_backlog)
		return 0;
	/* Mbufs that the last send() did not use are still here. */
	if (p->n_sending < want &&
	    rte_pktmbuf_alloc_bulk(d->pool, &p->sending[p->n_sending], want - p->n_sending) == 0)
		p->n_sending = want;
	want = MIN(want, p->n_sending);
	for (unsigned k = 0; k < want; k++)
		frame[k] = rte_pktmbuf_mtod(p->sending[k], uint8_t *);
	return want;
}

static void ask_for_segments(struct rte_mbuf *m)
{
	const struct virtio_net_hdr *hdr = tport_header(rte_pktmbuf_mtod(m, uint8_t *));

	if (!(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return;
	m->l2_len = hdr->csum_start - IP_LEN;
	m->l3_len = IP_LEN;
	m->l4_len = TCP_LEN;
	m->tso_segsz = hdr->gso_size;
	m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
	if (hdr->gso_type == VIRTIO_NET_HDR_GSO_TCPV4)
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
}

static void send_frames(struct tport *tp, unsigned pair, const uint32_t len[], unsigned n)
{
	struct device *d = device_of(tp);
	struct device_pair *p = &d->pair[pair];
	unsigned left = p->n_sending - n;
	struct rte_mbuf *unused[TPORT_BURST];

	if (n == 0)
		return;
	memcpy(unused, &p->sending[n], left * sizeof(unused[0]));
	for (unsigned k = 0; k < n; k++) {
		p->sending[k]->data_len = len[k];
		p->sending[k]->pkt_len = len[k];
		if (d->segment)
			ask_for_segments(p->sending[k]);
	}
	if (d->segment)
		rte_eth_tx_prepare(d->id, pair, p->sending, n);
	p->n_backlog = n;
	flush(d, pair);
	p->n_sending = 0;
	if (p->n_backlog || left == 0) {
		rte_pktmbuf_free_bulk(unused, left);
		return;
	}
	memcpy(p->sending, unused, left * sizeof(unused[0]));
	p->n_sending = left;
}

/* If there is no room for a whole chain, it is cut, and the frame then counts as corrupt. */
static unsigned pieces_of(const struct rte_mbuf *m, struct tport_piece pieces[], unsigned max)
{
	unsigned n = 0;

	for (const struct rte_mbuf *at = m; at && n < max; at = at->next)
		pieces[n++] = (struct tport_piece){
		    .bytes = rte_pktmbuf_mtod(at, const uint8_t *), .len = at->data_len};
	pieces[0].more = n - 1;
	return n;
}

/* The reverse of ask_for_segments(), for a received frame. */
static void tell_of_segments(struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	struct virtio_net_hdr *hdr = tport_header(frame);
	bool whole = m->ol_flags & RTE_MBUF_F_RX_LRO;
	bool partial = (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE;

	hdr->flags = whole || partial ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0;
	hdr->gso_type = whole ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_NONE;
	hdr->gso_size = whole ? m->tso_segsz : 0;
	hdr->csum_start = frame[12] == 0x81 && frame[13] == 0 ? 18 + IP_LEN : 14 + IP_LEN;
	hdr->csum_offset = 16;
}

static unsigned receive(
    struct tport *tp, unsigned pair, struct tport_piece pieces[TPORT_PIECES], unsigned max)
{
	struct device *d = device_of(tp);
	struct device_pair *p = &d->pair[pair];
	unsigned n = 0;

	if (UNLIKELY(p->n_backlog))
		flush(d, pair);
	p->n_taken = rte_eth_rx_burst(d->id, pair, p->taken, MIN(max, TPORT_BURST));
	for (unsigned k = 0; k < p->n_taken && d->segment; k++)
		tell_of_segments(p->taken[k]);
	for (unsigned k = 0; k < p->n_taken; k++)
		n += pieces_of(p->taken[k], &pieces[n], TPORT_PIECES - n - (p->n_taken - k - 1));
	return n;
}

static void give_back(struct tport *tp, unsigned pair)
{
	struct device_pair *p = &device_of(tp)->pair[pair];

	rte_pktmbuf_free_bulk(p->taken, p->n_taken);
	p->n_taken = 0;
}

static unsigned broken(const struct tport *tp)
{
	(void)tp;
	return 0;
}

static void destroy(struct tport *tp)
{
	struct device *d = device_of(tp);

	for (unsigned i = 0; i < d->tport.n_pairs; i++) {
		struct device_pair *p = &d->pair[i];

		rte_pktmbuf_free_bulk(p->sending, MAX(p->n_sending, p->n_backlog));
	}
	if (d->started)
		rte_eth_dev_stop(d->id);
	rte_eth_dev_close(d->id);
	/* The device's peer may still hold mbufs, so the pool is freed with the process. */
	free(d);
}

static const struct tport_ops device_ops = {
    .room = room,
    .send = send_frames,
    .receive = receive,
    .give_back = give_back,
    .broken = broken,
    .destroy = destroy,
};

/* Plug the device in. Its name ends at the first comma. */
static int probe(const char *spec, struct device *d)
{
	bool virtual = strncmp(spec, "vdev:", 5) == 0;
	const char *name = strchr(spec, ':') + 1, *end = strchrnul(name, ',');
	int err = 0;

	snprintf(d->name, sizeof(d->name), "%.*s", (int)(end - name), name);
	if (virtual)
		err = rte_eal_hotplug_add("vdev", d->name, *end ? end + 1 : "");
	if (!err)
		err = rte_eth_dev_get_port_by_name(d->name, &d->id);
	return err;
}

/* Configure what was asked for, within the device's limits. */
static int configure(
    struct device *d, const struct device_config *c, const struct rte_eth_dev_info *info)
{
	const uint64_t tx = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	const uint64_t rx = RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	struct rte_eth_conf conf = {0};
	uint32_t overhead = info->max_mtu != UINT16_MAX && info->max_rx_pktlen > info->max_mtu
	    ? info->max_rx_pktlen - info->max_mtu
	    : OVERHEAD;

	conf.rxmode.mtu = MAX(c->frame_max - MIN(c->frame_max, 14u), (uint32_t)RTE_ETHER_MTU);
	conf.rxmode.mtu = MIN(conf.rxmode.mtu, (uint32_t)info->max_mtu);
	conf.rxmode.mtu = MIN(conf.rxmode.mtu, info->max_rx_pktlen - overhead);
	d->tport.frame_max = MIN(c->frame_max, conf.rxmode.mtu + 14);
	if (c->segment) {
		if (tx & ~info->tx_offload_capa || rx & ~info->rx_offload_capa)
			return -ENOTSUP;
		conf.txmode.offloads = tx;
		conf.rxmode.offloads = rx;
		d->tport.frame_max = c->frame_max;
	}
	if (c->n_pairs > info->max_rx_queues || c->n_pairs > info->max_tx_queues)
		return -ERANGE;
	return rte_eth_dev_configure(d->id, c->n_pairs, c->n_pairs, &conf);
}

static uint32_t data_room(const struct device_config *c)
{
	return RTE_PKTMBUF_HEADROOM + MAX(c->frame_max + OVERHEAD, 2048u);
}

/* Enough for both rings and two bursts on each side of each pair. */
static unsigned mbufs(const struct device_config *c, unsigned rx, unsigned tx)
{
	return c->n_pairs * (rx + tx + 4 * TPORT_BURST) + 1024;
}

static int set_up_queues(struct device *d, const struct device_config *c)
{
	uint16_t rx = c->ring_size, tx = c->ring_size;
	int err = rte_eth_dev_adjust_nb_rx_tx_desc(d->id, &rx, &tx), socket;
	char name[RTE_MEMPOOL_NAMESIZE];

	if (err)
		return err;
	socket = MAX(rte_eth_dev_socket_id(d->id), SOCKET_ID_ANY);
	snprintf(name, sizeof(name), "port%u", d->id);
	d->pool = rte_pktmbuf_pool_create(name, mbufs(c, rx, tx), 128, 0, data_room(c), socket);
	if (!d->pool)
		return -rte_errno;
	for (unsigned i = 0; !err && i < c->n_pairs; i++) {
		err = rte_eth_rx_queue_setup(d->id, i, rx, socket, NULL, d->pool);
		if (!err)
			err = rte_eth_tx_queue_setup(d->id, i, tx, socket, NULL);
	}
	return err;
}

/* A link needs time to come up. A device without a link reports that it is up. */
static void wait_for_link(const struct device *d)
{
	struct rte_eth_link link = {0};

	for (unsigned i = 0; i < LINK_TRIES; i++) {
		if (rte_eth_link_get_nowait(d->id, &link) == 0 && link.link_status)
			return;
		rte_delay_us_sleep(100000);
	}
	fprintf(stderr, "vswitch-pktgen: the link of %s is down\n", d->name);
}

static int start(struct device *d, const struct device_config *c)
{
	struct rte_eth_dev_info info;
	int err = rte_eth_dev_info_get(d->id, &info);

	if (!err)
		err = configure(d, c, &info);
	if (!err)
		err = set_up_queues(d, c);
	if (!err)
		err = rte_eth_dev_start(d->id);
	if (err)
		return err;
	d->started = true;
	/*
	 * The frames are not for the device's own address. Some devices accept them without this.
	 */
	rte_eth_promiscuous_enable(d->id);
	wait_for_link(d);
	return 0;
}

static const char *reason(int err)
{
	switch (err) {
	case -ENOTSUP:
		return "it does not support what was asked for";
	case -ERANGE:
		return "it has fewer queues";
	default:
		return error_text(-err);
	}
}

int device_open(const char *spec, const struct device_config *c, struct tport **ret_port)
{
	struct device *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->tport = (struct tport){.ops = &device_ops, .n_pairs = c->n_pairs};
	d->segment = c->segment;
	err = probe(spec, d);
	if (err) {
		fprintf(stderr,
		    "vswitch-pktgen: there is no device %s, or its driver does not accept it\n",
		    spec);
		free(d);
		return err;
	}
	err = start(d, c);
	if (err) {
		fprintf(stderr, "vswitch-pktgen: cannot start %s: %s\n", spec, reason(err));
		destroy(&d->tport);
		return err;
	}
	*ret_port = &d->tport;
	return 0;
}

size_t device_memory(const struct device_config *c)
{
	return (size_t)mbufs(c, c->ring_size, c->ring_size) * (data_room(c) + 512);
}

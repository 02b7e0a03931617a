/* SPDX-License-Identifier: BSD-3-Clause */
/* The fast driver as a port for traffic. */
#include "base/util.h"
#include "traffic/vport.h"

static struct vport *vport(struct tport *tp)
{
	return (struct vport *)(void *)((char *)tp - offsetof(struct vport, tport));
}

static unsigned room(struct tport *tp, unsigned pair, unsigned want, uint8_t *frame[TPORT_BURST])
{
	struct vport_queue *q = vport_sender(vport(tp), pair);
	unsigned n = vport_room(q, want);

	for (unsigned k = 0; k < n; k++)
		frame[k] = vport_frame(q, k);
	return n;
}

static void send(struct tport *tp, unsigned pair, const uint32_t len[], unsigned n)
{
	vport_send(vport_sender(vport(tp), pair), len, n);
}

static unsigned receive(
    struct tport *tp, unsigned pair, struct tport_piece pieces[TPORT_PIECES], unsigned max)
{
	return vport_receive(vport_receiver(vport(tp), pair), pieces, max);
}

static void give_back(struct tport *tp, unsigned pair)
{
	vport_give_back(vport_receiver(vport(tp), pair));
}

static unsigned broken(const struct tport *tp)
{
	const struct vport *vp = vport((struct tport *)(uintptr_t)tp);
	unsigned n = 0;

	for (unsigned i = 0; i < vp->n_queues; i++)
		n += vp->queue[i].broken;
	return n;
}

static unsigned untaken(struct tport *tp)
{
	struct vport *vp = vport(tp);
	unsigned n = 0;

	for (unsigned pair = 0; pair < vp->config.n_pairs; pair++) {
		struct vport_queue *q = vport_sender(vp, pair);

		vport_room(q, q->n_slots);
		n += q->broken ? 0 : vport_outstanding(q);
	}
	return n;
}

static void facts(struct tport *tp, struct tport_facts *ret_facts)
{
	struct vport *vp = vport(tp);
	const struct vport_queue *sender = vport_sender(vp, 0), *receiver = vport_receiver(vp, 0);

	*ret_facts = (struct tport_facts){.features = vp->fe.features,
	    .send_chain = MAX(sender->pieces, 1),
	    .receive_chain = MAX(receiver->pieces, 1),
	    .send_room = sender->n_slots,
	    .send_indirect = sender->indirect,
	    .receive_indirect = receiver->indirect};
	for (unsigned i = 0; i < vp->n_queues; i++) {
		ret_facts->kicks += vp->queue[i].kicks;
		ret_facts->calls_asked += vp->queue[i].calls_asked;
		ret_facts->calls += vport_calls_made(&vp->queue[i]);
	}
}

static void destroy(struct tport *tp)
{
	vport_destroy(vport(tp));
}

const struct tport_ops vport_ops = {
    .room = room,
    .send = send,
    .receive = receive,
    .give_back = give_back,
    .broken = broken,
    .destroy = destroy,
    .untaken = untaken,
    .facts = facts,
};

/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/mailbox.h"

#include <errno.h>
#include <string.h>

#include "worker/poll.h"

/* An enabled ingress queue of the port; NULL: the worker polls none. */
static struct queue *find_queue(const struct poll_list *list, struct port_id port)
{
	uint64_t last = poll_key_last(port);

	/* Not by the ports of all queues: each of them is another cache miss. */
	for (unsigned i = poll_seek(list, poll_key_first(port));
	     i < list->n && list->key[i] <= last; i++)
		if (list->queue[i]->enabled)
			return list->queue[i];
	return NULL;
}

unsigned mailbox_count(const struct mailbox *box, struct port_id port)
{
	unsigned sent = atomic_load_explicit(&box->sent, memory_order_relaxed);
	unsigned read = atomic_load_explicit(&box->read, memory_order_acquire);
	unsigned n = 0;

	for (; read != sent; read++) {
		struct port_id of = box->frame[read % MAILBOX_FRAMES].port;

		n += of.index == port.index && of.generation == port.generation;
	}
	return n;
}

int mailbox_put(struct mailbox *box, struct port_id port, const uint8_t *frame, uint32_t len)
{
	unsigned sent = atomic_load_explicit(&box->sent, memory_order_relaxed);
	unsigned read = atomic_load_explicit(&box->read, memory_order_acquire);
	struct waiting_frame *waiting = &box->frame[sent % MAILBOX_FRAMES];

	if (len > INJECT_FRAME_MAX)
		return -EINVAL;
	if (sent - read == MAILBOX_FRAMES || mailbox_count(box, port) == MAILBOX_PORT_FRAMES)
		return -EAGAIN;
	waiting->port = port;
	waiting->len = len;
	memcpy(waiting->bytes, frame, len);
	atomic_store(&box->sent, sent + 1);
	return 0;
}

struct queue *mailbox_send(struct mailbox *box, struct burst *b, const struct forwarding *fwd,
    const struct poll_list *list, uint32_t now_s)
{
	unsigned sent = atomic_load_explicit(&box->sent, memory_order_acquire);
	unsigned read = atomic_load_explicit(&box->read, memory_order_relaxed);

	const struct waiting_frame *waiting = &box->frame[read % MAILBOX_FRAMES];
	struct queue *q;

	if (sent == read)
		return NULL;
	q = find_queue(list, waiting->port);
	if (q)
		burst_inject(b, fwd, q, now_s, waiting->bytes, waiting->len);
	atomic_store_explicit(&box->read, read + 1, memory_order_release);
	return q;
}

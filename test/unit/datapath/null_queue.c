/* SPDX-License-Identifier: BSD-3-Clause */
#include "null_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct null_queue *null_queue_of(const struct queue *q)
{
	return q->private;
}

static unsigned null_fetch(struct queue *q, struct vring_batch *batch, unsigned max)
{
	struct null_queue *nq = null_queue_of(q);
	unsigned n = 0;

	if (batch->n == 0)
		batch->single_segment = true;
	for (; n < max && nq->fetched < nq->offered; n++) {
		const struct vring_segment *buffer = &nq->buffer[nq->fetched++];
		bool good = buffer->len > 0;

		batch->chain[batch->n++] = (struct vring_chain){.len = buffer->len,
		    .segment = batch->n_segments,
		    .n_segments = good,
		    .fault = good ? VRING_FAULT_NONE : VRING_FAULT_EMPTY};
		if (good)
			batch->segment[batch->n_segments++] = *buffer;
		else
			batch->single_segment = false;
	}
	return n;
}

static void null_unfetch(struct queue *q, struct vring_batch *batch, unsigned keep)
{
	null_queue_of(q)->fetched -= batch->n - keep;
	if (keep < batch->n)
		batch->n_segments = batch->chain[keep].segment;
	batch->n = keep;
}

static void null_complete(struct queue *q, const struct vring_batch *batch)
{
	struct null_queue *nq = null_queue_of(q);

	for (unsigned i = 0; i < batch->n; i++)
		nq->buffer[nq->completed++].len = batch->chain[i].written;
	assert_true(nq->completed <= nq->fetched);
}

static bool null_has_avail(struct queue *q)
{
	return null_queue_of(q)->fetched < null_queue_of(q)->offered;
}

static struct vring_peek null_more(const struct queue *q)
{
	const struct null_queue *nq = null_queue_of(q);

	return (struct vring_peek){
	    .word = &nq->offered, .mask = UINT16_MAX, .value = nq->fetched, .equal = false};
}

static enum drop_reason null_lack(const struct queue *q)
{
	(void)q;
	return DROP_RING_FULL;
}

static void null_prefetch(const struct queue *q)
{
	(void)q;
}

static bool null_wants_call(struct queue *q)
{
	return null_queue_of(q)->wants_call;
}

static void null_call(struct burst *b, struct queue *q)
{
	struct null_queue *nq = null_queue_of(q);

	(void)b;
	nq->calls++;
	if (nq->on_call)
		nq->on_call();
}

static bool null_kick_enable(const struct queue *q)
{
	return null_queue_of(q)->fetched < null_queue_of(q)->offered;
}

static void null_kick_disable(const struct queue *q)
{
	(void)q;
}

static bool null_peek(const struct queue *q, struct vring_peek *ret_peek)
{
	*ret_peek = null_more(q);
	return true;
}

static const struct queue_ops null_queue_ops = {
    .fetch = null_fetch,
    .unfetch = null_unfetch,
    .complete = null_complete,
    .has_avail = null_has_avail,
    .more = null_more,
    .lack = null_lack,
    .prefetch = null_prefetch,
    .wants_call = null_wants_call,
    .call = null_call,
    .kick_enable = null_kick_enable,
    .kick_disable = null_kick_disable,
    .peek = null_peek,
};

void null_queue_open(struct queue *q)
{
	q->ops = &null_queue_ops;
	q->ring = NULL;
	q->private = calloc(1, sizeof(struct null_queue));
	assert_non_null(q->private);
}

void null_queue_close(struct queue *q)
{
	free(q->private);
}

void null_queue_offer(struct queue *q, uint8_t *buffer, uint32_t len, unsigned n)
{
	struct null_queue *nq = null_queue_of(q);

	for (; n; n--) {
		assert_true(nq->offered < NULL_QUEUE_BUFFERS);
		nq->buffer[nq->offered++] = (struct vring_segment){.addr = buffer, .len = len};
	}
}

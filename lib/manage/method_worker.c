/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/methods.h"

#include <errno.h>
#include <string.h>

#include <rte_lcore.h>

#include "base/util.h"
#include "control/vswitch.h"

/* How many queues each worker polls. */
static void count_queues(const struct vswitch *sw, unsigned n, unsigned ret_queues[])
{
	const struct switch_port *sp;

	memset(ret_queues, 0, n * sizeof(ret_queues[0]));
	for (unsigned p = 0; (sp = vswitch_next_port(sw, &p));) {
		for (unsigned i = 0; i < sp->n_polled; i++)
			if (sp->polled[i]->worker < n)
				ret_queues[sp->polled[i]->worker]++;
	}
}

static json_t *worker_json(const struct vswitch *sw, unsigned w, unsigned queues)
{
	struct worker_stats s;

	workers_read_stats(sw->workers, w, &s);
	return json_pack("{s:i, s:i, s:i, s:b, s:i, s:i, s:I, s:I}", "index", (int)w, "cpu",
	    (int)s.cpu, "node", (int)s.node, "asleep", (int)s.asleep, "busy",
	    (int)MIN(scheduler_load(sw->scheduler, w), 1000u), "queues", (int)queues, "frames",
	    (json_int_t)s.frames, "sleeps", (json_int_t)s.sleeps);
}

json_t *method_worker_list(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	const struct vswitch *sw = m->config.sw;
	unsigned n = workers_count(sw->workers), queues[RTE_MAX_LCORE];
	json_t *entries = json_array();

	n = MIN(n, ARRAY_SIZE(queues));
	count_queues(sw, n, queues);
	for (unsigned w = 0; w < n; w++)
		json_array_append_new(entries, worker_json(sw, w, queues[w]));
	return manage_list(entries, NULL);
}

static json_t *refuse(const struct rpc_call *call, int err)
{
	switch (err) {
	case -EAGAIN:
		return manage_fail(call->error, MANAGE_REFUSED,
		    "worker.move: a frame for the queue's worker waits; try again");
	case -EBUSY:
		return manage_fail(call->error, MANAGE_REFUSED,
		    "worker.move: a worker stands still, and a move would have to wait for it");
	default:
		return manage_fail(call->error, MANAGE_INTERNAL, "out of memory");
	}
}

/* NULL: no worker polls this queue. */
static struct queue *find_queue(const struct switch_port *sp, json_int_t index)
{
	for (unsigned i = 0; i < sp->n_polled; i++)
		if (sp->polled[i]->index == index)
			return sp->polled[i];
	return NULL;
}

json_t *method_worker_move(const struct rpc_call *call)
{
	const struct manage *m = call->arg;
	const struct vswitch *sw = m->config.sw;
	const json_t *queue = json_object_get(call->params, "queue");
	const json_t *to = json_object_get(call->params, "to");
	const struct switch_port *sp = manage_find_port(call, "port");
	struct queue *q;
	int err;

	if (!sp)
		return NULL;
	q = find_queue(sp, json_integer_value(queue));
	if (!q)
		return manage_fail_field(call->error, MANAGE_NOT_FOUND, call->method->name, "queue",
		    queue, "an ingress queue that a worker polls; port.stats shows which");
	if (json_integer_value(to) >= workers_count(sw->workers))
		return manage_fail_field(call->error, MANAGE_NOT_FOUND, call->method->name, "to",
		    to, "a worker; worker.list shows all workers");
	err = scheduler_move(sw->scheduler, q, (unsigned)json_integer_value(to));
	return err ? refuse(call, err) : json_object();
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two threads measure, with a higher priority than all others on their CPU. They sleep in between,
 * because a thread that polls would disturb the switch. Each frame is sent at its time, whatever
 * happened to the frame before. If a thread itself was late while a frame was under way, this time
 * is subtracted, or, if there is only one worker, the time for which another process had the
 * worker's CPU, if that is longer. (No other thread of the switch may use this CPU; isolation.c
 * checks it.) A frame or an answer that never arrives counts as late by the rest of the run.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "lab.h"

#define FRAME_LEN    200
#define MAGIC        0x150 /* plus the direction */
#define FRAME_NS     UINT64_C(1000000)
#define ASK_NS       UINT64_C(50000000)
#define SAMPLE_US    50000
#define STRAGGLER_NS UINT64_C(500000000)
#define VISIT        256 /* frames taken from a ring at a time */
#define BREATH_NS    100000
#define NEWCOMER_GIB 4

struct direction {
	struct net_driver *from, *to;
	uint8_t frame[FRAME_LEN];
	uint64_t sent, received, stamped_ns;
};

struct neighbours {
	struct lab *lab;
	struct direction way[2];
	volatile bool stop;
	uint64_t late_sum, late_max;
	uint64_t n_delays, room;
	uint32_t *delay; /* ns */
	/*
	 * The worker's waits are read at the end of a turn, just before the thread sleeps. A system
	 * call between receiving and sending would give a flood the time to fill the rings.
	 */
	uint64_t waits;
	uint64_t n_settled;
	struct sent_at *sent_at; /* of each delay */
};

struct sent_at {
	uint64_t waits, late_sum;
};

struct asker {
	struct lab *lab;
	volatile bool stop;
	uint64_t max_ns;
	unsigned answers;
	bool broken;
	int newcomer;
	uint64_t newcomer_ns;
};

static void sleep_until(uint64_t ns)
{
	struct timespec ts = {ns / 1000000000, ns % 1000000000};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void go_first(void)
{
	const struct sched_param first = {.sched_priority = 10};

	pthread_setschedparam(pthread_self(), SCHED_FIFO, &first);
	prctl(PR_SET_TIMERSLACK, 1);
}

struct stamp {
	uint32_t magic;
	uint64_t number, ns, late_sum, worker_waits;
} __attribute__((packed));

static void send_one(struct neighbours *n, unsigned way)
{
	struct direction *d = &n->way[way];
	struct stamp stamp = {
	    .magic = MAGIC + way,
	    .number = d->sent,
	    .late_sum = n->late_sum,
	    .worker_waits = n->waits,
	    .ns = now_ns(),
	};

	memcpy(d->frame + 14, &stamp, sizeof(stamp));
	net_send(d->from, 0, d->frame, FRAME_LEN, NULL, NULL); /* without room it counts as lost */
	d->sent++;
}

static void take(struct neighbours *n, unsigned way, const struct net_frame *f)
{
	struct stamp stamp;

	if (f->len != FRAME_LEN)
		return;
	memcpy(&stamp, f->bytes + 14, sizeof(stamp));
	if (stamp.magic != MAGIC + way || n->n_delays == n->room)
		return;
	n->way[way].received++;
	n->sent_at[n->n_delays] = (struct sent_at){stamp.worker_waits, stamp.late_sum};
	n->delay[n->n_delays++] = MIN(now_ns() - stamp.ns, UINT32_MAX);
}

/*
 * Subtract from the delays of the last turn what is no fault of the switch: the time that this
 * thread was late, or that the worker waited for its CPU. Both can have the same cause, so the
 * longer one is subtracted.
 */
static void settle(struct neighbours *n)
{
	n->waits = lab_worker_waits(n->lab);
	for (; n->n_settled < n->n_delays; n->n_settled++) {
		const struct sent_at *at = &n->sent_at[n->n_settled];
		uint64_t fault = MAX(n->waits - at->waits, n->late_sum - at->late_sum);

		n->delay[n->n_settled] -= MIN(n->delay[n->n_settled], fault);
	}
}

/* True: there may be more. */
static bool receive_some(struct neighbours *n)
{
	bool more = false;

	for (unsigned way = 0; way < 2; way++) {
		struct net_frame f;
		unsigned i = 0;

		while (i < VISIT && net_receive(n->way[way].to, 0, &f) > 0) {
			take(n, way, &f);
			i++;
		}
		more |= i == VISIT;
	}
	return more;
}

/* Wait until a frame comes, or until this time. */
static void wait_for_call(struct neighbours *n, uint64_t until)
{
	struct pollfd p[2];
	uint64_t now = now_ns();
	bool ready = false;
	eventfd_t count;

	for (unsigned way = 0; way < 2; way++) {
		struct net_queue *q = &n->way[way].to->queue[0];

		eventfd_read(q->call_fd, &count);
		ready |= driver_ring_call_enable(&q->ring);
		p[way] = (struct pollfd){.fd = q->call_fd, .events = POLLIN};
	}
	if (!ready && now < until) {
		struct timespec ts = {.tv_nsec = until - now};

		ppoll(p, 2, &ts, NULL);
	}
}

static void *run_neighbours(void *arg)
{
	struct neighbours *n = arg;
	uint64_t next = now_ns(), last = next, end = 0;

	go_first();
	for (;;) {
		uint64_t now = now_ns();

		uint64_t late = now > MAX(next, last) ? now - MAX(next, last) : 0;

		last = now;
		n->late_sum += late;
		n->late_max = MAX(n->late_max, late);
		if (now >= next && !n->stop) {
			send_one(n, 0);
			send_one(n, 1);
			next += FRAME_NS;
			if (late > 100 * FRAME_NS) /* the machine stood still */
				next = now + FRAME_NS;
		}
		if (n->stop && !end)
			end = now + STRAGGLER_NS;
		if (n->stop)
			next = now + FRAME_NS;
		if (end &&
		    (now > end ||
			(n->way[0].received == n->way[0].sent &&
			    n->way[1].received == n->way[1].sent)))
			return NULL;
		bool more = receive_some(n);

		settle(n);
		if (more)
			sleep_until(now_ns() + BREATH_NS);
		else
			wait_for_call(n, next);
	}
}

/* Connect as a new front-end, pass memory, and disconnect. 0 or a negative errno. */
static int be_newcomer(const char *path)
{
	struct frontend *fe = malloc(sizeof(*fe));
	int err, region;

	frontend_init(fe);
	fe->timeout_ms = 1500;
	err = frontend_connect(fe, path);
	if (!err)
		err = frontend_negotiate(fe, UINT64_MAX, VHOST_PROTOCOL_BIT(REPLY_ACK));
	if (!err) {
		region = frontend_region_create(fe, 0, (uint64_t)NEWCOMER_GIB << 30, 0, false);
		err = region < 0 ? region : frontend_set_mem_table(fe);
	}
	frontend_cleanup(fe);
	free(fe);
	return err;
}

static void *run_asker(void *arg)
{
	struct asker *a = arg;
	uint64_t next = now_ns(), features;

	go_first();
	a->lab->asker.timeout_ms = 3000;
	for (unsigned i = 0; !a->stop && !a->broken; i++, next += ASK_NS) {
		uint64_t start;

		sleep_until(next);
		start = now_ns();
		if (frontend_get_u64(&a->lab->asker, VHOST_USER_GET_FEATURES, &features) == 0)
			a->answers++;
		else
			a->broken = true;
		a->max_ns = MAX(a->max_ns, now_ns() - start);
		if (i == 10) {
			start = now_ns();
			a->newcomer = be_newcomer(a->lab->sw.path[PORT_NEWCOMER]);
			a->newcomer_ns = now_ns() - start;
			next = now_ns();
		}
	}
	return NULL;
}

/* Count the log lines that are not about the new front-end. */
static unsigned count_lines(const struct lab *l)
{
	const char *newcomer = l->sw.path[PORT_NEWCOMER];
	unsigned n = 0;
	char line[1200];
	FILE *f = l->foreign ? NULL : fopen(l->sw.log, "r");

	while (f && fgets(line, sizeof(line), f))
		n += !strstr(line, newcomer);
	if (f)
		fclose(f);
	return n;
}

static void raise_peak(struct usage *peak, const struct usage *u)
{
	peak->fds = MAX(peak->fds, u->fds);
	peak->threads = MAX(peak->threads, u->threads);
	peak->mapped_kib = MAX(peak->mapped_kib, u->mapped_kib);
	peak->private_kib = MAX(peak->private_kib, u->private_kib);
	peak->shared_kib = MAX(peak->shared_kib, u->shared_kib);
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void evaluate(struct neighbours *n, struct figures *f)
{
	f->sent = n->way[0].sent + n->way[1].sent;
	f->lost = f->sent - n->way[0].received - n->way[1].received;
	f->timer_max = n->late_max / 1e3;
	if (n->n_delays == 0)
		return;
	qsort(n->delay, n->n_delays, sizeof(n->delay[0]), by_size);
	f->p50 = n->delay[n->n_delays / 2] / 1e3;
	f->p99 = n->delay[n->n_delays * 99 / 100] / 1e3;
	f->max = n->delay[n->n_delays - 1] / 1e3;
}

static void prepare(struct neighbours *n, struct lab *l, double seconds)
{
	uint64_t random = 1;

	*n = (struct neighbours){.lab = l, .room = 2 * (seconds * 1000 + 1000)};
	n->delay = calloc(n->room, sizeof(n->delay[0]));
	n->sent_at = calloc(n->room, sizeof(n->sent_at[0]));
	must(n->delay && n->sent_at, "no memory");
	n->waits = lab_worker_waits(l);
	for (unsigned way = 0; way < 2; way++) {
		uint8_t src[6], dst[6];

		station_mac(src, way, 0);
		station_mac(dst, 1 - way, 0);
		n->way[way].from = l->nd[way];
		n->way[way].to = l->nd[1 - way];
		make_frame(n->way[way].frame, FRAME_LEN, dst, src, &random);
	}
}

void measure(struct lab *l, double seconds, struct figures *f)
{
	uint64_t start = now_ns(), end = start + seconds * 1e9, steps = l->state->steps;
	unsigned lines = count_lines(l);
	struct asker asker = {.lab = l};
	pthread_t thread[2];
	uint64_t waits = lab_worker_waits(l);
	struct neighbours n;

	prepare(&n, l, seconds);
	must(pthread_create(&thread[0], NULL, run_neighbours, &n) == 0, "pthread_create");
	must(pthread_create(&thread[1], NULL, run_asker, &asker) == 0, "pthread_create");
	while (now_ns() < end) {
		struct usage u = lab_usage(l);

		raise_peak(&f->peak, &u);
		usleep(SAMPLE_US);
	}
	seconds = (now_ns() - start) / 1e9;
	f->steps = (l->state->steps - steps) / seconds;
	f->lines = (count_lines(l) - lines) / seconds;
	n.stop = asker.stop = true;
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	evaluate(&n, f);
	f->waits = (lab_worker_waits(l) - waits) / 1e6;
	free(n.delay);
	free(n.sent_at);
	f->answers = asker.answers;
	f->answer_max = asker.max_ns / 1e6;
	f->newcomer = asker.newcomer;
	f->newcomer_ms = asker.newcomer_ns / 1e6;
	if (asker.broken)
		snprintf(f->problem, sizeof(f->problem), "no answer to another front-end");
}

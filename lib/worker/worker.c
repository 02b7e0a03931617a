/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A turn of a worker has three steps: load the current forwarding, run a burst for every queue on
 * the worker's list that may have frames (sweep.h), and report a quiescent state. After the report
 * the worker uses no part of this forwarding. So when workers_publish() returns, the control thread
 * may free the old forwarding. A worker keeps data about its queues from turn to turn. It compares
 * them with the next list before it uses them (poll.h).
 *
 * The time of each poll is counted: busy if it moved frames, otherwise idle (sweep.h). Time asleep
 * is counted separately. The last reading of the clock in a turn also serves the idle policy and
 * the age of table entries.
 *
 * The control thread can also give a worker frames to be sent as if ports had sent them. Each
 * worker has a mailbox for them, with one writer and one reader. In each round of the shares
 * (share.h) the worker sends one frame from it. So all announcements together take as little time
 * from busy ports as one more port. The time is charged to the frame's port.
 *
 * A sleeping worker (idle.h) is off-line for RCU, so the control thread does not wait for it. After
 * it has come back on-line, it loads the forwarding again. So it cannot use a forwarding that was
 * replaced meanwhile. If a new forwarding has the same list for a sleeping worker, the worker is
 * not woken up, because it already waits for the right kicks.
 */
#include "worker/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>

#include "base/log.h"
#include "base/nudge.h"
#include "base/off_cpu.h"
#include "datapath/burst.h"
#include "datapath/forwarding.h"
#include "worker/idle.h"
#include "worker/mailbox.h"
#include "worker/sweep.h"

#define SYNC_TIMEOUT_S 2
#define SYNC_YIELDS    64
#define SYNC_SLEEP_NS  20000
#define SYNC_WATCH     32 /* waits between two checks for a worker that hangs in a call */

/* A write to a call eventfd is slow if it takes longer. */
#define CALL_SLOW_US 500

struct worker {
	struct workers *all;
	unsigned index;
	struct burst *burst;
	struct worker_stats stats;
	struct idle idle;
	struct sweep sweep;
	atomic_int thread;
	clockid_t cpu_clock;
	/* For the control thread: the call that was under way at the last check. */
	struct queue *watched CACHE_ALIGNED;
	uint64_t watched_calls;
	struct mailbox mailbox;
} CACHE_ALIGNED;

struct workers {
	_Atomic(struct forwarding *) current;
	atomic_bool stop;
	bool idle_sleep;
	int (*enter)(void);
	void (*stuck)(void *arg);
	void *stuck_arg;
	atomic_uint entered; /* workers that have called enter() */
	atomic_int error;    /* of a worker that failed */
	unsigned n;
	uint64_t lists; /* numbers given to poll lists so far */
	struct rte_rcu_qsbr *rcu;
	/*
	 * For workers_stand_still(): the number of its calls since it began to wait, and the RCU
	 * token that it waits for.
	 */
	unsigned looks;
	uint64_t look_token;
	struct worker worker[];
};

/* The time in seconds, for the age of table entries. */
static uint32_t clock_seconds(uint64_t tsc, uint64_t hz)
{
	return tsc / hz;
}

/* Send a frame from the mailbox. */
static void worker_send(struct worker *w, const struct forwarding *fwd, uint32_t now_s)
{
	struct queue *q = mailbox_send(&w->mailbox, w->burst, fwd, &fwd->poll[w->index], now_s);

	if (q)
		sweep_work_for(&w->sweep, q);
	else
		sweep_other_work(&w->sweep);
}

/* Poll once each queue that may have something. Returns how many frames were moved. */
static unsigned worker_turn(struct worker *w, const struct forwarding *fwd, uint32_t now_s)
{
	unsigned frames;

	if (UNLIKELY(!fwd)) {
		sweep_nothing(&w->sweep);
		w->stats.idle_cycles = w->sweep.idle;
		return 0;
	}
	if (UNLIKELY(mailbox_waits(&w->mailbox)) && sweep_once_a_round(&w->sweep))
		worker_send(w, fwd, now_s);
	frames = sweep_turn(&w->sweep, w->burst, fwd, &fwd->poll[w->index], now_s);
	w->stats.busy_cycles = w->sweep.busy;
	w->stats.idle_cycles = w->sweep.idle;
	return frames;
}

static const struct poll_list *worker_list(const struct worker *w, const struct forwarding *fwd)
{
	return fwd ? &fwd->poll[w->index] : NULL;
}

/* Make all queues warm that were kicked. kicked[]: the first n of their keys. */
static void worker_kicked(
    struct worker *w, const struct poll_list *list, uint64_t kicked[], unsigned n)
{
	for (unsigned taken = 0; n && taken <= list->n; taken += n) {
		for (unsigned k = 0; k < n; k++) {
			unsigned i = poll_find(list, kicked[k]);

			if (i == list->n)
				continue; /* the queue has left the list */
			idle_disable_kick(&w->sweep.poll.entry[i], list->queue[i]);
			idle_note_kick(list->queue[i], true);
			sweep_kicked(&w->sweep, i);
		}
		n = n == IDLE_KICKS ? idle_more_kicks(&w->idle, kicked) : 0;
	}
}

/* Note the time without a CPU, so that it is not taken for a call that took long. */
static void worker_note_off_cpu(struct worker *w)
{
	int64_t ns = off_cpu_ns(CLOCK_THREAD_CPUTIME_ID);

	if (ns >= 0)
		atomic_store(&w->burst->off_cpu, ns);
}

/*
 * Sleep, unless there is something to do. After the sleep there may be another list for the worker.
 */
static void worker_sleep(struct worker *w, const struct forwarding *fwd)
{
	struct workers *all = w->all;
	uint64_t kicked[IDLE_KICKS];
	unsigned n = 0;

	if (!idle_prepare(&w->idle, worker_list(w, fwd), w->sweep.poll.entry))
		return;
	if (fwd)
		sweep_rest(&w->sweep, worker_list(w, fwd));
	atomic_store(&w->idle.asleep, true);
	if (atomic_load(&all->current) == fwd && !atomic_load(&all->stop) &&
	    !mailbox_waits(&w->mailbox)) {
		rte_rcu_qsbr_thread_offline(all->rcu, w->index);
		n = idle_wait(&w->idle, kicked);
		rte_rcu_qsbr_thread_online(all->rcu, w->index);
		w->stats.sleeps++;
		worker_note_off_cpu(w);
	}
	atomic_store(&w->idle.asleep, false);
	fwd = atomic_load(&all->current);
	if (!fwd)
		return;
	sweep_follow(&w->sweep, worker_list(w, fwd));
	worker_kicked(w, worker_list(w, fwd), kicked, n);
}

static void worker_loop(struct worker *w)
{
	struct workers *all = w->all;
	uint64_t hz = rte_get_tsc_hz();
	uint64_t last_work = rte_rdtsc(), next_second = last_work;
	uint32_t now_s = 0;

	while (!atomic_load_explicit(&all->stop, memory_order_relaxed)) {
		const struct forwarding *fwd =
		    atomic_load_explicit(&all->current, memory_order_acquire);
		unsigned frames = worker_turn(w, fwd, now_s);
		uint64_t now = w->sweep.clock;

		if (now >= next_second) {
			now_s = clock_seconds(now, hz);
			next_second = (now_s + UINT64_C(1)) * hz;
		}
		if (frames) {
			w->stats.frames += frames;
			w->stats.busy_turns++;
		}
		if (frames || sweep_left(&w->sweep) || mailbox_waits(&w->mailbox)) {
			last_work = now;
			rte_rcu_qsbr_quiescent(all->rcu, w->index);
			continue; /* no rest while there is work */
		}
		if (all->idle_sleep && now - last_work > w->idle.spin) {
			worker_sleep(w, fwd);
			w->sweep.clock = rte_rdtsc();
			w->stats.sleep_cycles += w->sweep.clock - now;
			idle_adapt(&w->idle, w->sweep.clock - now);
		} else {
			rte_pause();
		}
		/* This comes after worker_sleep(), because worker_sleep() uses the forwarding. */
		rte_rcu_qsbr_quiescent(all->rcu, w->index);
	}
}

static int worker_main(void *arg)
{
	struct worker *w = arg;
	int error;

	/* syscalls(worker): prctl */
	/* The default slack would make each nap 50 us longer. */
	prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
	/*
	 * This is done in the worker's thread, because memory comes from the node of the CPU that
	 * first writes to it.
	 */
	error = burst_create(&w->burst);
	if (!error)
		error = sweep_init(&w->sweep, rte_get_tsc_hz());
	if (!error)
		w->burst->slow_call = rte_get_tsc_hz() / 1000000 * CALL_SLOW_US;
	atomic_store(&w->thread, gettid());
	pthread_getcpuclockid(pthread_self(), &w->cpu_clock);
	if (!error && w->all->enter)
		error = w->all->enter();
	if (error)
		atomic_store(&w->all->error, error);
	atomic_fetch_add(&w->all->entered, 1);
	if (error)
		return error;
	rte_rcu_qsbr_thread_online(w->all->rcu, w->index);
	worker_loop(w);
	rte_rcu_qsbr_thread_offline(w->all->rcu, w->index);
	return 0;
}

static void workers_free(struct workers *all)
{
	for (unsigned i = 0; i < all->n; i++) {
		idle_cleanup(&all->worker[i].idle);
		burst_destroy(all->worker[i].burst);
		sweep_cleanup(&all->worker[i].sweep);
	}
	free(all->rcu);
	free(all);
}

/* The CPU on which the lcore runs. The EAL can give lcores other numbers. */
static unsigned worker_cpu(unsigned lcore)
{
	rte_cpuset_t set = rte_lcore_cpuset(lcore);
	unsigned cpu = 0;

	while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, &set))
		cpu++;
	return cpu;
}

static int workers_prepare(struct workers *all)
{
	size_t size = rte_rcu_qsbr_get_memsize(all->n);
	unsigned lcore, i = 0;

	all->rcu = aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
	if (!all->rcu || rte_rcu_qsbr_init(all->rcu, all->n) != 0)
		return -ENOMEM;
	RTE_LCORE_FOREACH_WORKER(lcore)
	{
		struct worker *w = &all->worker[i];

		w->all = all;
		w->index = i;
		w->stats.lcore = lcore;
		w->stats.cpu = worker_cpu(lcore);
		w->stats.node = rte_lcore_to_socket_id(lcore);
		rte_rcu_qsbr_thread_register(all->rcu, i);
		int err = idle_init(&w->idle, rte_get_tsc_hz());
		if (err)
			return err;
		i++;
	}
	return 0;
}

int workers_start(const struct workers_config *config, struct workers **ret_workers)
{
	unsigned n = rte_lcore_count() - 1;
	size_t size = sizeof(struct workers) + n * sizeof(struct worker);
	const struct timespec rest = {.tv_nsec = SYNC_SLEEP_NS};
	struct workers *all;
	int err;

	if (n == 0) {
		log_error("no core is left for a worker: give at least one with --lcores");
		return -ENODEV;
	}
	all = aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
	if (!all)
		return -ENOMEM;
	memset(all, 0, size);
	all->n = n;
	nudge_init();
	all->idle_sleep = config->idle_sleep;
	all->enter = config->enter;
	all->stuck = config->stuck;
	all->stuck_arg = config->stuck_arg;
	for (unsigned i = 0; i < n; i++)
		all->worker[i].idle.wake_fd = all->worker[i].idle.epoll_fd = -1;
	err = workers_prepare(all);
	if (err) {
		log_error("out of memory for %u workers", n);
		workers_free(all);
		return err;
	}
	for (unsigned i = 0; i < n; i++)
		rte_eal_remote_launch(worker_main, &all->worker[i], all->worker[i].stats.lcore);
	while (atomic_load(&all->entered) < n)
		nanosleep(&rest, NULL);
	err = atomic_load(&all->error);
	if (err) {
		workers_stop(all);
		return err;
	}
	*ret_workers = all;
	return 0;
}

static void workers_wake(struct workers *all)
{
	for (unsigned i = 0; i < all->n; i++)
		idle_wake(&all->worker[i].idle);
}

/*
 * Wait until all workers have ended. The EAL's own function does not sleep. But a worker on the
 * same CPU may need the CPU to end.
 */
static void wait_for_ends(void)
{
	const struct timespec rest = {.tv_nsec = SYNC_SLEEP_NS};
	unsigned lcore;

	RTE_LCORE_FOREACH_WORKER(lcore)
	{
		while (rte_eal_get_lcore_state(lcore) == RUNNING)
			nanosleep(&rest, NULL);
	}
	rte_eal_mp_wait_lcore();
}

void workers_stop(struct workers *all)
{
	if (!all)
		return;
	atomic_store(&all->stop, true);
	workers_wake(all);
	wait_for_ends();
	workers_free(all);
}

unsigned workers_count(const struct workers *all)
{
	return all->n;
}

/* Interrupt the worker's call if it is the same call as at the last check. */
static void worker_unblock(struct worker *w)
{
	struct queue *q = atomic_load_explicit(&w->burst->calling, memory_order_acquire);
	uint64_t calls = READ_ONCE(w->burst->calls);

	/* If the worker only lost its CPU for a while, the nudge does nothing. */
	if (q && q == w->watched && calls == w->watched_calls)
		nudge(atomic_load(&w->thread));
	w->watched = q;
	w->watched_calls = calls;
}

/*
 * Update the worker's off_cpu, because the worker itself does not update it while it works. This is
 * not done during a call: off_cpu must be the value from before the call, so that time without a
 * CPU during the call can be subtracted.
 */
static void worker_sample_off_cpu(struct worker *w)
{
	/* Acquiring: before `calling` is looked at. */
	uint64_t calls = __atomic_load_n(&w->burst->calls, __ATOMIC_ACQUIRE);
	int64_t ns;

	if (atomic_load(&w->idle.asleep) || atomic_load(&w->burst->calling))
		return;
	ns = off_cpu_ns(w->cpu_clock);
	/* In this order: if a call began and ended meanwhile, it has been counted. */
	atomic_thread_fence(memory_order_acquire);
	if (ns >= 0 && !atomic_load(&w->burst->calling) && calls == READ_ONCE(w->burst->calls))
		atomic_store(&w->burst->off_cpu, ns);
}

bool workers_unblock(struct workers *all)
{
	bool noted = false;

	for (unsigned i = 0; i < all->n; i++) {
		worker_unblock(&all->worker[i]);
		worker_sample_off_cpu(&all->worker[i]);
		noted |= atomic_exchange(&all->worker[i].burst->noted, false);
	}
	return noted;
}

uint64_t workers_calls(const struct workers *all)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < all->n; i++) {
		n += READ_ONCE(all->worker[i].burst->calls);
		n += atomic_load(&all->worker[i].burst->calling) != NULL;
	}
	return n;
}

bool workers_awake(const struct workers *all)
{
	for (unsigned i = 0; i < all->n; i++) {
		if (!atomic_load(&all->worker[i].idle.asleep))
			return true;
	}
	return false;
}

bool workers_stand_still(struct workers *all, unsigned looks)
{
	if (all->looks == 0)
		all->look_token = rte_rcu_qsbr_start(all->rcu);
	all->looks++;
	if (rte_rcu_qsbr_check(all->rcu, all->look_token, false))
		all->looks = 0;
	return all->looks > looks;
}

void workers_synchronize(struct workers *all)
{
	const struct timespec rest = {.tv_nsec = SYNC_SLEEP_NS};
	uint64_t token = rte_rcu_qsbr_start(all->rcu);
	uint64_t timeout = rte_get_tsc_hz() * SYNC_TIMEOUT_S, since = rte_rdtsc();

	/* syscalls: sched_yield nanosleep clock_nanosleep */
	/* A worker may need this CPU: yield at first, then sleep. */
	for (unsigned turn = 0; !rte_rcu_qsbr_check(all->rcu, token, false); turn++) {
		if (turn < SYNC_YIELDS)
			sched_yield();
		else
			nanosleep(&rest, NULL);
		for (unsigned i = 0; turn % SYNC_WATCH == SYNC_WATCH - 1 && i < all->n; i++)
			worker_unblock(&all->worker[i]);
		if (all->stuck && rte_rdtsc() - since > timeout) {
			all->stuck(all->stuck_arg);
			since = rte_rdtsc();
		}
	}
}

/*
 * Give worker i's list a number. If the list equals the worker's last list, it gets the same
 * number.
 */
static bool number_list(
    struct workers *all, const struct forwarding *old, struct forwarding *fwd, unsigned i)
{
	bool same = old && fwd && poll_list_equal(&old->poll[i], &fwd->poll[i]);

	if (fwd)
		fwd->poll[i].number = same ? old->poll[i].number : ++all->lists;
	return same;
}

struct forwarding *workers_publish(struct workers *all, struct forwarding *fwd)
{
	struct forwarding *old = atomic_load(&all->current);
	const unsigned n = all->n;
	bool same[RTE_MAX_LCORE];

	for (unsigned i = 0; i < n; i++)
		same[i] = number_list(all, old, fwd, i);
	atomic_store(&all->current, fwd);
	for (unsigned i = 0; i < n; i++)
		if (!same[i])
			idle_wake(&all->worker[i].idle);
	workers_synchronize(all);
	return old;
}

int workers_watch(const struct workers *all, unsigned worker, int fd, uint64_t key)
{
	return idle_watch(&all->worker[worker].idle, fd, key);
}

void workers_unwatch(const struct workers *all, unsigned worker, int fd)
{
	idle_unwatch(&all->worker[worker].idle, fd);
}

int workers_inject(
    struct workers *all, unsigned worker, struct port_id port, const uint8_t *frame, uint32_t len)
{
	struct worker *w = &all->worker[worker];
	int err = mailbox_put(&w->mailbox, port, frame, len);

	if (!err)
		idle_wake(&w->idle);
	return err;
}

bool workers_mail_waits(const struct workers *all, unsigned worker, struct port_id port)
{
	return mailbox_count(&all->worker[worker].mailbox, port) > 0;
}

uint32_t workers_clock(void)
{
	return clock_seconds(rte_rdtsc(), rte_get_tsc_hz());
}

void workers_read_stats(const struct workers *all, unsigned worker, struct worker_stats *ret)
{
	*ret = all->worker[worker].stats;
	ret->asleep = atomic_load(&all->worker[worker].idle.asleep);
}

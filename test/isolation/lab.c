/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CPUs: one worker has a CPU of its own, and all other processes have the other CPUs. If there are
 * as many workers as CPUs, all processes share the CPUs. Then a busy guest runs during the quiet
 * run, too, so that both runs have the cost of sharing. The scheduler prefers the switch, as if
 * CPUs were reserved for it.
 */
#include "lab.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_NS  UINT64_C(10000000000)
#define TERM_NS     UINT64_C(3000000000)
#define REST_NS     UINT64_C(4000000000)
#define NICE_SWITCH (-10)
/*
 * SCHED_FIFO priorities. PRIO_OTHERS is for the switch's threads that are neither control thread
 * nor worker; it is higher, so that the control thread cannot starve them. The measuring threads
 * have a still higher priority.
 */
#define PRIO_CONTROL 5
#define PRIO_OTHERS  6

static unsigned count_entries(const char *path)
{
	unsigned n = 0;
	DIR *d = opendir(path);

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

struct usage lab_usage(const struct lab *l)
{
	struct usage u = {0};
	char path[64], line[256];
	unsigned long long value;
	FILE *f;

	if (l->foreign || !l->sw.pid)
		return u;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)l->sw.pid);
	u.fds = count_entries(path) - 2;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)l->sw.pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmSize: %llu", &value) == 1)
			u.mapped_kib = value;
		else if (sscanf(line, "RssAnon: %llu", &value) == 1)
			u.private_kib = value;
		else if (sscanf(line, "RssShmem: %llu", &value) == 1)
			u.shared_kib = value;
		else if (sscanf(line, "Threads: %llu", &value) == 1)
			u.threads = value;
	}
	if (f)
		fclose(f);
	return u;
}

static bool same(const struct usage *a, const struct usage *b)
{
	return a->fds == b->fds && a->threads == b->threads && a->mapped_kib == b->mapped_kib;
}

struct usage lab_usage_at_rest(const struct lab *l)
{
	uint64_t end = now_ns() + REST_NS;
	struct usage now = lab_usage(l), last;

	for (unsigned n = 0; n < 10 && now_ns() < end;) {
		usleep(10000);
		last = now;
		now = lab_usage(l);
		n = same(&now, &last) ? n + 1 : 0;
	}
	return now;
}

struct usage lab_usage_again(const struct lab *l, const struct usage *before)
{
	uint64_t end = now_ns() + REST_NS;
	struct usage now = lab_usage(l);

	/*
	 * Wait, because errand threads and closers end only some time after their last job, and
	 * memory is given back only once per second.
	 */
	while (
	    (now.fds > before->fds || now.threads > before->threads ||
		now.mapped_kib > before->mapped_kib + MAPPED_LEFT_KIB ||
		(!(l->needs & NEEDS_CROWD) && now.private_kib > before->private_kib + LEFT_KIB)) &&
	    now_ns() < end) {
		usleep(20000);
		now = lab_usage(l);
	}
	return now;
}

/* Call `call` for each thread of the switch. */
static void each_thread(
    const struct lab *l, void (*call)(pid_t tid, const char *name, void *arg), void *arg)
{
	char path[80], name[32] = "";
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)l->sw.pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		FILE *f;

		if (e->d_name[0] == '.')
			continue; /* not a thread; the number 0 would mean this thread */
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/comm", (int)l->sw.pid, e->d_name);
		f = fopen(path, "r");
		if (f && fgets(name, sizeof(name), f))
			call(atoi(e->d_name), name, arg);
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
}

static void prefer(pid_t tid, const char *name, void *process)
{
	const struct sched_param first = {
	    .sched_priority = tid == *(pid_t *)process ? PRIO_CONTROL : PRIO_OTHERS};

	if (strstr(name, "worker"))
		setpriority(PRIO_PROCESS, tid, NICE_SWITCH);
	else
		sched_setscheduler(tid, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
}

/* If the thread is a worker, remove its CPU from *cpus. */
static void make_way_for(pid_t tid, const char *name, void *cpus)
{
	cpu_set_t theirs, left;

	if (!strstr(name, "worker") || sched_getaffinity(tid, sizeof(theirs), &theirs) < 0)
		return;
	CPU_AND(&theirs, &theirs, (cpu_set_t *)cpus);
	CPU_XOR(&left, (cpu_set_t *)cpus, &theirs);
	*(cpu_set_t *)cpus = left;
}

static void open_waits(pid_t tid, const char *name, void *lab)
{
	struct lab *l = lab;
	char path[80];

	if (!strstr(name, "worker") || l->waits_fd >= 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", (int)l->sw.pid, (int)tid);
	l->waits_fd = open(path, O_RDONLY | O_CLOEXEC);
}

uint64_t lab_worker_waits(const struct lab *l)
{
	char text[128];
	unsigned long long ran, waited = 0;
	ssize_t n = l->waits_fd >= 0 ? pread(l->waits_fd, text, sizeof(text) - 1, 0) : 0;

	text[MAX(n, 0)] = '\0';
	return sscanf(text, "%llu %llu", &ran, &waited) == 2 ? waited : 0;
}

/* The workers' CPUs, and the other threads of the switch that may use them. */
struct intruders {
	cpu_set_t cpus;
	unsigned n;
};

static void add_worker_cpus(pid_t tid, const char *name, void *arg)
{
	struct intruders *i = arg;
	cpu_set_t theirs;

	if (strstr(name, "worker") && sched_getaffinity(tid, sizeof(theirs), &theirs) == 0)
		CPU_OR(&i->cpus, &i->cpus, &theirs);
}

static void count_intruder(pid_t tid, const char *name, void *arg)
{
	struct intruders *i = arg;
	cpu_set_t theirs;

	if (strstr(name, "worker") || sched_getaffinity(tid, sizeof(theirs), &theirs) < 0)
		return;
	CPU_AND(&theirs, &theirs, &i->cpus);
	i->n += CPU_COUNT(&theirs) > 0;
}

unsigned lab_intruders(const struct lab *l)
{
	struct intruders i = {.n = 0};

	CPU_ZERO(&i.cpus);
	each_thread(l, add_worker_cpus, &i);
	each_thread(l, count_intruder, &i);
	return i.n;
}

static cpu_set_t all_cpus;

/* Let this process and its children use only CPUs that no worker has, if there are any. */
static void make_way(struct lab *l)
{
	cpu_set_t cpus = all_cpus;
	pid_t process = l->sw.pid;

	if (l->foreign) {
		CPU_CLR(1, &cpus); /* the foreign switch was started with its worker there */
	} else {
		each_thread(l, prefer, &process);
		each_thread(l, make_way_for, &cpus);
	}
	if (CPU_COUNT(&cpus) > 0)
		sched_setaffinity(0, sizeof(cpus), &cpus);
	if (!l->foreign && l->n_workers == 1)
		each_thread(l, open_waits, l);
}

static void use_all_cpus(void)
{
	if (CPU_COUNT(&all_cpus) == 0)
		sched_getaffinity(0, sizeof(all_cpus), &all_cpus);
	sched_setaffinity(0, sizeof(all_cpus), &all_cpus);
}

static bool attach_neighbour(struct lab *l, unsigned port)
{
	struct net_config c = usual_config(port ? FEATURES_PACKED : FEATURES_BASE, 1);

	c.receive_shape.gap = 0;
	c.clean = true;
	/* rte_vhost starts only after this status, which contains DRIVER_OK. */
	return net_driver_create(&c, &l->nd[port]) == 0 &&
	    net_driver_connect(l->nd[port], l->sw.path[port]) == 0 &&
	    frontend_set_u64(&l->nd[port]->fe, VHOST_USER_SET_STATUS, 0xf) == 0;
}

static bool attach_all(struct lab *l)
{
	frontend_init(&l->asker);
	return attach_neighbour(l, PORT_LEFT) && attach_neighbour(l, PORT_RIGHT) &&
	    frontend_connect(&l->asker, l->sw.path[PORT_ASKER]) == 0 &&
	    frontend_negotiate(&l->asker, UINT64_MAX, 0) == 0;
}

static struct peer_state *shared_state(void)
{
	static struct peer_state *state;

	if (!state)
		state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(state != MAP_FAILED, "no shared memory");
	return state;
}

static bool workers_poll;

void lab_poll(void)
{
	workers_poll = true;
}

static void set_options(unsigned needs)
{
	static char options[80];

	snprintf(options, sizeof(options), "%s%s%s", needs & NEEDS_IOMMU ? "--iommu " : "",
	    needs & NEEDS_INBAND ? "--inband-notifications " : "",
	    workers_poll ? "--idle poll " : "");
	switch_option(options);
}

void lab_open(struct lab *l, unsigned n_workers, unsigned needs)
{
	*l = (struct lab){
	    .n_workers = n_workers, .needs = needs, .state = shared_state(), .waits_fd = -1};
	use_all_cpus();
	set_options(needs);
	switch_log_unread(needs & NEEDS_PIPE);
	switch_start(&l->sw, needs & NEEDS_CROWD ? PORTS + CROWD : PORTS, n_workers, false);
	switch_log_unread(false);
	must(attach_all(l), "the neighbours cannot be attached");
	introduce(l->nd, 2);
	make_way(l);
}

/*
 * Send broadcasts until each neighbour has received one. Some switches forward only some time after
 * a port has come up.
 */
static bool introduce_patiently(struct lab *l)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	uint64_t end = now_ns() + TIMEOUT_NS, random = 1;
	unsigned heard = 0;

	while (heard != 3 && now_ns() < end) {
		for (unsigned i = 0; i < 2; i++) {
			uint8_t frame[60], mac[6];
			struct net_frame f;

			station_mac(mac, i, 0);
			make_frame(frame, sizeof(frame), all, mac, &random);
			net_send(l->nd[i], 0, frame, sizeof(frame), NULL, NULL);
			if (net_receive(l->nd[1 - i], 0, &f) > 0)
				heard |= 1u << i;
		}
		usleep(10000);
	}
	for (unsigned i = 0; i < 2; i++)
		drain(l->nd[i], 50);
	return heard == 3;
}

bool lab_open_foreign(struct lab *l, const char *const paths[PORTS])
{
	*l = (struct lab){.n_workers = 1, .foreign = true, .state = shared_state(), .waits_fd = -1};
	use_all_cpus();
	for (unsigned i = 0; i < PORTS; i++)
		snprintf(l->sw.path[i], sizeof(l->sw.path[i]), "%s", paths[i]);
	strcpy(l->sw.dir, "/tmp/isolation-XXXXXX");
	must(mkdtemp(l->sw.dir) != NULL, "mkdtemp");
	make_way(l);
	return attach_all(l) && introduce_patiently(l);
}

void lab_close(struct lab *l)
{
	char path[128];

	lab_kill_peer(l);
	if (!l->foreign && l->sw.pid) {
		kill(l->sw.pid, SIGKILL);
		waitpid(l->sw.pid, NULL, 0);
	}
	if (l->waits_fd >= 0)
		close(l->waits_fd);
	frontend_cleanup(&l->asker);
	for (unsigned i = 0; i < 2; i++)
		net_driver_destroy(l->nd[i]);
	snprintf(path, sizeof(path), "%s/fuse", l->sw.dir);
	rmdir(path);
	switch_remove(&l->sw);
}

/*
 * The peer is a process of its own, so its memory, descriptors and CPU time do not count as the
 * switch's.
 */
static void become_peer(struct lab *l, const struct peer *p)
{
	const struct rlimit files = {1 << 20, 1 << 20};
	struct peer_world w = {.state = l->state};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_TIMERSLACK, 1);
	close_range(3, ~0u, 0);
	setrlimit(RLIMIT_NOFILE, &files);
	for (unsigned i = 0; i < PORTS; i++)
		memcpy(w.path[i], l->sw.path[i], sizeof(w.path[i]));
	snprintf(w.dir, sizeof(w.dir), "%s", l->sw.dir);
	p->run(&w);
	_exit(0);
}

bool lab_start_peer(struct lab *l, const struct peer *p)
{
	uint64_t end = now_ns() + TIMEOUT_NS;

	memset(l->state, 0, sizeof(*l->state));
	l->peer = fork();
	must(l->peer >= 0, "fork");
	if (l->peer == 0)
		become_peer(l, p);
	while (!l->state->attacks && now_ns() < end) {
		if (waitpid(l->peer, NULL, WNOHANG) == l->peer) {
			l->peer = 0;
			return false;
		}
		usleep(2000);
	}
	if (!l->state->attacks)
		strcpy(l->state->problem, "it does not get ready");
	return l->state->attacks;
}

void lab_kill_peer(struct lab *l)
{
	uint64_t end = now_ns() + TIMEOUT_NS;

	if (!l->peer)
		return;
	kill(l->peer, SIGKILL);
	while (waitpid(l->peer, NULL, WNOHANG) == 0 && now_ns() < end)
		usleep(1000);
	l->peer = 0;
}

double lab_terminate(struct lab *l)
{
	uint64_t start = now_ns();
	int status = 0;

	if (l->foreign || !l->sw.pid)
		return 0;
	kill(l->sw.pid, SIGTERM);
	while (waitpid(l->sw.pid, &status, WNOHANG) == 0) {
		if (now_ns() - start > TERM_NS)
			return -1;
		usleep(500);
	}
	l->sw.pid = 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? (now_ns() - start) / 1e6 : -2;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vswitchd's stderr goes to a file in the test's directory. The test polls this file for the line
 * "ready", and prints the file if the test fails. Counters are read from the file that vswitchd
 * writes on SIGUSR1 and at its end; it is renamed when it is complete.
 */
#include "switch_process.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "functional.h"

#define START_MS 20000
#define STOP_MS  10000

static const char *binary;
static char running_log[96]; /* printed when a test fails */

static const char *extra_options;

void switch_option(const char *options)
{
	extra_options = options;
}

static bool log_unread;

void switch_log_unread(bool unread)
{
	log_unread = unread;
}

void switch_binary(const char *path)
{
	binary = path;
}

void print_switch_log(void)
{
	char line[512];
	FILE *f = running_log[0] ? fopen(running_log, "r") : NULL;

	while (f && fgets(line, sizeof(line), f))
		fprintf(stderr, "    | %s", line);
	if (f)
		fclose(f);
}

bool switch_log_contains(const struct switch_process *sw, const char *text)
{
	char line[512];
	bool found = false;
	FILE *f = fopen(sw->log, "r");

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, text) != NULL;
	if (f)
		fclose(f);
	return found;
}

/* Copy the log to the file up to "ready". After that no more is read from the pipe. */
static void read_log_until_ready(struct switch_process *sw, int from)
{
	char line[2048];
	FILE *in = fdopen(dup(from), "r"), *out = fopen(sw->log, "w");

	must(in && out, "no log");
	while (fgets(line, sizeof(line), in)) {
		fputs(line, out);
		if (strstr(line, "vswitchd: info: ready"))
			break;
	}
	fclose(in);
	fclose(out);
}

static void exec_switch(const struct switch_process *sw, int log_fd)
{
	const char *argv[2 * SWITCH_PORTS_MAX + 24], *eal_option = getenv("VSWITCHD_EAL_OPTION");
	char workers[12], *extra = extra_options ? strdup(extra_options) : NULL;
	int n = 0, fd = log_fd;

	if (fd < 0)
		fd = open(sw->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("RUNTIME_DIRECTORY", sw->dir, 1); /* for the control socket */
	dup2(fd, 2);
	dup2(fd, 1);
	snprintf(workers, sizeof(workers), "%u", sw->n_workers);
	argv[n++] = binary;
	for (unsigned i = 0; i < sw->n_ports; i++) {
		argv[n++] = "--socket-path";
		argv[n++] = sw->path[i];
	}
	if (sw->client)
		argv[n++] = "--client";
	if (sw->iommu)
		argv[n++] = "--iommu";
	argv[n++] = "--no-huge";
	argv[n++] = "--workers";
	argv[n++] = workers;
	argv[n++] = "--stats-json";
	argv[n++] = sw->stats;
	for (char *word = extra ? strtok(extra, " ") : NULL; word; word = strtok(NULL, " "))
		argv[n++] = word;
	if (eal_option) {
		argv[n++] = "--";
		argv[n++] = eal_option;
	}
	argv[n] = NULL;
	execv(binary, (char **)argv);
	perror(binary);
	_exit(127);
}

void switch_start_again(struct switch_process *sw)
{
	uint64_t deadline = now_ns() + START_MS * UINT64_C(1000000);
	int pipe_fd[2] = {-1, -1};

	unlink(sw->log);
	unlink(sw->stats);
	must(!log_unread || pipe2(pipe_fd, O_CLOEXEC) == 0, "pipe2");
	sw->pid = fork();
	must(sw->pid >= 0, "fork");
	if (sw->pid == 0)
		exec_switch(sw, pipe_fd[1]);
	if (log_unread) {
		/*
		 * Keep the reading end open: then writes to a full pipe block instead of failing. A
		 * small pipe is full soon.
		 */
		fcntl(pipe_fd[0], F_SETPIPE_SZ, 4096);
		close(pipe_fd[1]);
		read_log_until_ready(sw, pipe_fd[0]);
	}
	while (!switch_log_contains(sw, "vswitchd: info: ready")) {
		must(switch_alive(sw), "vswitchd ended while it started");
		must(now_ns() < deadline, "vswitchd does not get ready");
		usleep(10000);
	}
}

static void start(
    struct switch_process *sw, unsigned n_ports, unsigned n_workers, bool client, bool iommu)
{
	if (!binary)
		binary = getenv("VSWITCHD");
	must(binary != NULL, "no vswitchd: give its path as argument or in $VSWITCHD");
	*sw = (struct switch_process){
	    .n_ports = n_ports, .n_workers = n_workers, .client = client, .iommu = iommu};
	/* In memory, as /run is: on some disks the removal of a file takes milliseconds. */
	snprintf(sw->dir, sizeof(sw->dir), "%s/vswitchd-test-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	must(mkdtemp(sw->dir) != NULL, "mkdtemp");
	for (unsigned i = 0; i < n_ports; i++)
		snprintf(sw->path[i], sizeof(sw->path[i]), "%s/%u.sock", sw->dir, i);
	snprintf(sw->stats, sizeof(sw->stats), "%s/stats.json", sw->dir);
	snprintf(sw->log, sizeof(sw->log), "%s/log", sw->dir);
	snprintf(running_log, sizeof(running_log), "%s", sw->log);
	switch_start_again(sw);
}

void switch_start(struct switch_process *sw, unsigned n_ports, unsigned n_workers, bool client)
{
	start(sw, n_ports, n_workers, client, false);
}

void switch_start_with_iommu(struct switch_process *sw, unsigned n_ports, unsigned n_workers)
{
	start(sw, n_ports, n_workers, false, true);
}

bool switch_alive(struct switch_process *sw)
{
	if (sw->pid && waitpid(sw->pid, NULL, WNOHANG) == sw->pid)
		sw->pid = 0;
	return sw->pid != 0;
}

void switch_kill(struct switch_process *sw)
{
	must(switch_alive(sw), "vswitchd died");
	kill(sw->pid, SIGKILL);
	waitpid(sw->pid, NULL, 0);
	sw->pid = 0;
}

static json_t *read_stats(struct switch_process *sw, unsigned timeout_ms)
{
	uint64_t deadline = now_ns() + timeout_ms * UINT64_C(1000000);
	json_t *stats;

	while (!(stats = json_load_file(sw->stats, 0, NULL))) {
		must(now_ns() < deadline, "vswitchd writes no counters");
		usleep(5000);
	}
	unlink(sw->stats);
	return stats;
}

json_t *switch_stats(struct switch_process *sw)
{
	must(switch_alive(sw), "vswitchd died");
	kill(sw->pid, SIGUSR1);
	return read_stats(sw, STOP_MS);
}

json_t *switch_stop(struct switch_process *sw)
{
	uint64_t deadline = now_ns() + STOP_MS * UINT64_C(1000000);
	int status;

	must(switch_alive(sw), "vswitchd died");
	unlink(sw->stats);
	kill(sw->pid, SIGTERM);
	while (waitpid(sw->pid, &status, WNOHANG) != sw->pid) {
		must(now_ns() < deadline, "vswitchd does not end on SIGTERM");
		usleep(5000);
	}
	sw->pid = 0;
	must(WIFEXITED(status) && WEXITSTATUS(status) == 0, "vswitchd ended badly");
	return read_stats(sw, 1000);
}

void switch_remove(struct switch_process *sw)
{
	char path[384];
	DIR *d = opendir(sw->dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", sw->dir, e->d_name);
		unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(sw->dir);
	running_log[0] = '\0';
}

static json_t *port_queues(const json_t *stats, unsigned port)
{
	return json_object_get(json_array_get(json_object_get(stats, "ports"), port), "queues");
}

static bool is_direction(const json_t *queue, const char *direction)
{
	return strcmp(json_string_value(json_object_get(queue, "direction")), direction) == 0;
}

static uint64_t counter(const json_t *queue, const char *name)
{
	return json_integer_value(json_object_get(queue, name));
}

static uint64_t drops(const json_t *queue, const char *reason)
{
	uint64_t sum = 0;
	const char *name;
	json_t *n;

	json_object_foreach(json_object_get(queue, "drops"), name, n)
	{
		if (!reason || strcmp(name, reason) == 0)
			sum += json_integer_value(n);
	}
	return sum;
}

uint64_t switch_drops(const json_t *stats, unsigned port, const char *direction, const char *reason)
{
	uint64_t sum = 0;
	size_t i;
	json_t *q;

	json_array_foreach(port_queues(stats, port), i, q)
	{
		if (is_direction(q, direction))
			sum += drops(q, reason);
	}
	return sum;
}

uint64_t switch_counter(const json_t *stats, unsigned port, const char *direction, const char *name)
{
	uint64_t sum = 0;
	size_t i;
	json_t *q;

	json_array_foreach(port_queues(stats, port), i, q)
	{
		if (is_direction(q, direction))
			sum += counter(q, name);
	}
	return sum;
}

void switch_check_totals(const json_t *stats)
{
	uint64_t forwarded = 0, arrived = 0;
	size_t i, n = json_array_size(json_object_get(stats, "ports"));
	json_t *q;

	must(n > 0, "no port in the counters");
	for (size_t p = 0; p < n; p++) {
		json_array_foreach(port_queues(stats, p), i, q)
		{
			uint64_t frames = counter(q, "frames");

			if (is_direction(q, "egress")) {
				arrived += frames + drops(q, NULL);
				continue;
			}
			must_equal(counter(q, "unicast") + counter(q, "flooded") + drops(q, NULL),
			    frames, "frames received and accounted for");
			forwarded += counter(q, "unicast") + counter(q, "flood_copies") +
			    counter(q, "gso_segments");
		}
	}
	must_equal(arrived, forwarded, "frames forwarded and accounted for");
	must(json_is_true(json_object_get(json_object_get(stats, "totals"), "balanced")),
	    "vswitchd itself says that its counters do not balance");
}

void switch_finish(struct switch_process *sw)
{
	json_t *stats = switch_stop(sw);

	switch_check_totals(stats);
	json_decref(stats);
	switch_remove(sw);
}

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

struct switch_usage switch_usage(const struct switch_process *sw)
{
	struct switch_usage u = {0};
	char path[64], line[512];
	unsigned long kib;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)sw->pid);
	u.n_fds = count_entries(path);
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)sw->pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		u.n_maps += strchr(line, '\n') != NULL;
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)sw->pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %lu", &kib) == 1)
			u.private_kib = kib;
	if (f)
		fclose(f);
	return u;
}

/* In units of 10 ms: longer than the 100 ms between two checks of new front-ends by the switch. */
#define REST_LOOKS 30

struct switch_usage switch_usage_at_rest(const struct switch_process *sw)
{
	struct switch_usage now = switch_usage(sw), last;
	unsigned same = 0;

	for (unsigned tries = 0; tries < 500 && same < REST_LOOKS; tries++) {
		last = now;
		usleep(10000);
		now = switch_usage(sw);
		same = now.n_fds == last.n_fds && now.n_maps == last.n_maps ? same + 1 : 0;
	}
	return now;
}

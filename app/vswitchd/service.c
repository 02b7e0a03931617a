/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A message is one datagram with lines such as READY=1. libsystemd would open a socket for each
 * message, from inside of the sandbox, and it brings libraries for compression and encryption into
 * the process. So this file connects one socket before the sandbox closes, and writes to it.
 *
 * The queue at the other end is shared by all services, and may be full. The switch does not wait
 * then: what has to be told stays due, and the timer of the status tells it. RELOADING is told
 * before the READY that ends it, even if the reload has ended long since: systemd, which has asked
 * for the reload, waits for both.
 *
 * The watchdog looks at the workers four times in the period of systemd. If each worker has made a
 * turn since the last look, or sleeps, systemd is told that the switch lives. The control thread
 * tells it, so it lives, too. A worker that stands still for a whole period lets systemd end and
 * restart the switch. It may only have lost its CPU, so the period is to be long; the unit says 30
 * seconds.
 */
#include "service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include <rte_lcore.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "control/vswitch.h"

#define STATUS_MS    1000
#define LOOKS        4              /* in a period of the watchdog */
#define WATCHDOG_MIN UINT64_C(1000) /* us */

static struct {
	int fd;
	struct event *status, *watchdog;
	struct vswitch *sw;
	char told[64];                  /* the last status that was sent */
	int64_t reload_us;              /* when the last reload was asked for */
	bool reloading_due, ready_due;  /* have to be told, in this order */
	bool stuck;                     /* has been logged */
	uint64_t cycles[RTE_MAX_LCORE]; /* of each worker at the last look */
} service = {.fd = -1};

/* Never waits. False: systemd does not read, and the message has not been sent. */
static bool tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static bool tell(const char *fmt, ...)
{
	char text[160];
	va_list args;
	int n;

	if (service.fd < 0)
		return true;
	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	/* syscalls: sendto */
	if (send(service.fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return true;
	log_debug("cannot tell systemd %s: %s", text, error_text(errno));
	return false;
}

static void tell_due(void)
{
	if (service.reloading_due)
		service.reloading_due =
		    !tell("RELOADING=1\nMONOTONIC_USEC=%" PRId64, service.reload_us);
	if (service.ready_due && !service.reloading_due)
		service.ready_due = !tell("READY=1");
}

/* A name that begins with @ is abstract. */
static int connect_to(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t n = strlen(name);

	if ((*name != '/' && *name != '@') || n >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, name, n);
	if (*name == '@')
		address.sun_path[0] = '\0';
	service.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (service.fd >= 0 &&
	    connect(service.fd, (struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) == 0)
		return 0;
	return -errno;
}

void service_connect(void)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nothing changes the environment */
	const char *name = getenv("NOTIFY_SOCKET");
	int err = name ? connect_to(name) : 0;

	if (!err)
		return;
	log_warn("cannot tell systemd how it goes: %s: %s", name, error_text(-err));
	if (service.fd >= 0)
		close(service.fd);
	service.fd = -1;
}

static void tell_status(void)
{
	const struct switch_port *sp;
	unsigned ports = 0, up = 0;
	char text[sizeof(service.told)];

	for (unsigned p = 0; (sp = vswitch_port_next(service.sw, &p)); ports++)
		up += switch_port_up(sp);
	snprintf(text, sizeof(text), "%u ports, %u with a running guest", ports, up);
	if (strcmp(text, service.told) != 0 && tell("STATUS=%s", text))
		memcpy(service.told, text, sizeof(text));
}

/* The CPU of a worker that has made no turn since the last look; -1: all have, or sleep. */
static int find_stuck(void)
{
	const struct workers *workers = service.sw->workers;
	unsigned n = MIN(workers_count(workers), (unsigned)ARRAY_SIZE(service.cycles));
	int stuck = -1;

	for (unsigned w = 0; w < n; w++) {
		struct worker_stats s;
		uint64_t cycles;

		workers_read_stats(workers, w, &s);
		cycles = s.busy_cycles + s.idle_cycles + s.sleep_cycles;
		if (!s.asleep && cycles == service.cycles[w])
			stuck = (int)s.cpu;
		service.cycles[w] = cycles;
	}
	return stuck;
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	int stuck = find_stuck();

	(void)fd;
	(void)what;
	(void)arg;
	if (stuck < 0)
		tell("WATCHDOG=1");
	else if (!service.stuck)
		log_warn("the worker on CPU %d stands still: systemd's watchdog is not told that "
			 "the switch lives",
		    stuck);
	service.stuck = stuck >= 0;
}

static void on_status(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	tell_due();
	tell_status();
}

/* The period of systemd's watchdog in microseconds; 0: there is none, or not for this process. */
static uint64_t watchdog_period(void)
{
	/* NOLINTBEGIN(concurrency-mt-unsafe): nothing changes the environment */
	const char *period = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	/* NOLINTEND(concurrency-mt-unsafe) */
	uint64_t us = period ? strtoull(period, NULL, 10) : 0;

	if (pid && strtol(pid, NULL, 10) != getpid())
		return 0;
	return us >= WATCHDOG_MIN ? us : 0;
}

static struct event *every(
    struct event_base *base, uint64_t us, void (*fn)(evutil_socket_t, short, void *))
{
	const struct timeval period = {
	    .tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
	struct event *timer = event_new(base, -1, EV_PERSIST, fn, NULL);

	if (timer && event_add(timer, &period) == 0)
		return timer;
	if (timer)
		event_free(timer);
	return NULL;
}

int service_ready(struct event_base *base, struct vswitch *sw)
{
	uint64_t period = watchdog_period();

	if (service.fd < 0)
		return 0;
	service.sw = sw;
	service.status = every(base, UINT64_C(1000) * STATUS_MS, on_status);
	if (period)
		service.watchdog = every(base, period / LOOKS, on_watchdog);
	if (!service.status || (period && !service.watchdog))
		return -ENOMEM;
	find_stuck();
	service.ready_due = true;
	tell_due();
	tell_status();
	return 0;
}

void service_reloading(void)
{
	service.reload_us = clock_ns() / 1000;
	service.reloading_due = true;
	service.ready_due = false;
	tell_due();
}

void service_reloaded(void)
{
	service.ready_due = true;
	tell_due();
}

void service_stopping(void)
{
	tell("STOPPING=1");
	if (service.status)
		event_free(service.status);
	if (service.watchdog)
		event_free(service.watchdog);
	if (service.fd >= 0)
		close(service.fd);
	service.status = service.watchdog = NULL;
	service.fd = -1;
}

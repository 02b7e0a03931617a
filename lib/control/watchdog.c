/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * There are three kinds of trouble.
 *
 * The first kind is reported at once through an eventfd: lost memory (by the SIGBUS handler) and
 * missing translations (by workers).
 *
 * The second kind stops a worker, so the worker cannot report it. The worker hangs in a write to a
 * call eventfd, or it waits for a page that a postcopy front-end does not send. Short timers check
 * for these cases. They compare the present activity of each worker with its activity at the last
 * check. The shortest timer runs only while calls are made: if the control thread shares its CPU
 * with a guest that polls, each check delays this guest.
 *
 * The third kind is a broken ring. It harms no other port, so it is checked less often.
 *
 * Each case ends with one line in the log. If the port cannot be used any more, its connection is
 * dropped.
 *
 * Threads: the control thread. Guest memory is touched only by net_queues_look_at_unused().
 */
#include "control/watchdog.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/closer.h"
#include "base/clock.h"
#include "base/errand.h"
#include "base/log.h"
#include "control/calls.h"
#include "control/vhost_port.h"
#include "net/net_queues.h"
#include "vhost/call.h"
#include "vhost/doorbell.h"
#include "vhost/guard.h"
#include "vhost/helper.h"
#include "vhost/iommu.h"
#include "vhost/memory.h"
#include "vhost/postcopy.h"
#include "vhost/ring.h"
#include "vhost/unshared.h"

#define LOOK_MS 10
/*
 * The time between two checks of calls, while a worker is awake and makes calls. A call can block a
 * worker for twice this time.
 */
#define CALL_LOOK_MS 2
/*
 * If no call was made for so long, calls are checked every LOOK_MS only. Then the next call can
 * block a worker for LOOK_MS longer.
 */
#define CALLS_LATELY_NS UINT64_C(2000000000)
/* Rings are checked only every so many times, because there may be thousands. */
#define RING_LOOKS 10
/* A worker may wait for a page of an arriving guest for so many checks. */
#define STAND_STILL_LOOKS 200

struct watchdog {
	struct vswitch *sw;
	struct event *timer;
	struct event *call_timer; /* pending while a worker is awake and calls are made */
	uint64_t calls, calls_ns; /* calls made until the last look; when calls changed */
	unsigned looks;
	int lost_fd; /* written when guest memory is gone */
	struct event *lost;
	int miss_fd; /* written when a ring misses translations */
	struct event *miss;
};

static void report_broken_rings(struct vhost_port *vp)
{
	for (unsigned i = 0; i < vp->net.vhost.n_vrings; i++) {
		const struct vhost_vring *v = vp->net.vhost.vring[i];

		if (!v || !v->active || v->ring.broken == vp->reported[i])
			continue; /* nothing new to report */
		vp->reported[i] = v->ring.broken;
		vhost_ring_note(&vp->net.vhost, i, VRING_EVENT_BROKEN, v->ring.broken);
		vhost_tell(&vp->net.vhost, LOG_WARN,
		    "ring %u is stopped until the driver resets it: %s", i,
		    vring_break_text(v->ring.broken));
		if (v->err_fd >= 0)
			vhost_call(&vp->net.vhost, i, VHOST_CALL_ERR, v->err_fd);
	}
}

static void ask_for_translations(struct vswitch *sw)
{
	struct vhost_port *vp;
	uint64_t now = clock_ms();

	for (unsigned p = 0; (vp = vhost_port_next(sw, &p));)
		vhost_iommu_service(&vp->net.vhost, now);
}

static void doubt_memory(struct vswitch *sw)
{
	uint64_t now = clock_ms();
	struct vhost_port *vp;

	for (unsigned p = 0; (vp = vhost_port_next(sw, &p));)
		vhost_unshared_service(&vp->net.vhost, now);
}

static void on_miss(evutil_socket_t fd, short what, void *arg)
{
	struct watchdog *dog = arg;
	eventfd_t count;

	(void)what;
	eventfd_read(fd, &count);
	ask_for_translations(dog->sw);
}

/*
 * If a front-end does not send a page, a worker waits, and so do all ports that the worker polls.
 * It is not known which front-end this is. So all guests that are arriving lose their memory, and
 * then their connections.
 */
void watchdog_free_workers(void *arg)
{
	const struct vswitch *sw = arg;
	struct vhost_port *vp;

	for (unsigned p = 0; (vp = vhost_port_next_of_all(sw, &p));)
		vp->memory_lost |= vhost_postcopy_abort(&vp->net.vhost);
}

static void end_lazy_postcopies(struct vswitch *sw)
{
	struct vhost_port *vp;

	if (workers_stand_still(sw->workers, STAND_STILL_LOOKS))
		watchdog_free_workers(sw);
	for (unsigned p = 0; (vp = vhost_port_next(sw, &p));) {
		if (!vp->memory_lost)
			continue; /* its memory was not taken away */
		vp->memory_lost = false;
		vhost_tell(&vp->net.vhost, LOG_WARN,
		    "a missing page was not brought within %u ms: postcopy is given up",
		    STAND_STILL_LOOKS * LOOK_MS);
		vhost_endpoint_drop(vp->endpoint);
	}
}

/* Returns whether a guest arrives whose pages may be missing. */
static bool look_at_port(struct vhost_port *vp, uint64_t now_ms)
{
	struct vhost_device *dev = &vp->net.vhost;

	vhost_doorbell_service(dev);
	net_queues_look_at_unused(&vp->net);
	vhost_iommu_service(dev, now_ms);
	return dev->postcopy.registered || vp->memory_lost;
}

/* One pass for everything, because the data of a thousand ports are not in the caches. */
static void look_at_ports(struct vswitch *sw)
{
	uint64_t now = clock_ms();
	struct vhost_port *vp;
	bool arrives = false;

	for (unsigned p = 0; (vp = vhost_port_next(sw, &p));)
		arrives |= look_at_port(vp, now);
	if (arrives)
		end_lazy_postcopies(sw);
}

/*
 * A sleeping worker makes no call, so it needs no check. After it wakes up, it is checked within
 * LOOK_MS.
 */
static void look_at_calls(struct watchdog *dog)
{
	const struct timeval soon = {.tv_usec = CALL_LOOK_MS * 1000L};
	uint64_t now = clock_ns(), calls = workers_calls(dog->sw->workers);

	if (calls_service(dog->sw) || calls != dog->calls)
		dog->calls_ns = now;
	dog->calls = calls;
	if (workers_awake(dog->sw->workers) && now - dog->calls_ns < CALLS_LATELY_NS)
		event_add(dog->call_timer, &soon);
}

static void on_call_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	look_at_calls(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct watchdog *dog = arg;
	struct vswitch *sw = dog->sw;

	(void)fd;
	(void)what;
	if (!event_pending(dog->call_timer, EV_TIMEOUT, NULL))
		look_at_calls(dog);
	look_at_ports(sw);
	if (++dog->looks % RING_LOOKS)
		return;
	closer_check(errand_close);
	helper_check();
	doubt_memory(sw);
	/* Begin with another port each time: the limit may not allow a log line for every port. */
	for (unsigned i = 0; i < sw->n_ports; i++) {
		struct vhost_port *vp =
		    vhost_port_at(sw, (dog->looks / RING_LOOKS + i) % sw->n_ports);

		if (!vp)
			continue; /* no port, or another kind */
		report_broken_rings(vp);
		log_limit_service(&vp->net.vhost.limit, vp->port.name);
	}
}

static void on_lost(evutil_socket_t fd, short what, void *arg)
{
	struct watchdog *dog = arg;
	struct vswitch *sw = dog->sw;
	struct vhost_port *vp;
	eventfd_t count;

	(void)what;
	eventfd_read(fd, &count);
	for (unsigned p = 0; (vp = vhost_port_next(sw, &p));) {
		if (vhost_memory_check(&vp->net.vhost) < 0)
			vhost_endpoint_drop(vp->endpoint);
	}
}

static int timer_start(struct watchdog *dog)
{
	const struct timeval period = {.tv_usec = LOOK_MS * 1000L};

	dog->call_timer = evtimer_new(dog->sw->base, on_call_timer, dog);
	dog->timer = event_new(dog->sw->base, -1, EV_PERSIST, on_timer, dog);
	return dog->call_timer && dog->timer && event_add(dog->timer, &period) == 0 ? 0 : -ENOMEM;
}

static int guard_start(struct watchdog *dog)
{
	dog->lost_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (dog->lost_fd < 0)
		return -errno;
	dog->lost = event_new(dog->sw->base, dog->lost_fd, EV_READ | EV_PERSIST, on_lost, dog);
	if (!dog->lost || event_add(dog->lost, NULL) < 0)
		return -ENOMEM;
	return guard_install(dog->lost_fd);
}

static int misses_start(struct watchdog *dog)
{
	dog->miss_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (dog->miss_fd < 0)
		return -errno;
	dog->miss = event_new(dog->sw->base, dog->miss_fd, EV_READ | EV_PERSIST, on_miss, dog);
	return dog->miss && event_add(dog->miss, NULL) == 0 ? 0 : -ENOMEM;
}

int watchdog_miss_fd(const struct watchdog *dog)
{
	return dog->miss_fd;
}

int watchdog_create(struct vswitch *sw, struct watchdog **ret_watchdog)
{
	struct watchdog *dog = calloc(1, sizeof(*dog));
	int error;

	if (!dog)
		return -ENOMEM;
	dog->sw = sw;
	dog->lost_fd = dog->miss_fd = -1;
	error = timer_start(dog);
	if (!error)
		error = guard_start(dog);
	if (!error)
		error = misses_start(dog);
	if (error) {
		watchdog_destroy(dog);
		return error;
	}
	*ret_watchdog = dog;
	return 0;
}

void watchdog_destroy(struct watchdog *dog)
{
	if (!dog)
		return;
	if (dog->timer)
		event_free(dog->timer);
	if (dog->call_timer)
		event_free(dog->call_timer);
	if (dog->lost)
		event_free(dog->lost);
	if (dog->lost_fd >= 0)
		close(dog->lost_fd);
	if (dog->miss)
		event_free(dog->miss);
	if (dog->miss_fd >= 0)
		close(dog->miss_fd);
	free(dog);
}

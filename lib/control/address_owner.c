/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/address_owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "bridge/fdb.h"
#include "control/bridge.h"
#include "control/vhost_port.h"

/*
 * A slice has at most 16,384 entries and takes half a millisecond. Front-ends are answered between
 * slices.
 */
#define SLICE_BUCKETS 2048
#define SLICE_WAIT_US 1000

/*
 * When a process started: field 22 of /proc/PID/stat (proc(5)). It is needed because another
 * process may get the same PID soon. 0: not known.
 */
static uint64_t process_started(pid_t pid)
{
	char path[32], text[512], *at;
	ssize_t n;
	int fd;

	/* syscalls: openat read close clock_gettime */
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[MAX(n, 0)] = '\0';
	/* The process can choose field 2, a name in parentheses. The name may contain ")". */
	at = strrchr(text, ')');
	for (unsigned field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

static void on_slice(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval wait = {.tv_usec = SLICE_WAIT_US};
	struct vswitch *sw = arg;

	(void)fd;
	(void)what;
	if (bridges_flush_some(sw, SLICE_BUCKETS))
		event_add(sw->address_owners.flush, &wait);
}

/* Forget the addresses behind the port. The port is down, so no worker learns for it. */
static void forget(struct vhost_port *vp, const char *why)
{
	struct vswitch *sw = vp->port.sw;
	uint32_t n = fdb_port_count(switch_port_fdb(&vp->port), vp->port.index);

	vp->address_owner.gone = false;
	if (n == 0)
		return;
	vhost_tell(&vp->net.vhost, LOG_INFO, "%u addresses are forgotten: %s", n, why);
	fdb_flush_port(switch_port_fdb(&vp->port), vp->port.index);
	address_owners_flush(sw);
}

void address_owners_flush(struct vswitch *sw)
{
	event_active(sw->address_owners.flush, 0, 0);
}

void address_owner_flush(struct switch_port *sp)
{
	fdb_flush_port(switch_port_fdb(sp), sp->index);
	address_owners_flush(sp->sw);
}

void address_owner_remove(struct switch_port *sp)
{
	address_owner_flush(sp);
}

void address_owner_arrived(struct vhost_port *vp)
{
	struct address_owner *t = &vp->address_owner, last = vp->address_owner;
	struct vhost_endpoint_peer peer = {0};

	vhost_endpoint_peer(vp->endpoint, &peer);
	t->pid = peer.pid;
	t->started = peer.pid ? process_started(peer.pid) : 0;
	t->gone = false;
	if (last.gone && (t->pid == 0 || t->pid != last.pid || t->started != last.started))
		forget(vp, "another front-end has connected");
}

void address_owner_left(struct vhost_port *vp)
{
	vp->address_owner.gone = true;
	vp->address_owner.gone_ms = clock_ms();
}

void address_owners_tick(struct vswitch *sw)
{
	uint64_t now = clock_ms();
	struct vhost_port *vp;

	for (unsigned p = 0; (vp = vhost_port_next(sw, &p));) {
		if (vp->address_owner.gone &&
		    now - vp->address_owner.gone_ms >=
			sw->address_owners.forget_after_s * UINT64_C(1000))
			forget(vp, "its front-end did not come back");
	}
}

int address_owners_create(struct vswitch *sw, unsigned forget_after_s)
{
	sw->address_owners.forget_after_s = forget_after_s;
	sw->address_owners.flush = evtimer_new(sw->base, on_slice, sw);
	return sw->address_owners.flush ? 0 : -ENOMEM;
}

void address_owners_destroy(struct vswitch *sw)
{
	if (sw->address_owners.flush)
		event_free(sw->address_owners.flush);
	sw->address_owners.flush = NULL;
}

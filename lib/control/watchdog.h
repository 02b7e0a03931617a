/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looks after what a guest or a front-end can do to itself while nothing is said on its socket: a
 * ring that broke is reported, to the front-end as well (VRING_ERR); a port whose memory vanished
 * or whose call eventfd blocks is stopped before its neighbours notice; what a ring behind an IOMMU
 * misses is asked for.
 *
 * Threads: the control thread.
 */
#pragma once

struct vswitch;
struct watchdog;

/* Watch over the ports of sw, those that come later, too. -ENOMEM; what the system said. */
int watchdog_create(struct vswitch *sw, struct watchdog **ret_watchdog);
/* Written by workers when a ring has new misses. */
int watchdog_miss_fd(const struct watchdog *watchdog);

void watchdog_destroy(struct watchdog *dog);

/*
 * Free workers that wait for a page of an arriving guest; the ports are dropped a little later. For
 * workers_config.stuck: arg is the struct vswitch. Publishes nothing.
 */
void watchdog_free_workers(void *arg);

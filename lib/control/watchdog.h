/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Watches for trouble that no message of a front-end shows. A broken ring is reported in the log
 * and to the front-end (VRING_ERR). If the memory of a port is lost or a call eventfd blocks, the
 * port is stopped before other ports suffer. If a ring behind an IOMMU misses translations, they
 * are requested.
 *
 * Threads: the control thread.
 */
#pragma once

struct vswitch;
struct watchdog;

/* Watch over the ports of sw, including those that are added later. 0 or a negative errno. */
int watchdog_create(struct vswitch *sw, struct watchdog **ret_watchdog);
/* The eventfd that workers write if a ring misses translations. */
int watchdog_miss_fd(const struct watchdog *watchdog);

void watchdog_destroy(struct watchdog *dog);

/*
 * Free workers that wait for a page of an arriving guest. The connections of such guests are
 * dropped a little later. This function is a value for workers_config.stuck; arg is the struct
 * vswitch. It publishes no forwarding.
 */
void watchdog_free_workers(void *arg);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What systemd is told (sd_notify(3)), if it started the switch with Type=notify: that the ports
 * listen, how many there are, that the file is read again, that the switch ends; and that it lives,
 * for as long as every worker makes progress (WatchdogSec=). Without $NOTIFY_SOCKET nothing
 * happens.
 *
 * Threads: the control thread.
 */
#pragma once

struct event_base;
struct vswitch;

/* Connect to systemd, before the sandbox closes. A fault is logged: the switch runs without. */
void service_connect(void);

/* All sockets listen. From now on the status and the watchdog are told regularly. 0 or -ENOMEM. */
int service_ready(struct event_base *base, struct vswitch *sw);

/* A reload was asked for, perhaps again. One service_reloaded() is to follow. */
void service_reloading(void);
void service_reloaded(void);

/* The switch ends. No more is told. */
void service_stopping(void);

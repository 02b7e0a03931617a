/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/nudge.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

/* By default this signal is ignored, so a needless one does no harm. */
#define NUDGE SIGURG

static void on_nudge(int sig)
{
	(void)sig; /* it is enough that the call is interrupted */
}

int nudge_init(void)
{
	/* No SA_RESTART: the kernel must not restart the call. */
	struct sigaction action = {.sa_handler = on_nudge};

	/* syscalls: rt_sigaction rt_sigprocmask tgkill getpid */
	sigemptyset(&action.sa_mask);
	return sigaction(NUDGE, &action, NULL) < 0 ? -errno : 0;
}

void nudge_allow(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, NUDGE);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void nudge(pid_t thread)
{
	if (thread > 0)
		tgkill(getpid(), thread, NUDGE);
}

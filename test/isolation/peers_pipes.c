/* SPDX-License-Identifier: BSD-3-Clause */
/* Pipes for the device state on which each call takes long or never returns. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

#define MIB (UINT64_C(1) << 20)

static const uint8_t address[6] = {2, 0, 0, 9, 0, 1};

/* Stop the rings, because a transfer of the state needs that. */
static void stop_rings(struct guest *g)
{
	uint32_t base;

	for (unsigned ring = 0; ring < 2; ring++)
		frontend_get_vring_base(&g->fe, ring, &base);
}

static struct guest *stopped_guest(struct peer_world *w)
{
	const struct guest_config c = {.n_pairs = 1,
	    .size = 256,
	    .data = 2 * MIB,
	    .features = GUEST_FEATURES,
	    .protocol = VHOST_PROTOCOL_BIT(DEVICE_STATE)};
	struct guest *g = guest_create(w, &c);

	guest_fill(g, 1, GUEST_DATA_GPA, guest_frame(g, 0, address, address, 60), 0);
	guest_fill(g, 0, GUEST_DATA_GPA + MIB, 2048, VRING_DESC_F_WRITE);
	g->fe.timeout_ms = 5000;
	peer_must(w, guest_connect(g, w->path[PORT_HOSTILE]), "connecting");
	stop_rings(g);
	return g;
}

/* Fork a child that is killed when this process ends. */
static pid_t child(struct peer_world *w)
{
	pid_t pid = fork();

	if (pid < 0)
		peer_fail(w, "fork", -errno);
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* Memory with pages that never come: a thread that reads them waits for ever. */
static void *absent_memory(struct peer_world *w)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	void *at = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	reg.range.start = (uintptr_t)at;
	reg.range.len = MIB;
	if (fd < 0 || at == MAP_FAILED || ioctl(fd, UFFDIO_API, &api) < 0 ||
	    ioctl(fd, UFFDIO_REGISTER, &reg) < 0)
		peer_fail(w, "userfaultfd", -errno);
	return at;
}

/* Let a child hold the pipe's lock, in a write that never ends. */
static void hold_lock(struct peer_world *w, int fd)
{
	if (child(w) == 0) {
		if (write(fd, absent_memory(w), 4096) < 0)
			peer_fail(w, "a write to a pipe", -errno);
		_exit(1);
	}
	usleep(20000);
}

static void transfer(struct peer_world *w, struct guest *g, bool load, int fd)
{
	int err = frontend_set_device_state_fd(&g->fe, load, fd);

	peer_step(w);
	if (!err)
		err = frontend_check_device_state(&g->fe);
	if (err && err != -EREMOTEIO) {
		usleep(1000);
		guest_again(g);
		stop_rings(g);
	}
	peer_step(w);
}

void peer_pipe_hostage(struct peer_world *w)
{
	struct guest *g = stopped_guest(w);
	int end[2];

	if (pipe2(end, O_CLOEXEC) < 0)
		peer_fail(w, "a pipe", -errno);
	hold_lock(w, end[1]);
	peer_attacks(w);
	for (unsigned i = 0;; i++)
		transfer(w, g, i % 2, end[1 - i % 2]);
}

static _Noreturn void drain(int fd)
{
	char bytes[65536];

	for (;;) {
		if (read(fd, bytes, sizeof(bytes)) < 0)
			usleep(1);
	}
}

void peer_slow_pipe(struct peer_world *w)
{
	struct guest *g = stopped_guest(w);
	int end[2];

	if (pipe2(end, O_CLOEXEC) < 0)
		peer_fail(w, "a pipe", -errno);
	peer_watch(w, end[0], 160000);
	peer_watch(w, end[1], 160000);
	if (child(w) == 0)
		drain(end[0]);
	peer_attacks(w);
	for (;;)
		transfer(w, g, false, end[1]);
}

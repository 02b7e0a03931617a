/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A device and its errand share a table of descriptors to be written. The table has one place for
 * each eventfd that the device can have. To ask for a write, the control thread puts a duplicate of
 * the descriptor into its place. Then it begins an errand, unless one runs. The errand takes
 * descriptors from the table until the table is empty. Then it clears `running` and looks at the
 * table once more, so that no descriptor is left there.
 *
 * An errand also finds out whether an eventfd is quick. Workers write to an eventfd only if it is
 * known to be quick. It counts as quick until the ring gets another eventfd.
 *
 * If a front-end disconnects while its errand is in a write that blocks, a signal ends the write.
 * The signal may come just before the write begins, so it is sent again until the write has ended.
 * The table is not freed before the errand has ended. The next front-end of the device uses the
 * same table. Its writes wait until the errand has slept (REST).
 */
#include "vhost/call.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/errand.h"
#include "base/nudge.h"
#include "vhost/descriptor.h"
#include "vhost/ring.h"

#define SLOTS (VHOST_CALL_KINDS * VHOST_RINGS_MAX)
/*
 * After a slow write the errand sleeps this many times as long as the write took, because other
 * threads need its CPU.
 */
#define REST 4
/* A write that takes longer than this is slow, too, even if it used little CPU time. */
#define LONG_NS INT64_C(50000000)

#define TRUSTED 1u

/* Shared by a device and its errand. */
struct vhost_caller {
	atomic_uint users;
	atomic_int fd[SLOTS];  /* duplicates to be written; -1: none */
	atomic_bool running;   /* the errand will look at fd[] again */
	atomic_uint front_end; /* how many front-ends have disconnected */
	atomic_int thread;
	atomic_uint slot;    /* place of the eventfd that is being written */
	atomic_uint written; /* front_end, when it was taken from fd[] */
	atomic_llong since;  /* when the write began; 0: none is made */
	atomic_uint quick;   /* quick writes in a row */
	atomic_uint slow;    /* 1 + `written` of the last write that used much CPU time; 0: none */
	/*
	 * One word for each ring. Bit 0 says that the ring's call eventfd is quick. The other bits
	 * count how often the ring got another eventfd.
	 */
	atomic_uint trust[VHOST_RINGS_MAX];
	struct vhost_device *dev; /* NULL: the device has ended */
	bool idle;                /* the last front-end has gone, and no other one has used this */
	bool listed;
	struct vhost_caller *next;
};

/* Callers whose front-end has disconnected, until it is known that their errand has ended. */
static struct vhost_caller *leaving;
static atomic_uint pending;

static void release(struct vhost_caller *c)
{
	if (atomic_fetch_sub(&c->users, 1) != 1)
		return;
	for (unsigned i = 0; i < SLOTS; i++) {
		if (c->fd[i] >= 0)
			close(c->fd[i]);
	}
	free(c);
}

/*
 * Note that the eventfd is quick. Nothing happens if the word is not `word` any more: then the ring
 * has got another eventfd since the write.
 */
static void begin_trust(struct vhost_caller *c, unsigned slot, unsigned word)
{
	if (slot / VHOST_RINGS_MAX == VHOST_CALL_USED)
		atomic_compare_exchange_strong(
		    &c->trust[slot % VHOST_RINGS_MAX], &word, word | TRUSTED);
}

/*
 * A write is slow if it used much CPU time. Real time includes waiting for a CPU, so it counts only
 * beyond LONG_NS. If the write fails, the eventfd's counter may be full. Only a hostile front-end
 * lets it become full. If it also makes the eventfd blocking, the next write hangs. So such an
 * eventfd is not trusted.
 */
static void write_one(struct vhost_caller *c, unsigned slot, unsigned word, int fd)
{
	int64_t start = clock_ns(), used = clock_read(CLOCK_THREAD_CPUTIME_ID);
	struct timespec rest = {0};
	bool here;
	int error;

	atomic_store(&c->slot, slot);
	atomic_store(&c->since, start);
	/* syscalls: write close nanosleep clock_nanosleep clock_gettime */
	error = eventfd_write(fd, 1);
	atomic_store(&c->since, 0);
	close(fd);
	used = clock_read(CLOCK_THREAD_CPUTIME_ID) - used;
	here = atomic_load(&c->written) == atomic_load(&c->front_end);
	if (used < VHOST_CALL_SLOW_NS && clock_ns() - start < LONG_NS) {
		atomic_fetch_add(&c->quick, here);
		if (!error)
			begin_trust(c, slot, word);
		return;
	}
	if (used >= VHOST_CALL_SLOW_NS)
		atomic_store(&c->slow, atomic_load(&c->written) + 1);
	atomic_store(&c->quick, 0);
	rest.tv_nsec = MIN(used * REST, INT64_C(100000000));
	nanosleep(&rest, NULL);
}

static void write_all(struct vhost_caller *c)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		/*
		 * The word is read before the descriptor is taken. If the eventfd is replaced in
		 * between, the word changes, so the new eventfd is not trusted.
		 */
		unsigned word = atomic_load(&c->trust[i % VHOST_RINGS_MAX]);
		int fd = -1;

		if (atomic_load(&c->fd[i]) >= 0) {
			atomic_store(&c->written, atomic_load(&c->front_end));
			fd = atomic_exchange(&c->fd[i], -1);
		}
		if (fd >= 0)
			write_one(c, i, word, fd);
	}
}

static bool has_work(struct vhost_caller *c)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (atomic_load(&c->fd[i]) >= 0)
			return true;
	}
	return false;
}

static void errand(void *arg)
{
	struct vhost_caller *c = arg;

	nudge_allow();
	atomic_store(&c->thread, gettid());
	do {
		write_all(c);
		atomic_store(&c->running, false);
		/*
		 * A descriptor may have been added after the last look, while `running` was still
		 * set.
		 */
	} while (has_work(c) && !atomic_exchange(&c->running, true));
	atomic_fetch_sub(&pending, 1);
	release(c);
}

static struct vhost_caller *caller_create(struct vhost_device *dev)
{
	struct vhost_caller *c = calloc(1, sizeof(*c));

	for (unsigned i = 0; c && i < SLOTS; i++)
		atomic_init(&c->fd[i], -1);
	if (c) {
		atomic_init(&c->users, 1);
		c->dev = dev;
	}
	return c;
}

/* Begin an errand unless one runs. */
static int send(struct vhost_caller *c)
{
	int error;

	if (atomic_exchange(&c->running, true))
		return 0;
	atomic_fetch_add(&c->users, 1);
	atomic_fetch_add(&pending, 1);
	error = errand_run(errand, c);
	if (error) {
		atomic_fetch_sub(&pending, 1);
		atomic_fetch_sub(&c->users, 1);
		atomic_store(&c->running, false);
	}
	return error;
}

static struct vhost_caller *caller_of(struct vhost_device *dev)
{
	if (!dev->caller)
		dev->caller = caller_create(dev);
	if (dev->caller)
		dev->caller->idle = false;
	return dev->caller;
}

const atomic_uint *vhost_call_trust(struct vhost_device *dev, unsigned index)
{
	static const atomic_uint never;
	struct vhost_caller *c = caller_of(dev);

	return c ? &c->trust[index] : &never;
}

void vhost_call_doubt(struct vhost_device *dev, unsigned index)
{
	atomic_uint *trust = dev->caller ? &dev->caller->trust[index] : NULL;

	if (trust)
		atomic_store(trust, (atomic_load(trust) | TRUSTED) + 1);
}

static void drop(struct vhost_caller *c, unsigned slot)
{
	int fd = atomic_load(&c->fd[slot]) < 0 ? -1 : atomic_exchange(&c->fd[slot], -1);

	if (fd >= 0)
		vhost_fd_close(c->dev, fd);
}

void vhost_call_replaced(struct vhost_device *dev, unsigned index)
{
	if (!dev->caller)
		return;
	drop(dev->caller, VHOST_CALL_USED * VHOST_RINGS_MAX + index);
	vhost_call_doubt(dev, index);
}

bool vhost_calls_were_slow(struct vhost_device *dev)
{
	struct vhost_caller *c = dev->caller;

	return c && atomic_exchange(&c->slow, 0) == atomic_load(&c->front_end) + 1;
}

int vhost_call(struct vhost_device *dev, unsigned index, enum vhost_call_kind kind, int fd)
{
	int copy, before, error;

	if (!caller_of(dev))
		return -ENOMEM;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* syscalls: fcntl */
	if (copy < 0)
		return -errno;
	before = atomic_exchange(&dev->caller->fd[kind * VHOST_RINGS_MAX + index], copy);
	if (before >= 0)
		vhost_fd_close(dev, before);
	error = send(dev->caller);
	if (kind == VHOST_CALL_USED)
		vhost_ring_note(dev, index, VRING_EVENT_CALL_HANDED, -error);
	return error;
}

static bool hangs(const struct vhost_caller *c, int64_t ns)
{
	int64_t since = atomic_load(&c->since);

	/* since has not changed, so all that was read belongs to one write. */
	return since && atomic_load(&c->written) == atomic_load(&c->front_end) &&
	    clock_ns() - since > ns && atomic_load(&c->since) == since;
}

bool vhost_calls_hang(const struct vhost_device *dev, int64_t ns, unsigned *ret_index)
{
	if (!dev->caller || !hangs(dev->caller, ns))
		return false;
	*ret_index = atomic_load(&dev->caller->slot) % VHOST_RINGS_MAX;
	return true;
}

void vhost_calls_restart(struct vhost_device *dev)
{
	if (dev->caller)
		atomic_store(&dev->caller->quick, 0);
}

unsigned vhost_calls_quick(const struct vhost_device *dev)
{
	return dev->caller ? atomic_load(&dev->caller->quick) : 0;
}

void vhost_calls_forget(struct vhost_device *dev)
{
	struct vhost_caller *c = dev->caller;

	if (!c)
		return;
	/*
	 * Drop the descriptors before front_end is incremented. So `written` has the old number for
	 * each descriptor that the errand takes from this front-end.
	 */
	for (unsigned i = 0; i < SLOTS; i++)
		drop(c, i);
	atomic_fetch_add(&c->front_end, 1);
	for (unsigned i = 0; i < VHOST_RINGS_MAX; i++)
		vhost_call_doubt(dev, i);
	atomic_store(&c->quick, 0);
	atomic_store(&c->slow, 0);
	c->idle = true;
	if (!c->listed) {
		c->listed = true;
		c->next = leaving;
		leaving = c;
	}
	vhost_calls_service();
}

/*
 * Has the errand ended? If it is in a write for a front-end that has disconnected, end the write.
 * An errand that already works for the next front-end has not ended.
 */
static bool has_ended(struct vhost_caller *c)
{
	bool writes = atomic_load(&c->since) != 0;

	if (!atomic_load(&c->running))
		return true;
	if (writes && atomic_load(&c->written) != atomic_load(&c->front_end))
		nudge(atomic_load(&c->thread));
	return false;
}

void vhost_calls_service(void)
{
	for (struct vhost_caller **at = &leaving; *at;) {
		struct vhost_caller *c = *at;

		if (!has_ended(c)) {
			at = &c->next;
			continue; /* its errand still runs */
		}
		*at = c->next;
		c->listed = false;
		if (c->idle) {
			if (c->dev)
				c->dev->caller = NULL;
			release(c);
		}
	}
}

void vhost_calls_end(struct vhost_device *dev)
{
	vhost_calls_forget(dev);
	if (dev->caller)
		dev->caller->dev = NULL;
	dev->caller = NULL;
}

unsigned vhost_calls_pending(void)
{
	return atomic_load(&pending);
}

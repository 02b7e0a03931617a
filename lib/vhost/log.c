/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * What a worker needs for logging is one struct dirty_log for each ring: where the map is, what to
 * log, what the ring is called in guest addresses. It does not change while a worker may use it.
 * Each ring has two of them, one in use (or none), the other free: a change is written into the
 * free one, the ring is pointed at it, and the type's synchronize() waits until every worker has
 * finished the burst in hand. Then the old one is free, and a map that nobody points at can be
 * unmapped. The ring is not stopped for this, so no frame is lost.
 *
 * After synchronize() every byte written is marked: a burst that began without the log has ended,
 * and ended before SET_FEATURES or SET_VRING_ADDR is answered.
 *
 * The map is a file of the front-end. Only a regular file that is long enough is mapped, and
 * guarded against becoming shorter; marks beyond the map are ignored, counted, and told when the
 * log goes.
 */
#include "vhost/log.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "vhost/guard.h"
#include "vhost/memory.h"
#include "vhost/ring.h"
#include "virtio/vhost_user.h"

static int check_file(struct vhost_device *dev, uint64_t size, uint64_t offset, int fd)
{
	struct stat st;
	uint64_t end;

	if (size == 0 || __builtin_add_overflow(size, offset, &end))
		return vhost_complain(dev, -EINVAL, "a log of 0x%llx bytes at 0x%llx cannot be",
		    (unsigned long long)size, (unsigned long long)offset);
	if (fstat(fd, &st) < 0)
		return vhost_complain(
		    dev, -errno, "cannot examine the log's file: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return vhost_complain(dev, -EINVAL, "the log's descriptor is no file");
	if (end > (uint64_t)st.st_size)
		return vhost_complain(dev, -EINVAL,
		    "the log ends at byte 0x%llx of a file of 0x%llx", (unsigned long long)end,
		    (unsigned long long)st.st_size);
	return 0;
}

/* What ring `index` is to log now; false: nothing. */
static bool log_wanted(const struct vhost_device *dev, unsigned index, struct dirty_log *ret)
{
	const struct vhost_vring_state *st = &dev->state.vring[index];

	*ret = (struct dirty_log){
	    .map = dev->log.map,
	    .size = dev->log.size,
	    .memory = dev->memory,
	    .data = VIRTIO_HAS(dev->state.features, VHOST_F_LOG_ALL),
	    .ring = st->addr_flags & VHOST_WIRE_VRING_LOG,
	    .ring_gpa = st->log,
	};
	/* Behind an IOMMU what was told is an I/O address; what counts is where it leads. */
	if (dev->iommu && dev->memory)
		guest_memory_from_host(
		    dev->memory, dev->vring[index]->config.device, &ret->ring_gpa);
	return ret->map && (ret->data || ret->ring);
}

static bool log_same(const struct dirty_log *a, const struct dirty_log *b)
{
	return a->map == b->map && a->size == b->size && a->memory == b->memory &&
	    a->data == b->data && a->ring == b->ring && a->ring_gpa == b->ring_gpa;
}

/* Point the ring at what it is to log; true if that is a change. */
static bool ring_log_settle(struct vhost_device *dev, unsigned index)
{
	struct vhost_vring *ring = dev->vring[index];
	struct dirty_log *now = ring->ring.log;
	struct dirty_log *other = now == &ring->log[0] ? &ring->log[1] : &ring->log[0];
	struct dirty_log wanted;

	if (!log_wanted(dev, index, &wanted)) {
		vring_set_log(&ring->ring, NULL);
		return now != NULL;
	}
	if (now && log_same(now, &wanted))
		return false;
	dev->log.ignored += other->ignored;
	*other = wanted;
	vring_set_log(&ring->ring, other);
	return true;
}

void vhost_log_settle(struct vhost_device *dev)
{
	bool changed = false;

	for (unsigned i = 0; i < dev->n_vrings; i++) {
		if (dev->vring[i] && dev->vring[i]->active)
			changed |= ring_log_settle(dev, i);
	}
	if (changed)
		vhost_device_synchronize(dev);
}

static void unmap(struct vhost_log *log)
{
	if (!log->base)
		return;
	guard_remove(log->guard);
	munmap(log->base, log->len);
}

static int map(
    struct vhost_device *dev, uint64_t size, uint64_t offset, int fd, struct vhost_log *ret_log)
{
	uint64_t page, start, end;
	bool huge;
	int error = check_file(dev, size, offset, fd);

	if (error)
		return error;
	page = vhost_file_page_size(fd, &huge);
	start = offset & ~(page - 1);
	end = (offset + size + page - 1) & ~(page - 1);
	*ret_log = (struct vhost_log){.len = end - start, .size = size};
	/* syscalls: fstat newfstatat fstatfs mmap munmap madvise */
	ret_log->base = mmap(NULL, end - start, PROT_READ | PROT_WRITE, MAP_SHARED, fd, start);
	if (ret_log->base == MAP_FAILED)
		return vhost_complain(dev, -errno, "cannot map a log of 0x%llx bytes: %s",
		    (unsigned long long)size, strerror(errno));
	madvise(ret_log->base, end - start, MADV_DONTDUMP);
	ret_log->map = (uint8_t *)ret_log->base + (offset - start);
	error = guard_add(ret_log->base, ret_log->len, &ret_log->guard);
	if (error) {
		munmap(ret_log->base, ret_log->len);
		return vhost_complain(dev, error, "too many mappings in all");
	}
	return 0;
}

int vhost_log_replace(struct vhost_device *dev, uint64_t size, uint64_t offset, int fd)
{
	struct vhost_log old = dev->log, fresh;
	int error = map(dev, size, offset, fd, &fresh);

	if (error)
		return error;
	fresh.ignored = old.ignored;
	dev->log = fresh;
	vhost_log_settle(dev);
	unmap(&old);
	log_debug("%s: dirty pages go to a log of %llu bytes", dev->name, (unsigned long long)size);
	return 0;
}

void vhost_log_forget(struct vhost_device *dev)
{
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		struct vhost_vring *ring = dev->vring[i];

		if (ring)
			dev->log.ignored += ring->log[0].ignored + ring->log[1].ignored;
	}
	unmap(&dev->log);
	if (dev->log.ignored)
		log_warn("%s: %llu writes were outside the dirty log, and not logged", dev->name,
		    (unsigned long long)dev->log.ignored);
	dev->log = (struct vhost_log){0};
}

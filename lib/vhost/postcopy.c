/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/postcopy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"
#include "vhost/memory.h"
#include "vhost/ring.h"

/*
 * The userfaultfd need not handle page faults inside system calls, because the switch makes no
 * system call with an address in guest memory.
 */
static int open_userfaultfd(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	/* syscalls: userfaultfd ioctl madvise */
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

int vhost_postcopy_advise(struct vhost_device *dev, int *ret_fd)
{
	int fd;

	vhost_postcopy_end(dev);
	fd = open_userfaultfd();
	if (fd < 0)
		return vhost_complain(dev, fd, "cannot make a userfaultfd: %s", error_text(-fd));
	dev->postcopy.fd = fd;
	*ret_fd = fd;
	return 0;
}

int vhost_postcopy_listen(struct vhost_device *dev)
{
	if (dev->postcopy.fd < 0)
		return vhost_complain(dev, -EINVAL, "there was no POSTCOPY_ADVISE");
	if (dev->state.n_regions)
		return vhost_complain(dev, -EINVAL, "there is guest memory already");
	dev->postcopy.listening = true;
	return 0;
}

static int register_range(const struct vhost_device *dev, void *base, size_t len)
{
	struct uffdio_register range = {
	    .range = {.start = (uintptr_t)base, .len = len},
	    .mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	/*
	 * A page is missing if the file does not have it. A huge page would hide that some of its
	 * small pages are missing: the kernel would fill them with zeros.
	 */
	madvise(base, len, MADV_NOHUGEPAGE);
	if (ioctl(dev->postcopy.fd, UFFDIO_REGISTER, &range) < 0)
		return -errno;
	return range.ioctls & (UINT64_C(1) << _UFFDIO_COPY) ? 0 : -EOPNOTSUPP;
}

int vhost_postcopy_register(struct vhost_device *dev)
{
	for (unsigned i = 0; i < dev->state.n_regions; i++) {
		size_t len;
		void *base = vhost_memory_mapping(dev, i, &len);
		int error = register_range(dev, base, len);

		if (error)
			return vhost_complain(dev, error,
			    "the front-end cannot be given missing pages to handle: %s",
			    error_text(-error));
	}
	dev->postcopy.registered = true;
	return 0;
}

static void unregister(struct vhost_device *dev)
{
	for (unsigned i = 0; dev->postcopy.registered && i < dev->state.n_regions; i++) {
		struct uffdio_range range;
		size_t len;

		range.start = (uintptr_t)vhost_memory_mapping(dev, i, &len);
		range.len = len;
		ioctl(dev->postcopy.fd, UFFDIO_UNREGISTER, &range);
	}
	dev->postcopy.registered = false;
}

void vhost_postcopy_end(struct vhost_device *dev)
{
	unregister(dev);
	if (dev->postcopy.fd >= 0)
		close(dev->postcopy.fd);
	dev->postcopy = (struct vhost_postcopy){.fd = -1};
}

bool vhost_postcopy_abort(struct vhost_device *dev)
{
	if (!dev->postcopy.registered)
		return false;
	vhost_postcopy_end(dev);
	return true;
}

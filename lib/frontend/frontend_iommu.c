/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end channel, and the front-end's IOMMU, which answers misses on it. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "frontend/frontend.h"

#define PAGE UINT64_C(4096)

enum { MESSAGE_MISS = 1, MESSAGE_UPDATE, MESSAGE_INVALIDATE };

int frontend_open_channel(struct frontend *fe)
{
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	err = frontend_call(fe, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1);
	close(pair[1]);
	if (err) {
		close(pair[0]);
		return err;
	}
	frontend_close_channel(fe);
	fe->channel_fd = pair[0];
	return 0;
}

void frontend_close_channel(struct frontend *fe)
{
	if (fe->channel_fd >= 0)
		close(fe->channel_fd);
	fe->channel_fd = -1;
}

int frontend_iotlb(struct frontend *fe, const struct vhost_wire_iotlb *message)
{
	return frontend_call(fe, VHOST_USER_IOTLB_MSG, message, sizeof(*message), NULL, 0);
}

int frontend_iommu_map(struct frontend *fe, uint64_t iova, uint64_t size, uint8_t perm)
{
	return frontend_iotlb(fe,
	    &(struct vhost_wire_iotlb){
		.iova = iova,
		.size = size,
		.uaddr = frontend_uaddr(fe, iova),
		.perm = perm,
		.type = MESSAGE_UPDATE,
	    });
}

int frontend_iommu_unmap(struct frontend *fe, uint64_t iova, uint64_t size)
{
	return frontend_iotlb(
	    fe, &(struct vhost_wire_iotlb){.iova = iova, .size = size, .type = MESSAGE_INVALIDATE});
}

/* Read the next request of the channel. 1: a miss; 0: none, or not all of it has arrived. */
static int receive_miss(struct frontend *fe, struct vhost_wire_iotlb *ret_miss)
{
	struct {
		struct vhost_header header;
		struct vhost_wire_iotlb iotlb;
	} __attribute__((packed)) request;
	ssize_t n = recv(fe->channel_fd, &request, sizeof(request), MSG_DONTWAIT | MSG_PEEK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return n < 0 ? -errno : -ECONNRESET;
	if ((size_t)n < sizeof(request))
		return 0;
	recv(fe->channel_fd, &request, sizeof(request), MSG_DONTWAIT);
	if (request.header.request != VHOST_USER_BACKEND_IOTLB_MSG ||
	    request.header.flags != VHOST_VERSION || request.header.size != sizeof(request.iotlb) ||
	    request.iotlb.type != MESSAGE_MISS || request.iotlb.iova % PAGE ||
	    request.iotlb.perm < 1 || request.iotlb.perm > 3)
		return -EPROTO;
	*ret_miss = request.iotlb;
	return 1;
}

int frontend_iommu_serve(struct frontend *fe)
{
	struct vhost_wire_iotlb miss = {0};
	int n = 0, got = 0;

	while (fe->channel_fd >= 0 && (got = receive_miss(fe, &miss)) > 0) {
		fe->misses++;
		if (fe->iommu_silent || !frontend_uaddr(fe, miss.iova))
			continue; /* no answer */
		got = frontend_iommu_map(fe, miss.iova, PAGE, miss.perm);
		if (got)
			break;
		n++;
	}
	return got < 0 ? got : n;
}

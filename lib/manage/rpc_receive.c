/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/rpc_receive.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/closer.h"
#include "base/errand.h"

#define FDS_AT_ONCE  253                 /* no message has more: SCM_MAX_FD of the kernel */
#define CLOSER_OWNER (CLOSER_OWNERS - 1) /* the numbers of ports are lower */

void rpc_close_fd(int fd)
{
	/* Only tests run without closers. */
	if (closer_running())
		errand_close_for(CLOSER_OWNER, fd);
	else
		close(fd);
}

unsigned rpc_closing(void)
{
	return closer_waiting(CLOSER_OWNER);
}

bool rpc_closing_full(void)
{
	return rpc_closing() >= RPC_CLOSING_MAX;
}

union passed {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(FDS_AT_ONCE * sizeof(int))];
};

/* Close the descriptors that came. False: there are none. */
static bool close_passed(struct msghdr *mh)
{
	struct cmsghdr *part = CMSG_FIRSTHDR(mh);
	bool rights = part && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS;
	size_t n = rights ? (part->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(part) + i * sizeof(fd), sizeof(fd));
		rpc_close_fd(fd);
	}
	return part || (mh->msg_flags & MSG_CTRUNC);
}

ssize_t rpc_receive(int fd, char *bytes, size_t room)
{
	struct iovec iov = {.iov_base = bytes, .iov_len = room};
	union passed passed;
	struct msghdr mh = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &passed,
	    .msg_controllen = sizeof(passed)};
	ssize_t n = recvmsg(fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC); /* syscalls: recvmsg */

	if (n < 0 || !close_passed(&mh))
		return n;
	errno = EPROTO;
	return -1;
}

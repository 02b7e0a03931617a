/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A session is a state machine on a non-blocking stream socket. `got` counts the bytes of the
 * current message that have arrived. The session first reads the header. Then it reads as much
 * payload as the header announces, and not more: otherwise descriptors of the next message could be
 * taken for descriptors of this message. A whole message is checked against the table in message.h,
 * handled, and answered. Then its remaining descriptors are closed.
 *
 * Nothing from the socket is trusted. A bad message is one of two kinds:
 *
 *	framing	version, direction, a size that the table does not allow, truncated descriptors, end
 *		of stream. The connection is dropped, because what follows cannot be understood.
 *	refusal	unknown id, feature not negotiated, wrong number of descriptors, a handler's error.
 *		It is answered with 1 if an answer was asked for, and the connection stays. But if
 *		the message has a reply of its own, the connection is dropped, because no such reply
 *		says "no", and the front-end would wait for ever.
 *
 * Answers are sent without blocking. If a front-end does not read its answers, the socket's buffer
 * becomes full, and the front-end is disconnected.
 *
 * Messages that disturb workers are counted (rate.h). If a front-end sends too many of them, its
 * next messages wait. Other ports are not affected. A message that asks for the result of a state
 * transfer waits in the same way until the transfer has ended (transfer.h).
 */
#include "vhost/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "vhost/descriptor.h"
#include "vhost/mapping.h"
#include "vhost/message.h"
#include "vhost/quiesce.h"
#include "vhost/rate.h"
#include "vhost/ring.h"
#include "vhost/transfer.h"

/*
 * One front-end must not use the control thread alone. So one call handles at most so many
 * messages, and begins no further message after this time.
 */
#define MESSAGES_PER_CALL 32
#define CALL_NS           INT64_C(2000000)

struct vhost_session {
	int fd;
	struct vhost_device *dev;
	size_t got; /* bytes of the current message */
	bool spoken;
	bool rests;  /* waits until the rate allows more */
	bool held;   /* the message in msg waits, and was counted */
	bool rested; /* it was logged that it rests */
	struct vhost_message msg;
};

int session_create(int fd, struct vhost_device *dev, struct vhost_session **ret_session)
{
	int flags = fcntl(fd, F_GETFL);
	struct vhost_session *session;
	int error;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	session = calloc(1, sizeof(*session));
	if (!session) {
		close(fd);
		return -ENOMEM;
	}
	session->fd = fd;
	session->dev = dev;
	session->rests = rate_exceeded(&dev->rate, clock_ns());
	*ret_session = session;
	return 0;
}

void session_destroy(struct vhost_session *session)
{
	if (!session)
		return;
	vhost_message_close_fds(session->dev, &session->msg);
	vhost_fd_hang_up(session->dev, session->fd);
	free(session);
}

/* Keep the descriptors of one control message. Close descriptors for which there is no room. */
static bool keep_fds(
    const struct vhost_device *dev, struct vhost_message *msg, const struct cmsghdr *cmsg)
{
	size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	bool all = true;

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
		if (msg->n_fds < VHOST_FDS_RECEIVE) {
			msg->fd[msg->n_fds++] = fd;
		} else {
			vhost_fd_close(dev, fd);
			all = false;
		}
	}
	return all;
}

/*
 * Read up to len bytes, and the descriptors that were sent with them. Returns the number of bytes,
 * or a negative errno.
 */
static ssize_t receive_part(struct vhost_session *session, void *to, size_t len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(VHOST_FDS_RECEIVE * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = to, .iov_len = len};
	struct msghdr mh = {
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes),
	};
	bool all = true;
	ssize_t n;

	/* syscalls: recvmsg sendmsg fcntl close */
	do {
		n = recvmsg(session->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return -EAGAIN;
	if (n < 0 && errno == ECONNRESET)
		return -EPIPE;
	if (n < 0)
		return vhost_complain(session->dev, -errno, "cannot read: %s", error_text(errno));
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&mh); cmsg; cmsg = CMSG_NXTHDR(&mh, cmsg)) {
		if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
			all &= keep_fds(session->dev, &session->msg, cmsg);
	}
	if (!all || (mh.msg_flags & MSG_CTRUNC))
		return vhost_complain(session->dev, -EBADMSG, "too many descriptors");
	return n;
}

/* A whole header has arrived. Can the payload be read? */
static int check_header(struct vhost_session *session)
{
	const struct vhost_header *header = &session->msg.header;
	const struct vhost_message_spec *spec = vhost_message_find(header->request);
	uint32_t size = header->size;

	session->dev->handling = spec ? spec->name : NULL;
	if ((header->flags & VHOST_VERSION_MASK) != VHOST_VERSION)
		return vhost_complain(session->dev, -EBADMSG,
		    "request %u has flags 0x%x: not version 1", header->request, header->flags);
	if (header->flags & VHOST_REPLY)
		return vhost_complain(
		    session->dev, -EBADMSG, "request %u is marked as a reply", header->request);
	if (size > VHOST_PAYLOAD_MAX)
		return vhost_complain(session->dev, -EBADMSG,
		    "request %u has a payload of %u bytes, beyond any message", header->request,
		    size);
	if (spec && spec->handler && (size < spec->payload_min || size > spec->payload_max))
		return vhost_complain(session->dev, -EBADMSG, "a payload of %u bytes, not %u to %u",
		    size, spec->payload_min, spec->payload_max);
	return 0;
}

/* Read more of the current message. 1: the message is complete. 0: the rest has not arrived yet. */
static int receive_message(struct vhost_session *session)
{
	struct vhost_message *msg = &session->msg;
	const size_t header = sizeof(msg->header);

	for (;;) {
		bool in_header = session->got < header;
		size_t done = in_header ? session->got : session->got - header;
		size_t whole = in_header ? header : msg->header.size;
		uint8_t *to = in_header ? (uint8_t *)&msg->header : msg->raw;
		ssize_t n;
		int error;

		if (!in_header && done == whole)
			return 1;
		n = receive_part(session, to + done, whole - done);
		if (n == -EAGAIN)
			return 0;
		if (n == 0 && session->got == 0)
			return -EPIPE;
		if (n == 0)
			return vhost_complain(
			    session->dev, -ECONNRESET, "the connection ended inside a message");
		if (n < 0)
			return (int)n;
		session->got += n;
		if (session->got == header && in_header) {
			error = check_header(session);
			if (error)
				return error;
		}
	}
}

/* Send the message in session->msg back as a reply. */
static int send_reply(struct vhost_session *session)
{
	struct vhost_message *msg = &session->msg;
	struct iovec iov[2] = {
	    {.iov_base = &msg->header, .iov_len = sizeof(msg->header)},
	    {.iov_base = msg->raw, .iov_len = msg->header.size},
	};
	union {
		struct cmsghdr cmsg;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = ""};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	/* The message must have taken effect before the front-end gets the answer. */
	vhost_device_commit(session->dev);
	if (msg->has_reply_fd) {
		mh.msg_control = &control;
		mh.msg_controllen = sizeof(control);
		control.cmsg.cmsg_level = SOL_SOCKET;
		control.cmsg.cmsg_type = SCM_RIGHTS;
		control.cmsg.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.cmsg), &msg->reply_fd, sizeof(int));
	}
	msg->header.flags = VHOST_REPLY_FLAGS;
	do {
		n = sendmsg(session->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n == (ssize_t)(sizeof(msg->header) + msg->header.size))
		return 0;
	if (n < 0 && errno == EPIPE)
		return -EPIPE;
	return vhost_complain(session->dev, -EIO, "the front-end does not take the reply");
}

static int send_ack(struct vhost_session *session, bool good)
{
	session->msg.payload.u64 = good ? 0 : 1;
	session->msg.header.size = sizeof(uint64_t);
	return send_reply(session);
}

static bool served(const struct vhost_device *dev, const struct vhost_message_spec *spec)
{
	return spec && spec->handler && (dev->state.protocol_features & spec->gate) == spec->gate;
}

static int dispatch(
    struct vhost_device *dev, const struct vhost_message_spec *spec, struct vhost_message *msg)
{
	if (!served(dev, spec)) {
		if (spec && spec->handler)
			return vhost_complain(dev, -EOPNOTSUPP, "its feature was not negotiated");
		return vhost_complain(
		    dev, -EOPNOTSUPP, "request %u is not supported", msg->header.request);
	}
	if (msg->n_fds < spec->fds_min || msg->n_fds > spec->fds_max)
		return vhost_complain(dev, -EINVAL, "%u descriptors, not %u to %u", msg->n_fds,
		    spec->fds_min, spec->fds_max);
	return spec->handler(dev, msg);
}

static int handle_message(struct vhost_session *session)
{
	struct vhost_device *dev = session->dev;
	struct vhost_message *msg = &session->msg;
	const struct vhost_message_spec *spec = vhost_message_find(msg->header.request);
	bool need_reply = msg->header.flags & VHOST_NEED_REPLY;
	bool own_reply = served(dev, spec) && spec->reply == VHOST_REPLY_OWN;
	int error;

	log_debug("%s: %s (%u), %u bytes, %u descriptors", dev->name, spec ? spec->name : "unknown",
	    msg->header.request, msg->header.size, msg->n_fds);
	error = dispatch(dev, spec, msg);
	vhost_message_close_fds(dev, msg);
	if (own_reply || msg->replies)
		error = error ? error : send_reply(session);
	/*
	 * This is checked after the message was handled, because this message may negotiate
	 * REPLY_ACK.
	 */
	else if (need_reply && VHOST_PROTOCOL_HAS(dev->state.protocol_features, REPLY_ACK))
		error = send_ack(session, error == 0);
	else
		error = 0;
	if (msg->close_reply_fd)
		close(msg->reply_fd);
	return error;
}

/* The last message has disturbed workers n times. */
static void count_disturbances(struct vhost_session *session, unsigned n)
{
	struct vhost_device *dev = session->dev;
	uint64_t now = clock_ns();

	rate_add(&dev->rate, n, now);
	session->rests = rate_exceeded(&dev->rate, now);
	if (!session->rests)
		return;
	if (!session->rested)
		vhost_tell(dev, LOG_WARN,
		    "the front-end changes its rings more than %u times a second, or announces "
		    "more than %u addresses: its messages wait",
		    RATE_PER_S, RATE_PER_S / RATE_ANNOUNCEMENT);
	session->rested = true;
	dev->holds++;
}

/* Must the front-end still wait? Also while too many of its descriptors are being closed. */
static bool rests(struct vhost_session *session)
{
	if (vhost_fd_flooded(session->dev))
		return true;
	if (UNLIKELY(session->rests))
		session->rests = rate_exceeded(&session->dev->rate, clock_ns());
	return session->rests;
}

/*
 * Has the front-end closed its socket? Messages that have not been read do not matter then: the
 * device will be reset.
 */
static bool has_hung_up(const struct vhost_session *session)
{
	struct pollfd look = {.fd = session->fd};

	return poll(&look, 1, 0) == 1 && look.revents & POLLHUP; /* syscalls: poll */
}

/* Messages that map or unmap wait while too many mappings of the port are being unmapped. */
static bool waits_for_unmapping(const struct vhost_session *session)
{
	switch (session->msg.header.request) {
	case VHOST_USER_SET_MEM_TABLE:
	case VHOST_USER_ADD_MEM_REG:
	case VHOST_USER_REM_MEM_REG:
	case VHOST_USER_SET_LOG_BASE:
	case VHOST_USER_GET_INFLIGHT_FD:
	case VHOST_USER_SET_INFLIGHT_FD:
		return vhost_mapping_flooded(session->dev);
	default:
		return false;
	}
}

int session_receive(struct vhost_session *session)
{
	int64_t end = clock_ns() + CALL_NS;

	for (unsigned i = 0; i < MESSAGES_PER_CALL && (i == 0 || clock_ns() < end); i++) {
		uint64_t before = session->dev->disturbances;
		int error;

		if (rests(session))
			return has_hung_up(session) ? -EPIPE : SESSION_RESTS;
		error = receive_message(session);
		if (error <= 0)
			return error;
		session->spoken = true;
		if (vhost_transfer_delays(session->dev, session->msg.header.request))
			return SESSION_RESTS; /* it stays in session->msg until then */
		if (waits_for_unmapping(session)) {
			session->dev->holds += !session->held;
			session->held = true;
			return has_hung_up(session) ? -EPIPE : SESSION_RESTS;
		}
		session->held = false;
		error = handle_message(session);
		if (session->dev->disturbances != before)
			count_disturbances(session, session->dev->disturbances - before);
		session->got = 0;
		session->dev->handling = NULL;
		memset(&session->msg, 0, sizeof(session->msg));
		if (error)
			return error;
	}
	return 0;
}

bool session_has_spoken(const struct vhost_session *session)
{
	return session->spoken;
}

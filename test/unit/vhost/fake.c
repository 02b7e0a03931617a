/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/errand.h"
#include "base/log.h"
#include "base/nudge.h"
#include "vhost/call.h"

#define FILE_NAME "vhost-test"

static unsigned fds_before;

static void check_ring(const struct vhost_device *dev, unsigned i)
{
	const struct vhost_vring *ring = dev->vring[i];

	assert_true(ring && ring->active);
	/* This reads the ring, which must be mapped. */
	vring_has_avail(&ring->ring);
	if (!dev->iommu)
		assert_ptr_equal(ring->ring.memory, dev->memory);
}

static bool uses_any(const struct fake *f)
{
	for (unsigned i = 0; i < FAKE_RINGS; i++) {
		if (f->uses[i])
			return true;
	}
	return false;
}

/* Check the rings that the device uses: they must be usable until it stops using them. */
static void check_rings_in_use(const struct fake *f)
{
	for (unsigned i = 0; i < FAKE_RINGS; i++) {
		if (f->uses[i])
			check_ring(f->dev, i);
	}
}

static void fake_pause(struct vhost_device *dev)
{
	struct fake *f = dev->opaque;

	assert_true(f->running);
	check_rings_in_use(f);
	memset(f->uses, 0, sizeof(f->uses));
	f->running = false;
	f->pauses++;
}

static void fake_pause_ring(struct vhost_device *dev, unsigned index)
{
	struct fake *f = dev->opaque;

	assert_true(f->uses[index]);
	check_rings_in_use(f);
	f->uses[index] = false;
	f->running = uses_any(f);
	f->ring_pauses++;
}

static void fake_resume(struct vhost_device *dev)
{
	struct fake *f = dev->opaque;

	if (!dev->type->pause_ring)
		assert_false(f->running);
	assert_true(vhost_device_active(dev));
	check_rings_in_use(f);
	for (unsigned i = 0; i < dev->n_vrings; i++) {
		struct vhost_vring *ring = dev->vring[i];

		if (!ring || !ring->active)
			continue;
		check_ring(dev, i);
		assert_int_equal(ring->enabled, dev->state.vring[i].enabled);
		assert_true(ring->in_use);
		f->uses[i] = true;
	}
	f->running = true;
	f->resumes++;
	f->uncommitted = true;
}

static void fake_commit(struct vhost_device *dev)
{
	struct fake *f = dev->opaque;

	f->uncommitted = false;
}

/* The eventfd before this one must still be open, because a worker may be writing to it. */
static void fake_set_call(struct vhost_device *dev, unsigned index)
{
	struct fake *f = dev->opaque;

	assert_true(f->uses[index]);
	assert_int_not_equal(dev->vring[index]->call_fd, f->last_call);
	if (f->last_call >= 0)
		assert_true(fcntl(f->last_call, F_GETFD) >= 0);
	f->last_call = dev->vring[index]->call_fd;
	f->calls_set++;
}

static enum vring_direction fake_ring_direction(const struct vhost_device *dev, unsigned index)
{
	(void)dev;
	return index % 2 ? VRING_TRANSMIT : VRING_RECEIVE;
}

static int fake_set_mtu(struct vhost_device *dev, uint16_t mtu)
{
	struct fake *f = dev->opaque;

	if (mtu == 1000)
		return -EINVAL;
	f->mtu = mtu;
	usleep(f->delay_us);
	return 0;
}

static void fake_get_config(struct vhost_device *dev, uint8_t *space)
{
	struct fake *f = dev->opaque;

	memcpy(space, f->config, sizeof(f->config));
}

static int fake_set_config(
    struct vhost_device *dev, uint32_t offset, const uint8_t *bytes, uint32_t size)
{
	struct fake *f = dev->opaque;

	memcpy(f->config + offset, bytes, size);
	return 0;
}

static void fake_synchronize(struct vhost_device *dev)
{
	struct fake *f = dev->opaque;

	assert_true(f->running);
	f->synchronizes++;
}

static int fake_announce(struct vhost_device *dev, const uint8_t mac[6])
{
	struct fake *f = dev->opaque;

	if (mac[0] & 1)
		return -EINVAL;
	memcpy(f->announced, mac, 6);
	return 0;
}

static ssize_t fake_save(struct vhost_device *dev, void *bytes, size_t room)
{
	struct fake *f = dev->opaque;

	assert_true(f->state_len <= room);
	memcpy(bytes, f->state, f->state_len);
	return f->state_len;
}

static int fake_load(struct vhost_device *dev, const void *bytes, size_t len)
{
	struct fake *f = dev->opaque;

	if (len > sizeof(f->state) || (len && ((const uint8_t *)bytes)[0] == 0xff))
		return -EINVAL;
	memcpy(f->state, bytes, len);
	f->state_len = len;
	return 0;
}

#define FAKE_COMMON \
	.name = "fake", .features = FAKE_FEATURES, .protocol_features = ~UINT64_C(0), \
	.n_rings = FAKE_RINGS, .pause = fake_pause, .resume = fake_resume, \
	.synchronize = fake_synchronize, .ring_direction = fake_ring_direction, \
	.set_mtu = fake_set_mtu, .config_size = FAKE_CONFIG, .get_config = fake_get_config, \
	.set_config = fake_set_config, .announce = fake_announce, .save = fake_save, \
	.load = fake_load

const struct vhost_device_type fake_type = {
    FAKE_COMMON,
    .pause_ring = fake_pause_ring,
    .commit = fake_commit,
    .set_call = fake_set_call,
};

const struct vhost_device_type fake_simple_type = {FAKE_COMMON};

static void create(struct fake *f, const struct vhost_device_type *type)
{
	size_t size = (sizeof(*f->dev) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;

	*f = (struct fake){.peer = -1, .last_call = -1};
	f->dev = aligned_alloc(CACHE_LINE, size);
	assert_non_null(f->dev);
	memset(f->dev, 0, size);
	assert_int_equal(vhost_device_init(f->dev, type, "fake", f), 0);
	f->dev->offer_postcopy = true;
	f->dev->offer_doorbells = true;
	f->dev->offer_inband = true;
}

void fake_create(struct fake *f)
{
	create(f, &fake_type);
}

void fake_connect(struct fake *f)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	f->peer = pair[0];
	f->own = pair[1];
	assert_int_equal(session_create(pair[1], f->dev, &f->session), 0);
}

void fake_disconnect(struct fake *f)
{
	session_destroy(f->session);
	f->session = NULL;
	if (f->peer >= 0)
		close(f->peer);
	f->peer = -1;
	vhost_device_reset(f->dev);
	assert_false(f->running);
}

void fake_destroy(struct fake *f)
{
	fake_disconnect(f);
	vhost_calls_end(f->dev);
	free(f->dev);
}

/* Wait for errands, because the test checks what they have done. */
static void wait_for_calls(unsigned ms)
{
	for (unsigned i = 0; vhost_calls_pending() && i < ms; i++) {
		vhost_calls_service();
		usleep(1000);
	}
	vhost_calls_service();
}

static int setup(void **state, const struct vhost_device_type *type)
{
	struct fake *f = malloc(sizeof(*f));

	log_set_level(LOG_ERROR);
	nudge_init();
	fds_before = count_fds();
	create(f, type);
	fake_connect(f);
	*state = f;
	return 0;
}

int fake_setup(void **state)
{
	return setup(state, &fake_type);
}

int fake_setup_simple(void **state)
{
	return setup(state, &fake_simple_type);
}

void fake_log_begin(struct fake_log *log)
{
	log->file = memory_file(0);
	log->error_output = dup(STDERR_FILENO);
	assert_true(log->error_output >= 0 && dup2(log->file, STDERR_FILENO) >= 0);
	log_set_level(LOG_WARN);
}

unsigned fake_log_end(const struct fake_log *log, const char *text)
{
	static char lines[65536];
	unsigned times = 0;
	ssize_t len;

	log_set_level(LOG_ERROR);
	dup2(log->error_output, STDERR_FILENO);
	close(log->error_output);
	len = pread(log->file, lines, sizeof(lines) - 1, 0);
	assert_in_range(len, 0, sizeof(lines) - 1);
	lines[len] = '\0';
	close(log->file);
	for (const char *at = lines; (at = strstr(at, text)); at++)
		times++;
	return times;
}

int fake_teardown(void **state)
{
	fake_destroy(*state);
	free(*state);
	wait_for_calls(5000);
	assert_int_equal(count_fds(), fds_before);
	assert_int_equal(count_mapped(), 0);
	return 0;
}

void fake_send(struct fake *f, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
    const int fds[], unsigned n_fds)
{
	struct vhost_header header = {request, VHOST_VERSION | flags, size};
	struct iovec iov[2] = {
	    {&header, sizeof(header)},
	    {(void *)(uintptr_t)payload, size},
	};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = "";
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};

	if (n_fds) {
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(f->peer, &mh, MSG_NOSIGNAL), sizeof(header) + size);
}

int fake_run(struct fake *f)
{
	int error = 0;
	ssize_t pending;

	do {
		char byte;

		error = session_receive(f->session);
		pending = recv(f->own, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	} while (!error && pending > 0);
	wait_for_calls(100);
	return error;
}

bool fake_reply(struct fake *f, struct vhost_header *ret_header, union vhost_payload *ret_payload)
{
	ssize_t n = recv(f->peer, ret_header, sizeof(*ret_header), MSG_DONTWAIT);

	memset(ret_payload, 0, sizeof(*ret_payload));
	if (n <= 0)
		return false;
	assert_int_equal(n, sizeof(*ret_header));
	/* When the answer is sent, the change must have been committed. */
	assert_false(f->uncommitted && f->dev->type->commit);
	assert_true(ret_header->size <= sizeof(*ret_payload));
	if (ret_header->size) {
		n = recv(f->peer, ret_payload, ret_header->size, MSG_DONTWAIT);
		assert_int_equal(n, ret_header->size);
	}
	return true;
}

static void take_reply(struct fake *f, uint32_t request, union vhost_payload *ret_payload)
{
	struct vhost_header header, more;
	union vhost_payload payload;

	assert_true(fake_reply(f, &header, ret_payload));
	assert_int_equal(header.request, request);
	assert_int_equal(header.flags, 0x5);
	assert_int_equal(header.size, 8);
	assert_false(fake_reply(f, &more, &payload));
}

uint64_t fake_ask(struct fake *f, uint32_t request, const void *payload, uint32_t size,
    const int fds[], unsigned n_fds)
{
	union vhost_payload reply;

	fake_send(f, request, VHOST_NEED_REPLY, payload, size, fds, n_fds);
	assert_int_equal(fake_run(f), LIVES);
	take_reply(f, request, &reply);
	assert_true(reply.u64 <= 1);
	return reply.u64;
}

uint64_t fake_get(struct fake *f, uint32_t request)
{
	union vhost_payload reply;

	fake_send(f, request, 0, NULL, 0, NULL, 0);
	assert_int_equal(fake_run(f), LIVES);
	take_reply(f, request, &reply);
	return reply.u64;
}

uint64_t fake_u64(struct fake *f, uint32_t request, uint64_t value)
{
	return fake_ask(f, request, &value, sizeof(value), NULL, 0);
}

uint64_t fake_vring(struct fake *f, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_wire_vring_state state = {index, num};

	return fake_ask(f, request, &state, sizeof(state), NULL, 0);
}

uint64_t fake_notifier(struct fake *f, uint32_t request, uint64_t value, int fd)
{
	return fake_ask(f, request, &value, sizeof(value), &fd, fd >= 0);
}

uint64_t fake_addr(struct fake *f, uint32_t index, uint64_t desc, uint64_t avail, uint64_t used)
{
	struct vhost_wire_vring_addr addr = {
	    .index = index, .desc = desc, .avail = avail, .used = used};

	return fake_ask(f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

uint64_t fake_table(
    struct fake *f, const struct vhost_wire_region regions[], const int fds[], unsigned n)
{
	struct vhost_wire_mem_table table = {.n_regions = n};

	if (n)
		memcpy(table.region, regions, n * sizeof(regions[0]));
	return fake_ask(f, VHOST_USER_SET_MEM_TABLE, &table,
	    offsetof(struct vhost_wire_mem_table, region) + n * sizeof(regions[0]), fds, n);
}

uint64_t fake_region(struct fake *f, uint32_t request, struct vhost_wire_region region, int fd)
{
	struct vhost_wire_mem_region mem = {.region = region};

	return fake_ask(f, request, &mem, sizeof(mem), &fd, fd >= 0);
}

uint32_t fake_get_base(struct fake *f, uint32_t index)
{
	struct vhost_wire_vring_state state = {index, 0};
	union vhost_payload reply;

	fake_send(f, VHOST_USER_GET_VRING_BASE, 0, &state, sizeof(state), NULL, 0);
	assert_int_equal(fake_run(f), LIVES);
	take_reply(f, VHOST_USER_GET_VRING_BASE, &reply);
	assert_int_equal(reply.state.index, index);
	return reply.state.num;
}

void fake_negotiate(struct fake *f)
{
	uint64_t offered = fake_get(f, VHOST_USER_GET_PROTOCOL_FEATURES);

	/* Most tests mean "no notifications" when they pass no descriptor. */
	offered &= ~VHOST_PROTOCOL_BIT(INBAND_NOTIFICATIONS);
	assert_int_equal(fake_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, offered), 0);
}

int memory_file(size_t size)
{
	int fd = memfd_create(FILE_NAME, MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

int event_file(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

unsigned count_fds(void)
{
	unsigned n = 0;
	DIR *dir;

	for (unsigned i = 0; errand_pending() && i < 5000; i++)
		usleep(1000);
	dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

size_t count_mapped(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to;
	size_t bytes = 0;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (strstr(line, "memfd:" FILE_NAME) && sscanf(line, "%lx-%lx", &from, &to) == 2)
			bytes += to - from;
	}
	fclose(maps);
	return bytes;
}

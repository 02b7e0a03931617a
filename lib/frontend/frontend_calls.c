/* SPDX-License-Identifier: BSD-3-Clause */
/* The messages of a correct front-end. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/util.h"

#include "frontend/frontend.h"

int frontend_call(struct frontend *fe, uint32_t id, const void *payload, uint32_t size,
    const int *fds, unsigned n_fds)
{
	bool answered = VHOST_PROTOCOL_HAS(fe->protocol_features, REPLY_ACK);
	uint32_t flags = VHOST_VERSION | (answered ? VHOST_NEED_REPLY : 0);
	uint64_t failed = 0;
	int err = frontend_send(fe, id, flags, payload, size, fds, n_fds);

	if (err || !answered)
		return err;
	err = frontend_receive_reply(fe, id, &failed, sizeof(failed), NULL);
	if (err < 0)
		return err;
	if (err != sizeof(failed))
		return -EPROTO;
	return failed ? -EREMOTEIO : 0;
}

/* A request that has a reply of its own. */
static int ask(struct frontend *fe, uint32_t id, const void *payload, uint32_t size, void *reply,
    uint32_t reply_size)
{
	int err = frontend_send(fe, id, VHOST_VERSION, payload, size, NULL, 0);

	if (err)
		return err;
	err = frontend_receive_reply(fe, id, reply, reply_size, NULL);
	if (err < 0)
		return err;
	return err == (int)reply_size ? 0 : -EPROTO;
}

int frontend_get_u64(struct frontend *fe, uint32_t id, uint64_t *ret_value)
{
	return ask(fe, id, NULL, 0, ret_value, sizeof(*ret_value));
}

int frontend_set_u64(struct frontend *fe, uint32_t id, uint64_t value)
{
	return frontend_call(fe, id, &value, sizeof(value), NULL, 0);
}

int frontend_sync(struct frontend *fe)
{
	uint64_t ignored;

	return frontend_get_u64(fe, VHOST_USER_GET_FEATURES, &ignored);
}

static int negotiate_protocol(struct frontend *fe, uint64_t wanted)
{
	uint64_t offered;
	int err = frontend_get_u64(fe, VHOST_USER_GET_PROTOCOL_FEATURES, &offered);

	if (err)
		return err;
	/* REPLY_ACK takes effect with the next message. */
	err = frontend_set_u64(fe, VHOST_USER_SET_PROTOCOL_FEATURES, offered & wanted);
	fe->protocol_features = offered & wanted;
	return err;
}

int frontend_negotiate(struct frontend *fe, uint64_t features, uint64_t protocol_features)
{
	int err;

	fe->protocol_features = 0;
	err = frontend_get_u64(fe, VHOST_USER_GET_FEATURES, &fe->features);
	if (err)
		return err;
	fe->features &= features;
	if (VIRTIO_HAS(fe->features, VHOST_USER_F_PROTOCOL_FEATURES)) {
		err = negotiate_protocol(fe, protocol_features);
		if (err)
			return err;
	}
	err = frontend_call(fe, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0);
	if (err)
		return err;
	return frontend_set_u64(fe, VHOST_USER_SET_FEATURES, fe->features);
}

static struct vhost_wire_region wire_region(
    const struct frontend *fe, const struct frontend_region *r)
{
	return (struct vhost_wire_region){.gpa = r->gpa + fe->iommu_shift,
	    .size = r->size,
	    .uaddr = r->uaddr,
	    .mmap_offset = r->mmap_offset};
}

int frontend_set_mem_table(struct frontend *fe)
{
	struct vhost_wire_mem_table table = {0};
	int fds[VHOST_TABLE_REGIONS_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < fe->n_regions && n < VHOST_TABLE_REGIONS_MAX; i++) {
		if (fe->region[i].size == 0)
			continue;
		table.region[n] = wire_region(fe, &fe->region[i]);
		fds[n++] = fe->region[i].fd;
	}
	table.n_regions = n;
	return frontend_call(
	    fe, VHOST_USER_SET_MEM_TABLE, &table, 8 + n * sizeof(struct vhost_wire_region), fds, n);
}

int frontend_add_mem_reg(struct frontend *fe, unsigned index)
{
	struct vhost_wire_mem_region m = {.region = wire_region(fe, &fe->region[index])};

	return frontend_call(fe, VHOST_USER_ADD_MEM_REG, &m, sizeof(m), &fe->region[index].fd, 1);
}

int frontend_rem_mem_reg(struct frontend *fe, unsigned index)
{
	struct vhost_wire_mem_region m = {.region = wire_region(fe, &fe->region[index])};

	return frontend_call(fe, VHOST_USER_REM_MEM_REG, &m, sizeof(m), NULL, 0);
}

static int set_vring_state(struct frontend *fe, uint32_t id, unsigned ring, uint32_t num)
{
	struct vhost_wire_vring_state s = {.index = ring, .num = num};

	return frontend_call(fe, id, &s, sizeof(s), NULL, 0);
}

int frontend_set_vring_num(struct frontend *fe, unsigned ring, unsigned num)
{
	return set_vring_state(fe, VHOST_USER_SET_VRING_NUM, ring, num);
}

int frontend_set_vring_base(struct frontend *fe, unsigned ring, uint32_t base)
{
	return set_vring_state(fe, VHOST_USER_SET_VRING_BASE, ring, base);
}

int frontend_set_vring_enable(struct frontend *fe, unsigned ring, bool enable)
{
	return set_vring_state(fe, VHOST_USER_SET_VRING_ENABLE, ring, enable);
}

int frontend_get_vring_base(struct frontend *fe, unsigned ring, uint32_t *ret_base)
{
	struct vhost_wire_vring_state s = {.index = ring}, reply;
	int err = ask(fe, VHOST_USER_GET_VRING_BASE, &s, sizeof(s), &reply, sizeof(reply));

	if (err)
		return err;
	*ret_base = reply.num;
	return reply.index == ring ? 0 : -EPROTO;
}

int frontend_set_vring_log(struct frontend *fe, unsigned ring, uint64_t desc, uint64_t driver,
    uint64_t device, bool log, uint64_t log_gpa)
{
	struct vhost_wire_vring_addr a = {
	    .index = ring,
	    .flags = log ? VHOST_WIRE_VRING_LOG : 0,
	    .desc = desc,
	    .avail = driver,
	    .used = device,
	    .log = log_gpa,
	};

	return frontend_call(fe, VHOST_USER_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
}

int frontend_set_vring_addr(
    struct frontend *fe, unsigned ring, uint64_t desc, uint64_t driver, uint64_t device)
{
	return frontend_set_vring_log(fe, ring, desc, driver, device, false, 0);
}

int frontend_set_vring_fd(struct frontend *fe, uint32_t id, unsigned ring, int fd)
{
	uint64_t value = ring | (fd < 0 ? VHOST_VRING_NOFD : 0);

	return frontend_call(fe, id, &value, sizeof(value), &fd, fd >= 0);
}

/* The contents of the reply are not defined. */
int frontend_set_log_base(struct frontend *fe, uint64_t size, uint64_t offset, int fd)
{
	struct vhost_wire_log log = {.size = size, .offset = offset};
	uint64_t ignored;
	int err =
	    frontend_send(fe, VHOST_USER_SET_LOG_BASE, VHOST_VERSION, &log, sizeof(log), &fd, 1);

	if (err)
		return err;
	err = frontend_receive_reply(fe, VHOST_USER_SET_LOG_BASE, &ignored, sizeof(ignored), NULL);
	return MIN(err, 0);
}

int frontend_send_rarp(struct frontend *fe, const uint8_t mac[6])
{
	uint64_t value = 0;

	memcpy(&value, mac, 6);
	return frontend_set_u64(fe, VHOST_USER_SEND_RARP, value);
}

int frontend_set_device_state_fd(struct frontend *fe, bool load, int fd)
{
	struct vhost_wire_device_state wire = {
	    .direction = load ? VHOST_DEVICE_STATE_LOAD : VHOST_DEVICE_STATE_SAVE};
	uint64_t answer = 0;
	int err = frontend_send(
	    fe, VHOST_USER_SET_DEVICE_STATE_FD, VHOST_VERSION, &wire, sizeof(wire), &fd, 1);

	if (!err)
		err = frontend_receive_reply(
		    fe, VHOST_USER_SET_DEVICE_STATE_FD, &answer, sizeof(answer), NULL);
	if (err < 0)
		return err;
	if (err != sizeof(answer))
		return -EPROTO;
	return answer & 0xff ? -EREMOTEIO : 0;
}

int frontend_check_device_state(struct frontend *fe)
{
	uint64_t failed;
	int err = frontend_get_u64(fe, VHOST_USER_CHECK_DEVICE_STATE, &failed);

	return !err && failed ? -EREMOTEIO : err;
}

int frontend_get_config(struct frontend *fe, uint32_t offset, void *bytes, uint32_t size)
{
	struct vhost_wire_config wire = {.offset = offset, .size = size};
	uint32_t len = offsetof(struct vhost_wire_config, bytes) + size;
	int err;

	if (size > sizeof(wire.bytes))
		return -EINVAL;
	err = ask(fe, VHOST_USER_GET_CONFIG, &wire, len, &wire, len);
	if (!err)
		memcpy(bytes, wire.bytes, size);
	return err;
}

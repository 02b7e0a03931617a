/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/net_state.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "bridge/fdb.h"
#include "datapath/policy.h"
#include "net/net_data.h"
#include "worker/worker.h"

#define MAGIC   0x4e777376u
#define VERSION 1
#define MAC_LEN 6

struct header {
	uint32_t magic;
	uint16_t version;
	uint16_t zero;
	uint32_t count;
};

_Static_assert(sizeof(struct header) == 12, "format");

struct collection {
	uint16_t port, domain;
	uint8_t *at;
	uint32_t count, max;
};

static void collect(const struct fdb_entry *entry, void *arg)
{
	struct collection *c = arg;
	uint64_t bytes = htole64(entry->mac);

	if (entry->port != c->port || entry->domain != c->domain || entry->is_static ||
	    c->count == c->max)
		return;
	memcpy(c->at + (size_t)c->count * MAC_LEN, &bytes, MAC_LEN);
	c->count++;
}

ssize_t net_state_save(struct vhost_device *dev, void *bytes, size_t room)
{
	const struct net_device *nd = dev->opaque;
	struct header header = {.magic = htole32(MAGIC), .version = htole16(VERSION)};
	struct collection c = {
	    .port = nd->index,
	    .at = (uint8_t *)bytes + sizeof(header),
	};
	const struct fdb *fdb;

	if (room < sizeof(header))
		return -ENOSPC;
	c.max = (room - sizeof(header)) / MAC_LEN;
	fdb = nd->host->table(nd, &c.domain);
	fdb_foreach(fdb, collect, &c);
	header.count = htole32(c.count);
	memcpy(bytes, &header, sizeof(header));
	return sizeof(header) + (size_t)c.count * MAC_LEN;
}

static bool state_valid(const uint8_t *bytes, size_t len)
{
	struct header header;

	if (len < sizeof(header))
		return false;
	memcpy(&header, bytes, sizeof(header));
	if (le32toh(header.magic) != MAGIC || le16toh(header.version) != VERSION || header.zero ||
	    len - sizeof(header) != (uint64_t)le32toh(header.count) * MAC_LEN)
		return false;
	for (size_t at = sizeof(header); at < len; at += MAC_LEN) {
		uint64_t mac = mac_load(bytes + at);

		if (mac == 0 || mac_is_group(mac))
			return false;
	}
	return true;
}

/*
 * Front-ends are not trusted. So an address is learned only if the port may learn it from a frame
 * without a tag. The address table limits learning in the same way as for frames.
 */
int net_state_load(struct vhost_device *dev, const void *bytes, size_t len)
{
	const struct net_device *nd = dev->opaque;
	struct port_policy policy;
	uint16_t domain;
	struct fdb *fdb = nd->host->table(nd, &domain);

	if (!state_valid(bytes, len))
		return -EINVAL;
	if (domain == VLAN_NONE)
		return 0; /* the port takes no frames without a tag */
	nd->host->policy(nd, &policy);
	for (size_t at = sizeof(struct header); at < len; at += MAC_LEN) {
		uint64_t address = fdb_address(mac_load((const uint8_t *)bytes + at), domain);

		if (policy_may_learn(&policy, fdb, nd->index, address))
			fdb_learn(fdb, address, nd->index, workers_clock());
	}
	return 0;
}

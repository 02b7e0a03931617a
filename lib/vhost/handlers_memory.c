/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about guest memory: the table as a whole, or slot by slot. */
#include <errno.h>

#include "vhost/handlers.h"
#include "vhost/memory.h"
#include "vhost/postcopy.h"
#include "vhost/ring.h"

static struct vhost_region_state region_from_wire(const struct vhost_wire_region *wire)
{
	return (struct vhost_region_state){
	    .gpa = wire->gpa,
	    .size = wire->size,
	    .uaddr = wire->uaddr,
	    .mmap_offset = wire->mmap_offset,
	};
}

/* The address of this region in our process; 0: the device has no such region. */
static uint64_t address_here(const struct vhost_device *dev, const struct vhost_wire_region *wire)
{
	for (unsigned i = 0; i < dev->state.n_regions; i++) {
		if (dev->state.region[i].gpa == wire->gpa)
			return (uintptr_t)vhost_memory_host(dev, i);
	}
	return 0;
}

/*
 * In a postcopy migration the front-end must know at which addresses the switch has mapped the
 * memory, because it fetches missing pages for these addresses.
 */
static void tell_addresses(struct vhost_device *dev, struct vhost_message *msg,
    struct vhost_wire_region wire[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		wire[i].uaddr = address_here(dev, &wire[i]);
	msg->replies = true;
}

/*
 * Does the message say that the front-end has received the addresses? Such a message contains only
 * a 0.
 */
static bool is_postcopy_ready(const struct vhost_device *dev, const struct vhost_message *msg)
{
	return vhost_postcopy_listening(dev) && msg->header.size == sizeof(uint64_t) &&
	    msg->payload.u64 == 0 && msg->n_fds == 0;
}

int handle_set_mem_table(struct vhost_device *dev, struct vhost_message *msg)
{
	struct vhost_wire_mem_table *table = &msg->payload.table;
	struct vhost_region_state regions[VHOST_TABLE_REGIONS_MAX];
	uint32_t n = table->n_regions;
	int error;

	if (is_postcopy_ready(dev, msg))
		return vhost_postcopy_register(dev);
	if (n > VHOST_TABLE_REGIONS_MAX || n != msg->n_fds ||
	    msg->header.size < offsetof(struct vhost_wire_mem_table, region[n]))
		return vhost_complain(dev, -EINVAL,
		    "%u regions do not fit %u bytes and %u descriptors", n, msg->header.size,
		    msg->n_fds);
	for (unsigned i = 0; i < n; i++)
		regions[i] = region_from_wire(&table->region[i]);
	error = vhost_memory_replace(dev, regions, msg->fd, n);
	if (!error && vhost_postcopy_listening(dev))
		tell_addresses(dev, msg, table->region, n);
	return error;
}

int handle_get_max_mem_slots(struct vhost_device *dev, struct vhost_message *msg)
{
	(void)dev;
	msg->payload.u64 = VHOST_MEM_SLOTS_MAX;
	msg->header.size = sizeof(msg->payload.u64);
	return 0;
}

int handle_add_mem_reg(struct vhost_device *dev, struct vhost_message *msg)
{
	struct vhost_region_state region;
	int error;

	if (is_postcopy_ready(dev, msg))
		return vhost_postcopy_register(dev);
	if (msg->n_fds != 1 || msg->header.size < VHOST_WIRE_MEM_REGION_SHORT)
		return vhost_complain(dev, -EINVAL,
		    "one region does not fit %u bytes and %u descriptors", msg->header.size,
		    msg->n_fds);
	region = region_from_wire(&msg->payload.mem.region);
	error = vhost_memory_add(dev, &region, msg->fd[0]);
	if (!error && vhost_postcopy_listening(dev))
		tell_addresses(dev, msg, &msg->payload.mem.region, 1);
	return error;
}

/* Old front-ends send a descriptor with this message. It is closed with the message. */
int handle_rem_mem_reg(struct vhost_device *dev, struct vhost_message *msg)
{
	struct vhost_region_state region = region_from_wire(&msg->payload.mem.region);

	return vhost_memory_remove(dev, &region);
}

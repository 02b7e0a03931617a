/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about guest memory: the table as a whole, or slot by slot. */
#include <errno.h>

#include "vhost/handlers.h"
#include "vhost/memory.h"
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

int handle_set_mem_table(struct vhost_device *dev, struct vhost_message *msg)
{
	const struct vhost_wire_mem_table *table = &msg->payload.table;
	struct vhost_region_state regions[VHOST_TABLE_REGIONS_MAX];
	uint32_t n = table->n_regions;

	if (n > VHOST_TABLE_REGIONS_MAX || n != msg->n_fds ||
	    msg->header.size < offsetof(struct vhost_wire_mem_table, region[n]))
		return vhost_complain(dev, -EINVAL, "%u regions in %u bytes with %u descriptors", n,
		    msg->header.size, msg->n_fds);
	for (unsigned i = 0; i < n; i++)
		regions[i] = region_from_wire(&table->region[i]);
	return vhost_memory_replace(dev, regions, msg->fd, n);
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
	struct vhost_region_state region = region_from_wire(&msg->payload.mem.region);

	return vhost_memory_add(dev, &region, msg->fd[0]);
}

/* A descriptor that old front-ends send along is closed with the message. */
int handle_rem_mem_reg(struct vhost_device *dev, struct vhost_message *msg)
{
	struct vhost_region_state region = region_from_wire(&msg->payload.mem.region);

	return vhost_memory_remove(dev, &region);
}

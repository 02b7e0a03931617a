/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/vlan.h"

static bool vlan_valid(uint16_t vlan)
{
	return vlan >= VLAN_MIN && vlan <= VLAN_MAX;
}

static bool tpid_valid(uint16_t tpid)
{
	return tpid == 0 || ethertype_is_tag(tpid);
}

static bool trunk_valid(const struct vlan_config *c)
{
	if (vlan_set_has(&c->trunk, 0) || vlan_set_has(&c->trunk, VLAN_MAX + 1))
		return false;
	return tpid_valid(c->tpid) && (c->vlan == 0 || vlan_valid(c->vlan));
}

bool vlan_config_valid(const struct vlan_config *c)
{
	if (!c->set)
		return true;
	switch (c->mode) {
	case VLAN_TRUNK:
		return trunk_valid(c);
	case VLAN_ACCESS:
	case VLAN_QINQ:
		return vlan_valid(c->vlan) && c->tpid == 0;
	default:
		return false;
	}
}

/* A port without a setting: tags are kept, and untagged frames stay untagged. */
static void init_default(struct vlan_port *port)
{
	*port = (struct vlan_port){.mode = VLAN_TRUNK};
	for (uint16_t vlan = 0; vlan <= VLAN_MAX; vlan++)
		vlan_set_add(&port->member, vlan);
}

void vlan_port_init(struct vlan_port *port, const struct vlan_config *c)
{
	if (!c->set) {
		init_default(port);
	} else {
		*port = (struct vlan_port){
		    .mode = c->mode, .untagged = c->vlan ? c->vlan : VLAN_NONE, .tpid = c->tpid};
		if (c->mode == VLAN_TRUNK)
			port->member = c->trunk;
		vlan_set_add(&port->member, c->vlan ? c->vlan : VLAN_NONE);
	}
	port->all = true;
	for (uint16_t vlan = VLAN_MIN; vlan <= VLAN_MAX; vlan++)
		port->all &= vlan_member(port, vlan);
}

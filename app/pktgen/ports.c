/* SPDX-License-Identifier: BSD-3-Clause */
#include "ports.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "device.h"
#include "facts.h"
#include "traffic/vport.h"

static uint64_t features(const struct options *o)
{
	uint64_t wanted = 0;

	if (o->packed)
		wanted |= VIRTIO_BIT(F_RING_PACKED);
	if (o->in_order)
		wanted |= VIRTIO_BIT(F_IN_ORDER);
	if (o->mergeable)
		wanted |= VIRTIO_BIT(NET_F_MRG_RXBUF);
	if (o->pairs > 1)
		wanted |= VIRTIO_BIT(NET_F_MQ) | VIRTIO_BIT(NET_F_CTRL_VQ);
	if (o->profile.gso)
		wanted |= VIRTIO_BIT(NET_F_HOST_TSO4) | VIRTIO_BIT(NET_F_GUEST_TSO4);
	if (profile_tcp(&o->profile))
		wanted |= VIRTIO_BIT(NET_F_CSUM);
	if (profile_tcp(&o->profile) && !o->no_guest_csum)
		wanted |= VIRTIO_BIT(NET_F_GUEST_CSUM);
	if (o->indirect)
		wanted |= VIRTIO_BIT(F_INDIRECT_DESC);
	if (o->calls)
		wanted |= VIRTIO_BIT(F_EVENT_IDX);
	return wanted;
}

static int create(
    const struct options *o, const char *path, uint32_t frame_max, struct vport **ret_vport)
{
	struct vport_config config = {
	    .n_pairs = o->pairs,
	    .ring_size = o->ring_size,
	    .frame_max = frame_max,
	    .buffer = o->buffer,
	    .features = features(o),
	    .chain = o->chain,
	    .indirect = o->indirect,
	    .calls = o->calls,
	    .huge = !o->no_huge,
	};
	int err = vport_create(&config, ret_vport);

	if (err == -ENOMEM && config.huge) {
		fprintf(stderr,
		    "vswitch-pktgen: not enough free huge pages for port %s; slower without\n",
		    path);
		config.huge = false;
		err = vport_create(&config, ret_vport);
	}
	if (err)
		fprintf(
		    stderr, "vswitch-pktgen: no memory for port %s: %s\n", path, error_text(-err));
	return err;
}

static void tell_missing(const struct vport *vp, const char *path)
{
	char names[256];

	facts_names(vp->config.features & ~vp->fe.features, names, sizeof(names));
	fprintf(stderr, "vswitch-pktgen: the back-end at %s does not offer %s\n", path, names);
}

/* A back-end with a connected front-end lets others wait, or refuses them at once. */
static const char *connect_fault(int err)
{
	switch (err) {
	case -ETIMEDOUT:
		return "it does not answer; likely the socket is busy: another guest is connected";
	case -EAGAIN:
	case -ECONNRESET:
		return "it closed the connection; likely the socket is busy: another guest is "
		       "connected";
	default:
		return error_text(-err);
	}
}

static int open_socket(
    const struct options *o, const char *path, uint32_t frame_max, struct tport **ret_port)
{
	struct vport *vp;
	int err = create(o, path, frame_max, &vp);

	if (err)
		return err;
	err = vport_connect(vp, path);
	if (err == -ENOTSUP)
		tell_missing(vp, path);
	else if (err)
		fprintf(stderr,
		    "vswitch-pktgen: cannot connect to a vhost-user back-end at %s: %s\n", path,
		    connect_fault(err));
	if (err)
		vport_destroy(vp);
	else
		*ret_port = &vp->tport;
	return err;
}

int port_open(
    const struct options *o, const char *spec, uint32_t frame_max, struct tport **ret_port)
{
	const struct device_config config = {
	    .n_pairs = o->pairs,
	    .ring_size = o->ring_size,
	    .frame_max = frame_max,
	    .segment = o->profile.gso != 0,
	};

	if (device_is_named(spec))
		return device_open(spec, &config, ret_port);
	return open_socket(o, spec, frame_max, ret_port);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about the device as a whole: features, ownership, status, limits. */
#include <errno.h>

#include "base/log.h"
#include "vhost/handlers.h"
#include "vhost/iommu.h"
#include "vhost/quiesce.h"
#include "vhost/ring.h"

/* Features that do not change the format of rings. */
#define FEATURES_ASIDE (VIRTIO_BIT(VHOST_F_LOG_ALL) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES))

#define INBAND_NEEDS (VHOST_PROTOCOL_BIT(BACKEND_REQ) | VHOST_PROTOCOL_BIT(REPLY_ACK))

static int answer(struct vhost_message *msg, uint64_t value)
{
	msg->payload.u64 = value;
	msg->header.size = sizeof(value);
	return 0;
}

static uint64_t features_offered(const struct vhost_device *dev)
{
	return (dev->type->features & ~dev->withheld) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES) |
	    VIRTIO_BIT(VHOST_F_LOG_ALL) | (dev->offer_iommu ? VIRTIO_BIT(F_ACCESS_PLATFORM) : 0);
}

static uint64_t protocol_features_offered(const struct vhost_device *dev)
{
	uint64_t served = dev->type->protocol_features & VHOST_PROTOCOL_FEATURES_SERVED;

	if (!dev->type->set_mtu)
		served &= ~VHOST_PROTOCOL_BIT(NET_MTU);
	if (!dev->offer_postcopy)
		served &= ~VHOST_PROTOCOL_BIT(PAGEFAULT);
	if (!dev->offer_inband)
		served &= ~VHOST_PROTOCOL_BIT(INBAND_NOTIFICATIONS);
	if (!dev->offer_doorbells)
		served &= ~VHOST_PROTOCOL_BIT(HOST_NOTIFIER);
	if (!dev->type->get_config)
		served &= ~VHOST_PROTOCOL_BIT(CONFIG);
	if (!dev->type->announce)
		served &= ~VHOST_PROTOCOL_BIT(RARP);
	if (!dev->type->save || !dev->type->load)
		served &= ~VHOST_PROTOCOL_BIT(DEVICE_STATE);
	return served | VHOST_PROTOCOL_BIT(LOG_SHMFD);
}

int handle_get_features(struct vhost_device *dev, struct vhost_message *msg)
{
	return answer(msg, features_offered(dev));
}

static void rings_enable(struct vhost_device *dev, bool enable)
{
	for (unsigned i = 0; i < dev->type->n_rings; i++)
		dev->state.vring[i].enabled = enable;
}

/*
 * Does SET_FEATURES enable the rings? It does if bit 30 is not set. But QEMU before 7.2 does not
 * set bit 30, and uses SET_VRING_ENABLE nevertheless. It also repeats SET_FEATURES on a running
 * device when a migration begins. This must not enable rings that it has disabled.
 */
static bool enables_rings(const struct vhost_device *dev, uint64_t features)
{
	bool legacy = !VIRTIO_HAS(features, VHOST_USER_F_PROTOCOL_FEATURES);
	bool was_legacy = dev->state.have_features &&
	    !VIRTIO_HAS(dev->state.features, VHOST_USER_F_PROTOCOL_FEATURES);

	return legacy && !(was_legacy && vhost_rings_started(dev));
}

int handle_set_features(struct vhost_device *dev, struct vhost_message *msg)
{
	uint64_t features = msg->payload.u64;
	uint64_t unknown = features & ~features_offered(dev);
	uint64_t changed = dev->state.features ^ features;
	int error;

	if (unknown)
		return vhost_complain(
		    dev, -EINVAL, "features 0x%llx were not offered", (unsigned long long)unknown);
	if (!dev->state.have_features || (changed & ~FEATURES_ASIDE))
		vhost_rings_change(dev);
	if (VIRTIO_HAS(changed, F_RING_PACKED))
		vhost_rings_forget_positions(dev);
	error = vhost_iommu_negotiate(dev, features);
	if (error) {
		vhost_device_settle(dev);
		return error;
	}
	if (enables_rings(dev, features))
		rings_enable(dev, true);
	dev->state.features = features;
	dev->state.have_features = true;
	vhost_device_settle(dev);
	return 0;
}

int handle_set_owner(struct vhost_device *dev, struct vhost_message *msg)
{
	(void)msg;
	dev->state.owned = true;
	return 0;
}

/*
 * This message is deprecated, and implementations differ. The specification recommends to do only
 * this.
 */
int handle_reset_owner(struct vhost_device *dev, struct vhost_message *msg)
{
	(void)msg;
	dev->state.owned = false;
	rings_enable(dev, false);
	vhost_device_settle(dev);
	return 0;
}

int handle_get_protocol_features(struct vhost_device *dev, struct vhost_message *msg)
{
	return answer(msg, protocol_features_offered(dev));
}

int handle_set_protocol_features(struct vhost_device *dev, struct vhost_message *msg)
{
	uint64_t unknown = msg->payload.u64 & ~protocol_features_offered(dev);

	if (unknown)
		return vhost_complain(dev, -EINVAL, "protocol features 0x%llx were not offered",
		    (unsigned long long)unknown);
	if (VHOST_PROTOCOL_HAS(msg->payload.u64, INBAND_NOTIFICATIONS) &&
	    (msg->payload.u64 & INBAND_NEEDS) != INBAND_NEEDS)
		return vhost_complain(dev, -EINVAL,
		    "in-band notifications need the features BACKEND_REQ and REPLY_ACK");
	dev->state.protocol_features = msg->payload.u64;
	return 0;
}

/*
 * Some front-ends take the answer for the number of rings, others for the number of pairs of rings.
 * The number of rings works with both. If a front-end then uses a ring that does not exist, its
 * message is refused.
 */
int handle_get_queue_num(struct vhost_device *dev, struct vhost_message *msg)
{
	return answer(msg, dev->type->n_rings);
}

int handle_net_set_mtu(struct vhost_device *dev, struct vhost_message *msg)
{
	uint64_t mtu = msg->payload.u64;

	if (mtu < VHOST_MTU_MIN || mtu > VHOST_MTU_MAX || dev->type->set_mtu(dev, mtu) < 0)
		return vhost_complain(
		    dev, -EINVAL, "an MTU of %llu is not possible", (unsigned long long)mtu);
	dev->state.mtu = mtu;
	return 0;
}

/*
 * Prepare the device for a new set-up: no features, no ring enabled. The bases of the rings and the
 * connection stay.
 */
int handle_reset_device(struct vhost_device *dev, struct vhost_message *msg)
{
	(void)msg;
	vhost_rings_change(dev);
	rings_enable(dev, false);
	dev->state.features = 0;
	dev->state.have_features = false;
	dev->state.status = 0;
	vhost_iommu_forget(dev);
	vhost_device_settle(dev);
	return 0;
}

/*
 * Status 0 means that the driver resets the device: the rings stop. Some versions of QEMU ask for
 * the bases of the rings before this message, others after it. So the bases stay. The features
 * stay, too, because the format of a base depends on them.
 */
int handle_set_status(struct vhost_device *dev, struct vhost_message *msg)
{
	uint64_t status = msg->payload.u64;

	if (status > UINT8_MAX)
		return vhost_complain(
		    dev, -EINVAL, "a status of 0x%llx does not exist", (unsigned long long)status);
	dev->state.status = status;
	if (status == 0) {
		vhost_device_pause(dev);
		for (unsigned i = 0; i < dev->type->n_rings; i++)
			dev->state.vring[i].started = false;
		vhost_device_settle(dev);
	}
	return 0;
}

int handle_get_status(struct vhost_device *dev, struct vhost_message *msg)
{
	return answer(msg, dev->state.status);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reasons for which frames are dropped. Counters, reports and documentation are made from this
 * list.
 *
 * The reasons up to PORT_DOWN are counted at the ingress queue of the frame. The reasons from
 * RING_FULL on are counted at the egress queue to which the frame should have gone.
 */
#pragma once

#define DROP_REASONS(X) \
	X(BAD_CHAIN, "bad-descriptors", "the guest's descriptor chain cannot be used") \
	X(RUNT, "runt", "shorter than a net header and an Ethernet header") \
	X(OVERSIZE, "oversize", "longer than any frame can be, or than the negotiated MTU") \
	X(BAD_OFFLOAD, "bad-offload", \
	    "the net header asks for an impossible offload, or one for another kind of frame") \
	X(QUEUE_DISABLED, "queue-disabled", "sent on a queue the driver has not enabled") \
	X(BAD_SOURCE, "bad-source", "the source address is a group address or zero") \
	X(LINK_LOCAL, "link-local", "a link-local protocol that bridges do not forward") \
	X(HAIRPIN, "hairpin", "the destination is on the port it came from") \
	X(NO_DESTINATION, "no-destination", "to be flooded, but no other port is up") \
	X(MAC_NOT_ALLOWED, "mac-not-allowed", \
	    "the source address is not one that the port may use") \
	X(MAC_LIMIT, "mac-limit", \
	    "the source address is new, and the port has as many as it may have") \
	X(MAC_MOVE, "mac-move", "the source address is that of another port") \
	X(STORM, "storm", \
	    "more broadcast, multicast or unknown frames per second than the port may send") \
	X(ISOLATED, "isolated", "both the source and the destination port are isolated") \
	X(UNKNOWN, "unknown", "the destination address is unknown, and the bridge does not flood") \
	X(VLAN, "vlan", "a VLAN tag, or the lack of one, that the port does not take") \
	X(PORT_DOWN, "port-down", "the destination port has no queue that takes frames") \
	X(RING_FULL, "ring-full", "the guest offered no receive buffer in time") \
	X(RING_BROKEN, "ring-broken", "the guest's receive ring is inconsistent") \
	X(IOTLB_MISS, "iotlb-miss", "the guest's receive buffer has no IOMMU translation yet") \
	X(TOO_SMALL, "buffer-too-small", "the guest's receive buffer cannot hold the frame") \
	X(BAD_BUFFER, "bad-buffer", "the guest's receive buffer cannot be used") \
	X(CANNOT_SEGMENT, "cannot-segment", \
	    "the guest does not accept this offload, and software cannot replace it here") \
	X(SOFTWARE_LIMIT, "software-limit", \
	    "the guest does not accept this offload, and the burst needed too much software work")

#define X(id, name, text) DROP_##id,
enum drop_reason { DROP_REASONS(X) DROP_N };
#undef X

/* The counter's name ("ring-full"), and what it means. */
const char *drop_name(enum drop_reason reason);
const char *drop_text(enum drop_reason reason);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why frames are dropped: counters, reports and documentation are made from this one list.
 *
 * Reasons before DROP_FIRST_DELIVER are counted at the queue from which the frame came, the others
 * at the queue to which it should have gone.
 */
#pragma once

#define DROP_REASONS(X) \
	X(BAD_CHAIN, "bad-descriptors", "the guest's descriptor chain cannot be used") \
	X(RUNT, "runt", "shorter than a net header and an Ethernet header") \
	X(OVERSIZE, "oversize", "longer than any frame can be, or than the MTU that was agreed") \
	X(BAD_OFFLOAD, "bad-offload", \
	    "the net header asks for an offload that cannot be, or of another kind of frame") \
	X(QUEUE_DISABLED, "queue-disabled", "sent on a queue the driver has not enabled") \
	X(BAD_SOURCE, "bad-source", "the source address is a group address or zero") \
	X(LINK_LOCAL, "link-local", "a link-local protocol that bridges do not forward") \
	X(HAIRPIN, "hairpin", "the destination is on the port it came from") \
	X(NO_DESTINATION, "no-destination", "to be flooded, but no other port is up") \
	X(PORT_DOWN, "port-down", "the destination's port has no queue to take it") \
	X(RING_FULL, "ring-full", "the guest offered no receive buffer in time") \
	X(RING_BROKEN, "ring-broken", "the guest's receive ring makes no sense") \
	X(IOTLB_MISS, "iotlb-miss", "the guest's receive buffer is not translated yet") \
	X(TOO_SMALL, "buffer-too-small", "the guest's receive buffer cannot hold the frame") \
	X(BAD_BUFFER, "bad-buffer", "the guest's receive buffer cannot be used") \
	X(CANNOT_SEGMENT, "cannot-segment", \
	    "the guest does not take this offload and the frame cannot be done in software") \
	X(SOFTWARE_LIMIT, "software-limit", \
	    "the guest does not take this offload and its burst needed too much done in software")

#define X(id, name, text) DROP_##id,
enum drop_reason { DROP_REASONS(X) DROP_N };
#undef X

#define DROP_FIRST_DELIVER DROP_RING_FULL

/* The counter's name ("ring-full"), and what it means. */
const char *drop_name(enum drop_reason reason);
const char *drop_text(enum drop_reason reason);

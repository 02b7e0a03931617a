/* SPDX-License-Identifier: BSD-3-Clause */
/* What clients can subscribe to. */
#pragma once

/* X(id, name, when) */
#define MANAGE_EVENTS(X) \
	X(PORT_ADDED, "port.added", "a port was added") \
	X(PORT_REMOVED, "port.removed", "a port was removed") \
	X(PORT_UP, "port.up", "a guest's driver has started its rings") \
	X(PORT_DOWN, "port.down", "a guest's rings have stopped, or its front-end has gone") \
	X(CONFIG_APPLIED, "config.applied", \
	    "a configuration was applied: how many ports and bridges it has changed") \
	X(QUEUE_MOVED, "queue.moved", "another worker polls an ingress queue of a port") \
	X(ADDRESS_LEARNED, "address.learned", "an address is known now, or static") \
	X(ADDRESS_MOVED, "address.moved", "an address is on another port now") \
	X(ADDRESS_FORGOTTEN, "address.forgotten", \
	    "an address is not known any more: it was aged, removed or replaced by another one") \
	X(OVERRUN, "overrun", \
	    "this client reads too slowly and has lost events: it has to read everything again")

enum manage_event {
#define X(id, name, when) MANAGE_EVENT_##id,
	MANAGE_EVENTS(X)
#undef X
	    MANAGE_EVENTS_N
};

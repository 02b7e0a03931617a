/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A switch for tests of bursts: a sender, and receivers with rings that the tests fill. Fetches
 * from the receivers' rings are counted. A call to a driver is a function call here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "bridge/fdb.h"
#include "datapath/burst.h"
#include "datapath/forwarding.h"
#include "virtio/driver.h"

#define MEMORY    (96u << 20)
#define RING      1024
#define PORTS     20 /* for tests in which the number does not matter */
#define SENDER    0
#define BRIDGES   2 /* they share a table, as after a port has changed its bridge */
#define MSS       1448
#define HEADERS   (14 + 20 + 20)
#define TSO_FRAME (HEADERS + 65000)
#define BUFFER    2048

struct end {
	struct driver_ring driver;
	struct vring ring;
	struct vring_position position;
	struct queue queue;
	struct vring_ops ops; /* with fetches counted */
	unsigned fetches;
};

struct world {
	unsigned ports;
	bool packed;
	uint8_t *memory;
	size_t used;
	struct guest_memory *guest;
	struct port port[PORTS_MAX];
	struct end from, to[PORTS_MAX];
	struct fdb *fdb;
	struct burst *burst;
	struct forwarding *fwd;
	void (*on_call)(void);
	unsigned calls;
};

extern struct world w;

/* Take whole pages of the guests' memory. */
uint8_t *take(size_t bytes);

/* accepts: the offloads that all receivers accept. */
void open_world(unsigned ports, uint32_t accepts);
struct world_options {
	unsigned ports;
	uint32_t accepts;
	bool packed;                             /* the rings; else split */
	bool vlans;                              /* bridge 0 has VLANs */
	const struct port_policy *const *policy; /* of each port; NULL: no features */
	const uint16_t *bridge;                  /* of each port; NULL: 0 */
};
void open_world_with(const struct world_options *options);

void close_world(void);

/* Offer the same buffer n times. */
void offer(struct end *e, uint8_t *buffer, uint32_t len, unsigned n);

/*
 * A frame with its net header from port 0 to port `to`; 255: to all ports. send_frames() offers it
 * n times.
 */
uint8_t *make_frame(uint8_t to, uint32_t len, uint16_t gso_size);
void send_frames(uint8_t to, uint32_t len, uint16_t gso_size, unsigned n);

/* Run one burst. Returns how many frames it took. */
unsigned run(void);
/*
 * Run bursts until they have taken `frames` frames in total. Returns how many bursts that were. The
 * test fails if a burst takes more than `most` frames, or if frames are left after that.
 */
unsigned run_all(unsigned frames, unsigned most);

uint64_t delivered(unsigned port);
uint64_t drops(unsigned port, enum drop_reason reason);
void assert_balance(void);

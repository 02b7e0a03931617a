/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue of a network driver, if the back-end serves it (as with User Mode Linux). It
 * has its own region of guest memory. So create it before the front-end tells the back-end about
 * its memory.
 */
#pragma once

#include <stdint.h>

#include "frontend/frontend.h"
#include "virtio/driver.h"

#define CONTROL_GPA     UINT64_C(0x80000000)
#define CONTROL_ENTRIES 64
#define CONTROL_DATA    1024 /* bytes for each command */

enum { CONTROL_OK = 0, CONTROL_ERR = 1 };
enum { CONTROL_RX = 0, CONTROL_MAC = 1, CONTROL_VLAN = 2, CONTROL_ANNOUNCE = 3, CONTROL_MQ = 4 };

enum control_kick {
	CONTROL_KICK_EVENTFD,
	CONTROL_KICK_INBAND, /* messages; the first one starts the ring */
	CONTROL_KICK_NONE,   /* the back-end has to poll */
};

struct control_queue {
	struct frontend *fe;
	struct driver_ring ring;
	unsigned index;
	enum control_kick kick;
	int kick_fd, call_fd;
	uint8_t *host; /* the region: ring, then data */
	uint32_t next; /* number of the next command */
};

int control_queue_create(struct frontend *fe, struct control_queue **ret_queue);
void control_queue_destroy(struct control_queue *cq);

/*
 * Make an empty ring with this index and the negotiated features. Start it, but do not enable it. 0
 * or -errno.
 */
int control_queue_start(struct control_queue *cq, unsigned index, enum control_kick kick);

/* Send a command and kick; do not wait. 0; -ENOSPC; -errno. */
int control_queue_send(
    struct control_queue *cq, uint8_t class, uint8_t command, const void *data, uint32_t len);

/* Kick even if the device asks for no kicks. */
int control_queue_kick(struct control_queue *cq);

/*
 * Wait for the answer to the oldest command. Returns the answer, which is a byte; -ETIMEDOUT;
 * -EBADMSG: the device wrote no answer.
 */
int control_queue_wait(struct control_queue *cq, unsigned timeout_ms);

/* Send a command and wait for its answer, with the front-end's time limit. */
int control_queue_command(
    struct control_queue *cq, uint8_t class, uint8_t command, const void *data, uint32_t len);

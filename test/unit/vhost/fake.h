/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small device without Ethernet, and a front-end that sends any message. The device checks what
 * lib/vhost guarantees to every device: only rings in use are paused; rings in use are active, and
 * mapped in the current memory; no answer is sent before a commit. There is also a simple device
 * that can only be paused as a whole. Its calls of pause and resume must alternate.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vhost/device.h"
#include "vhost/session.h"
#include "virtio/vhost_user.h"

#define FAKE_RINGS  6
#define FAKE_CONFIG 32
#define FAKE_FEATURES \
	(VIRTIO_BIT(F_VERSION_1) | VIRTIO_BIT(F_RING_PACKED) | VIRTIO_BIT(F_EVENT_IDX) | \
	    VIRTIO_BIT(VHOST_F_LOG_ALL))
#define FAKE_BIT30 VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)

/* The result of fake_run() if the connection continues. */
#define LIVES 0

struct fake {
	struct vhost_device *dev;
	struct vhost_session *session;
	int own, peer; /* the session's end of the socket pair, and the front-end's end */
	/* The state of the device. */
	bool running; /* the device uses some ring */
	bool uses[FAKE_RINGS];
	bool uncommitted;
	int last_call;
	unsigned pauses, ring_pauses, resumes, synchronizes, calls_set;
	uint16_t mtu;
	unsigned delay_us; /* how long set_mtu() takes */
	uint8_t config[FAKE_CONFIG];
	uint8_t announced[6];
	uint8_t state[1000]; /* saved and loaded; a first byte of 0xff is refused */
	size_t state_len;
};

extern const struct vhost_device_type fake_type, fake_simple_type;

/*
 * fake_create() makes a device without a connection, fake_connect() connects it. fake_destroy()
 * ends both.
 */
void fake_create(struct fake *f);
void fake_connect(struct fake *f);
void fake_disconnect(struct fake *f);
void fake_destroy(struct fake *f);

/* cmocka fixtures: *state is a connected fake. The teardown checks that
 * neither descriptors nor mappings have leaked. */
int fake_setup(void **state);
int fake_setup_simple(void **state);
int fake_teardown(void **state);

/* Send one message, with copies of the n_fds descriptors. */
void fake_send(struct fake *f, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
    const int fds[], unsigned n_fds);

/* Let the session read until nothing is left. Returns LIVES or what session_receive() returned. */
int fake_run(struct fake *f);

/* Take one reply, payload zero-filled. False: there is none. */
bool fake_reply(struct fake *f, struct vhost_header *ret_header, union vhost_payload *ret_payload);

/*
 * fake_log_begin(): collect the warnings that are logged from now on, instead of writing them to
 * stderr. fake_log_end(): stop this, and return how often the text is in them.
 */
struct fake_log {
	int file, error_output;
};

void fake_log_begin(struct fake_log *log);
unsigned fake_log_end(const struct fake_log *log, const char *text);

/* Send with NEED_REPLY, run, and return the acknowledgement: 0 good, 1 refused. */
uint64_t fake_ask(struct fake *f, uint32_t request, const void *payload, uint32_t size,
    const int fds[], unsigned n_fds);

/* Send a GET_* message without payload, run the session, return the u64 of the reply. */
uint64_t fake_get(struct fake *f, uint32_t request);

/* Shorthands; all demand REPLY_ACK, so start with fake_negotiate. */
uint64_t fake_u64(struct fake *f, uint32_t request, uint64_t value);
uint64_t fake_vring(struct fake *f, uint32_t request, uint32_t index, uint32_t num);
uint64_t fake_notifier(struct fake *f, uint32_t request, uint64_t value, int fd);
uint64_t fake_addr(struct fake *f, uint32_t index, uint64_t desc, uint64_t avail, uint64_t used);
uint64_t fake_table(
    struct fake *f, const struct vhost_wire_region regions[], const int fds[], unsigned n);
uint64_t fake_region(struct fake *f, uint32_t request, struct vhost_wire_region region, int fd);
uint32_t fake_get_base(struct fake *f, uint32_t index);

/* Acknowledge all offered protocol features except in-band notifications. */
void fake_negotiate(struct fake *f);

/* A memory file of that many bytes, and an eventfd. The caller closes them. */
int memory_file(size_t size);
int event_file(void);

/* Open descriptors of this process. Waits for errands, which may still have one. */
unsigned count_fds(void);

/* Bytes of memory_file() files mapped into this process. */
size_t count_mapped(void);

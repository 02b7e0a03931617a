/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports come and go while the switch runs. The ports of the command line and ports that are added
 * later take the same way.
 *
 * A port is removed in steps, because nothing may wait for it and much is left to do:
 *
 *	at once		its name and its socket are free, and no message of its front-end is read
 *	end of turn	a new forwarding does not have the port; all ports that are removed in one
 *			turn of the event loop need one forwarding
 *	soon after	the front-end is disconnected, memory is unmapped, descriptors go to closers
 *	some ms later	the address table has no entry of the port; the port is freed, its index may
 *			be used again, and done() is called (a table for millions of addresses needs
 *			up to some seconds)
 *
 * If packed rings ran, their positions stay in a file beside the socket (vhost/journal.h), for the
 * next port with this path.
 *
 * Threads: the control thread only. Nothing here waits for a guest or a front-end, with these
 * exceptions. A new forwarding waits for all workers: up to two seconds for a worker in a page that
 * a postcopy front-end has not sent (watchdog.h). The helper process may need up to a second for a
 * socket (vhost/helper.h). And a port's socket and journal are files: if the path leads into a file
 * system whose server hangs, adding and removing the port hang, too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/port_settings.h"
#include "net/net_device.h"
#include "vhost/endpoint.h"

struct switch_port;
struct vswitch;

/* What is asked of a port. Begin with vswitch_port_defaults(). Texts are copied. */
struct port_config {
	const char *name; /* 1 to 128 bytes without control characters; NULL: the path, or "fd N" */
	enum vhost_endpoint_mode mode; /* a socket that listens, one that connects, or fd */
	const char *path;              /* of the socket; NULL with VHOST_ENDPOINT_FD */
	int fd;          /* VHOST_ENDPOINT_FD: a stream socket. It is the port's, also on failure */
	int socket_mode; /* permission bits of a socket that listens; -1: as the umask has it */
	uid_t owner;     /* of a socket that listens; -1: as it is */
	gid_t group;
	bool patient;           /* see struct vhost_endpoint_config; only at the start */
	struct net_offer offer; /* what the front-end is offered */
	/* With which it is added; vswitch_port_settings() returns those of now. */
	struct port_settings settings;
};

/* Why a port was not added. */
struct port_fault {
	const char *field; /* of struct port_config; NULL: none of them is wrong */
	char text[256];    /* a sentence without a full stop, with the name of the port */
};

/* The values of the command line, for ports that say nothing else. */
void vswitch_port_defaults(const struct vswitch *sw, struct port_config *ret_config);

/*
 * Add a port. It takes front-ends from the next turn of the event loop on. If it fails, nothing is
 * left behind, and *ret_fault says why; nothing is logged. ret_port may be NULL.
 * -EEXIST: a port has this name or this path; -ENOSPC: too many ports; -EADDRINUSE: another process
 * listens there; -EINVAL; -ENOMEM; or another errno of the socket.
 */
int vswitch_port_add(struct vswitch *sw, const struct port_config *config,
    struct switch_port **ret_port, struct port_fault *ret_fault);

/*
 * Remove a port: see above. done(arg) is called from the event loop; done may be NULL. It is not
 * called if the switch ends before. The port is not found any more, and must not be used.
 */
void vswitch_port_del(
    struct vswitch *sw, struct switch_port *sp, void (*done)(void *arg), void *arg);

/* Remove a port that was just added, because what it was a part of has failed. Nobody is told. */
void vswitch_port_undo(struct vswitch *sw, struct switch_port *sp);

/* The port with this name; NULL: there is none, or it is being removed. */
struct switch_port *vswitch_port_find(const struct vswitch *sw, const char *name);

/*
 * The first port from index *at on that is not being removed. *at becomes the index after it. NULL:
 * no more.
 */
struct switch_port *vswitch_port_next(const struct vswitch *sw, unsigned *at);

/* Fill in *fault with a formatted text. Returns error. */
__attribute__((format(printf, 4, 5))) int vswitch_refuse(
    struct port_fault *fault, int error, const char *field, const char *format, ...);

unsigned vswitch_port_count(const struct vswitch *sw);

/* How it was added, for port.show and config.save: name is set, fd is -1. */
const struct port_config *vswitch_port_config(const struct switch_port *sp);

/*
 * How far the front-end is, in words: "connected; waiting for SET_MEM_TABLE for 12 s". Returns
 * text.
 */
const char *vswitch_port_state(const struct switch_port *sp, char *text, size_t size);

enum port_event {
	PORT_ADDED,
	PORT_REMOVED, /* also from a port that is up; the port still exists during the call */
	PORT_UP,      /* workers know it */
	PORT_DOWN,
};

/*
 * Call fn(sp, event, arg) for each event from now on, for as long as the switch exists. fn must not
 * add or remove ports. -ENOSPC: too many listeners.
 */
int vswitch_port_listen(struct vswitch *sw,
    void (*fn)(struct switch_port *sp, enum port_event event, void *arg), void *arg);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user device: the state that a front-end has told, and data derived from this state.
 *
 * lib/vhost knows no Ethernet. The kind of device is a struct vhost_device_type: the features that
 * it offers, and a few callbacks.
 *
 * The data has two parts. struct vhost_device_state has only values. A process that has these
 * values and the file descriptors can take over the device. The rest of struct vhost_device is
 * derived from them: mapped memory, host addresses of rings, running vrings.
 *
 * Threads. Everything here belongs to the control thread. The device's workers may use only
 * rings that are `in_use`, and the guest memory behind them:
 *
 *	pause(dev)		returns when no worker touches any ring or memory of the device;
 *	pause_ring(dev, i)	returns when no worker touches this ring; the others go on;
 *	...			the library changes what the front-end asked for;
 *	resume(dev)		workers may use all rings that are active now. For rings that they
 *				use already, they must read the fields here again;
 *	commit(dev)		returns when the workers know all that resume told.
 *
 * If no ring is in use, there is no pause. No function blocks between pause and resume, so a pause
 * is short. Between resume and commit, workers may still act as before. So the front-end is
 * answered after the commit.
 *
 * A type may leave out pause_ring and set_call together. Then each change pauses the whole device.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log_limit.h"
#include "vhost/rate.h"
#include "virtio/guest_memory.h"
#include "virtio/vring.h"

#define VHOST_RINGS_MAX     256
#define VHOST_MEM_SLOTS_MAX 509
#define VHOST_OUTGROWN_MAX  64

/* The values of one ring that SET_VRING_* messages told. The messages may come in any order. */
struct vhost_vring_state {
	uint32_t size;                 /* SET_VRING_NUM, raw: checked when the ring starts */
	uint32_t addr_flags;           /* SET_VRING_ADDR flags */
	uint64_t desc, driver, device; /* SET_VRING_ADDR: front-end virtual addresses */
	uint64_t log;
	struct vring_position position; /* valid if have_base; advanced by the worker */
	uint32_t base;                  /* SET_VRING_BASE, raw: decoded when the ring starts */
	bool base_pending;              /* base was told and not decoded yet */
	bool have_addr;
	bool have_base; /* told by SET_VRING_BASE, or the ring has run */
	bool started;   /* between SET_VRING_KICK and GET_VRING_BASE */
	bool enabled;   /* independent of started */
} CACHE_ALIGNED;

struct vhost_region_state {
	uint64_t gpa, size, uaddr, mmap_offset;
};

struct vhost_device_state {
	uint64_t features;
	uint64_t protocol_features;
	uint64_t status;
	uint16_t mtu; /* 0: not told */
	uint8_t announce_mac[6];
	bool announce_pending; /* SEND_RARP came while nothing could be sent */
	bool owned;
	bool have_features;
	unsigned n_regions;
	struct vhost_region_state region[VHOST_MEM_SLOTS_MAX];
	struct vhost_vring_state vring[VHOST_RINGS_MAX];
};

/* The derived part of a ring. */
struct vhost_vring {
	struct vring ring;       /* valid while active */
	struct dirty_log log[2]; /* see log.c; one may be in use: ring.log */
	bool active;             /* started, sized, addressed, mapped: workers may use it */
	bool in_use;             /* workers may use it: from resume to pause */
	bool enabled;            /* copy of state.enabled at the last resume */
	bool doorbell;           /* kicks may go unnoticed; see doorbell.h */
	bool doorbell_offered;   /* a page was offered since the ring started */
	/* These are always eventfds, and non-blocking. */
	int kick_fd; /* -1: none, the ring is polled */
	int call_fd; /* -1: the driver wants no calls. Workers write it while in use */
	int err_fd;
	bool blocking[3]; /* kick, call, err: it was blocking when it came; see notifier.h */
	bool kick_inband; /* kick_fd is ours, for VRING_KICK */
	/* Private to ring.c. */
	bool dirty;        /* to be started anew: something it was started with has changed */
	bool call_pending; /* a call may have been lost: call once when the ring is active */
	uint8_t obstacle;  /* why a started ring is not active, as last logged */
	struct vring_config config;      /* while active: as it was started */
	struct vring_inflight *inflight; /* inflight.c; NULL: not tracked */
};

/* The back-end channel; see channel.h. */
struct vhost_channel {
	int fd;              /* -1: there is none */
	uint32_t asked;      /* the request that has an outstanding answer; 0: none */
	struct move *answer; /* reads the answer; NULL: nothing has come yet */
	int64_t until_ms;    /* when the answer must have been read */
	int64_t slow_ms;     /* when a send was slow; 0: none was */
};

/* Doorbell pages; see doorbell.h. */
struct vhost_doorbell {
	int fd;         /* a page per ring; -1: not made yet */
	unsigned asked; /* 1 + the ring that was offered a page last; 0: it is answered */
	bool refused;
};

/* The destination side of a postcopy migration; see postcopy.h. */
struct vhost_postcopy {
	int fd;          /* the userfaultfd; -1: none */
	bool listening;  /* addresses of regions go back to the front-end */
	bool registered; /* the front-end handles missing pages */
};

struct vhost_device;
struct vring_events;

struct vhost_device_type {
	const char *name;
	const char *feature_prefix; /* of the names of its own features (virtio.h), for log lines */
	uint64_t features;          /* what GET_FEATURES offers, besides bit 30 */
	uint64_t protocol_features; /* VHOST_USER_PROTOCOL_F_* masks */
	unsigned n_rings;           /* most rings that it has, at most VHOST_RINGS_MAX */
	void (*pause)(struct vhost_device *dev);
	void (*pause_ring)(struct vhost_device *dev, unsigned index); /* NULL: see above */
	void (*resume)(struct vhost_device *dev);
	void (*commit)(struct vhost_device *dev); /* NULL: workers know everything after resume */
	/*
	 * The call_fd of a ring in use has changed. Return when no worker writes to the old
	 * eventfd.
	 */
	void (*set_call)(struct vhost_device *dev, unsigned index);
	/*
	 * True: chains are completed in any order, at any time before their ring is paused. False:
	 * all chains are completed before the next chains are fetched.
	 */
	bool defers;
	/* The direction of this ring's buffers. */
	enum vring_direction (*ring_direction)(const struct vhost_device *dev, unsigned index);
	/*
	 * Return when all bursts that workers have begun by now are finished, for all rings of the
	 * device. The library calls this before it frees what such a burst may still use. The rings
	 * keep running. NULL: the library calls pause and resume instead.
	 */
	void (*synchronize)(struct vhost_device *dev);
	/* NET_SET_MTU; NULL: not supported. 0 or -EINVAL. */
	int (*set_mtu)(struct vhost_device *dev, uint16_t mtu);
	/*
	 * The configuration space has config_size bytes, at most 256. get_config fills them in; it
	 * is NULL if there is no configuration space. set_config writes a part of the configuration
	 * space, and returns 0 or a negative errno; it is NULL if nothing can be written.
	 */
	unsigned config_size;
	void (*get_config)(struct vhost_device *dev, uint8_t *space);
	int (*set_config)(
	    struct vhost_device *dev, uint32_t offset, const uint8_t *bytes, uint32_t size);
	/*
	 * SEND_RARP: tell the network that mac is here now. 0; -EINVAL; -EAGAIN: too many
	 * announcements wait; or -ENETDOWN: then announce is called again when a ring is active.
	 * NULL: not supported.
	 */
	int (*announce)(struct vhost_device *dev, const uint8_t mac[6]);
	/*
	 * DEVICE_STATE: the state that another device needs to go on, as bytes. A type has both
	 * functions or none. They are called while the rings are stopped. save returns the number
	 * of bytes, at most room, or a negative errno. load returns 0 or -EINVAL. The bytes that
	 * load gets are not trusted: they come from the front-end.
	 */
	ssize_t (*save)(struct vhost_device *dev, void *bytes, size_t room);
	int (*load)(struct vhost_device *dev, const void *bytes, size_t len);
};

/* Part of a file that the front-end shares; area.h. All zero: there is none. */
struct vhost_area {
	void *base; /* of the mapping, page-aligned */
	size_t len;
	uint8_t *map; /* the part itself */
	uint64_t size;
	uint32_t guard; /* guard.h */
	bool huge;      /* the file is on hugetlbfs */
	uint64_t page;  /* size of the file's pages */
	dev_t dev;      /* the file */
	ino_t ino;
};

/* The dirty log; log.c. */
struct vhost_log {
	struct vhost_area area;
	uint64_t ignored; /* marks outside the map, except in dirty logs in use */
};

/* The in-flight area; inflight.c. */
struct vhost_inflight {
	struct vhost_area area;
	uint16_t n_queues;
	uint16_t queue_size;
};

/* A transfer of the device state from or to the front-end; transfer.c. */
struct vhost_transfer {
	enum vhost_transfer_step {
		VHOST_TRANSFER_NONE,
		VHOST_TRANSFER_LOADING,
		VHOST_TRANSFER_SAVING,
	} step;
	struct move *move;
};

/* The check whether guest memory is shared with the guest; unshared.h. All zero: not begun. */
struct vhost_unshared {
	bool settled;  /* it is shared, or it was logged that it is not */
	bool watching; /* epoll_fd is open, and has the kicks of n_active rings */
	bool kicked;   /* a kick came since then */
	unsigned n_active;
	int epoll_fd;
	uint64_t since; /* since when memory seems not to be shared, in ms; 0: it seems to be */
};

struct vhost_device {
	const struct vhost_device_type *type;
	void *opaque;         /* the owner's */
	const char *name;     /* for log lines: the socket's path */
	uint64_t withheld;    /* the owner's: features of the type that are not offered */
	bool offer_iommu;     /* the owner's: offer VIRTIO_F_ACCESS_PLATFORM, too */
	bool offer_postcopy;  /* the owner's: offer PAGEFAULT, too */
	bool offer_inband;    /* the owner's: offer INBAND_NOTIFICATIONS, too; see inband.h */
	bool offer_doorbells; /* the owner's: offer HOST_NOTIFIER, too */
	bool memory_any;      /* the owner's: map any file, not only memory */
	bool record_events;   /* the owner's: fill events[] */
	unsigned owner;       /* the owner's: its number for closer.h */
	struct vhost_device_state state;
	/* Derived: */
	struct guest_memory *memory; /* NULL: no memory table, or an empty one */
	/*
	 * Older tables of guest memory. `memory` has all their regions. Rings in use may still
	 * point into the old tables; memory.c.
	 */
	struct guest_memory *outgrown[VHOST_OUTGROWN_MAX];
	unsigned n_outgrown;
	struct vhost_area *mapping;                 /* per region; memory.c */
	struct vhost_vring *vring[VHOST_RINGS_MAX]; /* made on first mention; NULL before */
	unsigned n_vrings;                          /* 1 + highest index mentioned */
	struct vhost_journal *journal;              /* the owner's; see journal.h. NULL: none */
	struct vhost_channel channel;
	struct vhost_doorbell doorbell;
	int inband_fd; /* see inband.h; -1: there is none */
	struct vhost_postcopy postcopy;
	struct vhost_log log;
	struct vhost_inflight inflight;
	struct vhost_transfer transfer;
	struct vhost_unshared unshared;
	/* The last events of rings; they outlive front-ends. NULL: not recorded. */
	struct vring_events *events[VHOST_RINGS_MAX];
	struct vhost_caller *caller; /* see call.h */
	struct vhost_iommu *iommu;   /* translations; NULL: no IOMMU. See iommu.h */
	bool paused;                 /* no ring is in use */
	bool untold;                 /* resume() must tell workers of changes of rings in use */
	uint64_t disturbances;       /* of workers so far: pauses, resumes, announcements */
	struct rate rate;            /* of disturbances; it outlives front-ends */
	uint64_t waited_ns;          /* time spent waiting for workers so far */
	uint64_t holds;              /* how often messages had to wait because of rate */
	bool warned_pages;           /* it was logged that guest memory has small pages */
	unsigned complaints;         /* faults of this front-end logged so far */
	struct log_limit limit;      /* of log lines; it outlives front-ends */
	const char *handling;        /* the message being handled, for log lines */
};

/* For log lines that a front-end or a guest can cause often. The number of lines is limited. */
#define vhost_tell(dev, level, ...) log_limited(&(dev)->limit, level, (dev)->name, __VA_ARGS__)

/*
 * dev is zeroed memory of the caller, aligned to CACHE_LINE. name must live as long as dev.
 * -EINVAL: misaligned, or the type has too many rings.
 */
int vhost_device_init(
    struct vhost_device *dev, const struct vhost_device_type *type, const char *name, void *opaque);

/*
 * Forget the front-end after it has disconnected: pause the workers, unmap memory, close
 * descriptors. Then the device is as after vhost_device_init, and can serve the next connection.
 */
void vhost_device_reset(struct vhost_device *dev);

/* Forget the recorded events, too. No worker may use the rings. */
void vhost_device_forget_events(struct vhost_device *dev);

/* Any ring active? */
bool vhost_device_active(const struct vhost_device *dev);

/*
 * Tell the front-end that the configuration space has changed. -EOPNOTSUPP: CONFIG was not
 * negotiated. Other errors are those of vhost_channel_send.
 */
int vhost_device_config_changed(struct vhost_device *dev);

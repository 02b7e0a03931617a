/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * These tables say what the switch can be asked. The order of fields is the order in which tables,
 * help and reference show them; the key of an object comes first. "about" is one sentence without
 * a full stop.
 *
 * What a method gives is described in the same way as what it takes, with SCHEMA_READ_ONLY. Tests
 * check that answers are what is said here.
 */
#include "manage/schema.h"

#include "base/log.h"
#include "manage/events.h"

#define ANY_NUMBER .type = SCHEMA_UINT, .max = SCHEMA_UINT_MAX
#define TOLD       SCHEMA_READ_ONLY
#define TOLD_SHOWN (SCHEMA_READ_ONLY | SCHEMA_COLUMN)
#define END \
	{ \
		0 \
	}

static const char *const log_levels[] = {
#define X(id, name) (name),
    LOG_LEVELS(X)
#undef X
	NULL};

static const char *const event_names[] = {
#define X(id, name, about) (name),
    MANAGE_EVENTS(X)
#undef X
	NULL};

static const char *const ring_formats[] = {"split", "packed", NULL};
static const char *const directions[] = {"ingress", "egress", NULL};
static const char *const balance_modes[] = {"off", "dry-run", "on", "rotate", NULL};

static const struct schema_field version_fields[] = {
    {.name = "version", .type = SCHEMA_STRING, .flags = TOLD_SHOWN, .about = "version of vswitchd"},
    {.name = "interface",
	ANY_NUMBER,
	.flags = TOLD_SHOWN,
	.about = "number of this interface; it grows when something is removed or changes its "
		 "meaning"},
    END,
};

static const struct schema_field switch_fields[] = {
    {.name = "version", .type = SCHEMA_STRING, .flags = TOLD_SHOWN, .about = "version of vswitchd"},
    {.name = "pid", ANY_NUMBER, .flags = TOLD_SHOWN, .about = "process of the switch"},
    {.name = "uptime",
	ANY_NUMBER,
	.unit = "seconds",
	.flags = TOLD_SHOWN,
	.about = "time since "
		 "the start"},
    {.name = "ports", ANY_NUMBER, .flags = TOLD_SHOWN, .about = "number of ports"},
    {.name = "ports_up", ANY_NUMBER, .flags = TOLD_SHOWN, .about = "ports with a running guest"},
    {.name = "workers", ANY_NUMBER, .flags = TOLD_SHOWN, .about = "threads that move frames"},
    {.name = "addresses",
	ANY_NUMBER,
	.flags = TOLD_SHOWN,
	.about = "MAC addresses in the address table"},
    {.name = "addresses_max",
	ANY_NUMBER,
	.flags = TOLD_SHOWN,
	.about = "MAC addresses that the table is made for"},
    {.name = "addresses_moved",
	ANY_NUMBER,
	.flags = TOLD_SHOWN,
	.about = "how often an address was seen on another port than before"},
    {.name = "addresses_refused",
	ANY_NUMBER,
	.flags = TOLD_SHOWN,
	.about = "how often an address was not learned, because its port had its share"},
    {.name = "balance",
	.type = SCHEMA_WORD,
	.words = balance_modes,
	.flags = SCHEMA_COLUMN,
	.about = "whether queues move between workers"},
    {.name = "balance_interval",
	.type = SCHEMA_UINT,
	.min = 1,
	.max = 3600000,
	.unit = "milliseconds",
	.flags = SCHEMA_COLUMN,
	.about = "time between measurements of the workers' loads"},
    {.name = "balance_threshold",
	.type = SCHEMA_UINT,
	.min = 1,
	.max = 100,
	.unit = "percent",
	.flags = SCHEMA_COLUMN,
	.about = "load from which a worker gives queues away"},
    {.name = "forget_after",
	.type = SCHEMA_UINT,
	.max = 1000000,
	.unit = "seconds",
	.flags = SCHEMA_COLUMN,
	.about = "how long to keep a port's addresses after its front-end disconnects"},
    {.name = "queues_moved",
	ANY_NUMBER,
	.flags = TOLD_SHOWN,
	.about = "queues that were moved to another worker"},
    {.name = "log_level",
	.type = SCHEMA_WORD,
	.words = log_levels,
	.flags = TOLD_SHOWN,
	.about = "which lines the log has"},
    END,
};

#define PORT_NAME \
	{ \
		.name = "name", .type = SCHEMA_STRING, .min = 1, .max = 128, .names = "port", \
		.flags = SCHEMA_KEY | SCHEMA_COLUMN, .about = "name of the port" \
	}

static const char *const memory_kinds[] = {"shared", "any", NULL};

#define AT_CREATION(field, its_type, ...) \
	{ \
		.name = field, .type = SCHEMA_##its_type, .flags = SCHEMA_CREATE, __VA_ARGS__ \
	}

/* What is not given to port.add is as the command line of the switch says for all ports. */
static const struct schema_field port_fields[] = {
    PORT_NAME,
    {.name = "socket",
	.type = SCHEMA_PATH,
	.flags = SCHEMA_CREATE | SCHEMA_REQUIRED | SCHEMA_NULL,
	.about = "path of the socket for the front-end"},
    AT_CREATION("client", BOOL, .about = "connect to the socket instead of listening on it"),
    AT_CREATION("queue_pairs", UINT, .min = 1, .max = 128,
	.about = "queue pairs to offer to front-ends that leave this to the switch"),
    AT_CREATION("max_mtu", UINT, .min = 68, .max = 65535, .unit = "bytes",
	.about = "largest MTU that the front-end may tell"),
    AT_CREATION("offer", STRING, .min = 1, .max = 600,
	.about = "virtio features to offer, as for --features: a set, or a list such as "
		 "all,-ring_packed"),
    AT_CREATION("iommu", BOOL, .about = "support a guest with a virtual IOMMU"),
    AT_CREATION(
	"postcopy", BOOL, .about = "let a migrating guest run before its memory has arrived"),
    AT_CREATION("host_notifier", BOOL, .about = "offer the guest pages to kick"),
    AT_CREATION("inband", BOOL, .about = "offer kicks and calls as messages"),
    AT_CREATION("guest_memory", WORD, .words = memory_kinds,
	.about = "map shared memory only, or files of any kind"),
    {.name = "index",
	ANY_NUMBER,
	.flags = TOLD_SHOWN,
	.about = "number of the port; a port that is removed leaves it to another port"},
    {.name = "up",
	.type = SCHEMA_BOOL,
	.flags = TOLD_SHOWN,
	.about = "a guest's driver runs rings, so frames pass"},
    {.name = "connected", .type = SCHEMA_BOOL, .flags = TOLD, .about = "a front-end is connected"},
    {.name = "state",
	.type = SCHEMA_STRING,
	.flags = TOLD_SHOWN,
	.about = "what the port waits for, in words"},
    {.name = "rings",
	.type = SCHEMA_WORD,
	.words = ring_formats,
	.flags = TOLD | SCHEMA_NULL,
	.about = "format of the rings that were negotiated"},
    {.name = "pairs_used", ANY_NUMBER, .flags = TOLD, .about = "queue pairs that the guest uses"},
    {.name = "mtu",
	ANY_NUMBER,
	.unit = "bytes",
	.flags = TOLD | SCHEMA_NULL,
	.about = "MTU that the front-end told"},
    {.name = "addresses",
	ANY_NUMBER,
	.flags = TOLD_SHOWN,
	.about = "MAC addresses that were learned on this port"},
    {.name = "in_frames", ANY_NUMBER, .flags = TOLD_SHOWN, .about = "frames that the guest sent"},
    {.name = "out_frames",
	ANY_NUMBER,
	.flags = TOLD_SHOWN,
	.about = "frames that the guest was given"},
    {.name = "drops",
	ANY_NUMBER,
	.flags = TOLD_SHOWN,
	.about = "frames from or for this port that were dropped; port.stats has the reasons"},
    {.name = "pid",
	ANY_NUMBER,
	.flags = TOLD | SCHEMA_NULL,
	.about = "process of the front-end, if it is known"},
    {.name = "connected_for",
	ANY_NUMBER,
	.unit = "seconds",
	.flags = TOLD | SCHEMA_NULL,
	.about = "time since the front-end connected"},
    {.name = "memory",
	ANY_NUMBER,
	.unit = "bytes",
	.flags = TOLD | SCHEMA_NULL,
	.about = "guest memory that the front-end shares"},
    {.name = "memory_page",
	ANY_NUMBER,
	.unit = "bytes",
	.flags = TOLD | SCHEMA_NULL,
	.about = "size of its smallest pages"},
    {.name = "features",
	.type = SCHEMA_STRING,
	.flags = TOLD | SCHEMA_LIST,
	.about = "virtio features that were negotiated"},
    END,
};

static const struct schema_field drop_fields[] = {
    {.name = "reason", .type = SCHEMA_STRING, .flags = TOLD_SHOWN, .about = "why, in one word"},
    {.name = "frames", ANY_NUMBER, .flags = TOLD_SHOWN, .about = "how many frames"},
    END,
};

static const struct schema_field queue_fields[] = {
    {.name = "index",
	ANY_NUMBER,
	.flags = TOLD_SHOWN,
	.about = "number of the virtqueue: even ones take frames to the guest, odd ones from it"},
    {.name = "direction",
	.type = SCHEMA_WORD,
	.words = directions,
	.flags = TOLD_SHOWN,
	.about = "seen from the switch: ingress queues carry what the guest sends"},
    {.name = "enabled",
	.type = SCHEMA_BOOL,
	.flags = TOLD_SHOWN,
	.about = "the guest uses the queue"},
    {.name = "worker",
	ANY_NUMBER,
	.flags = TOLD_SHOWN | SCHEMA_NULL,
	.about = "worker that polls the queue; only of ingress queues"},
    {.name = "frames", ANY_NUMBER, .flags = TOLD_SHOWN, .about = "frames that passed"},
    {.name = "bytes",
	ANY_NUMBER,
	.unit = "bytes",
	.flags = TOLD_SHOWN,
	.about = "bytes of these frames"},
    {.name = "unicast",
	ANY_NUMBER,
	.flags = TOLD,
	.about = "frames that went to one port; 0 for egress queues"},
    {.name = "flooded",
	ANY_NUMBER,
	.flags = TOLD,
	.about = "frames that went to all other ports; 0 for egress queues"},
    {.name = "calls",
	ANY_NUMBER,
	.flags = TOLD,
	.about = "bursts after which the driver wanted an interrupt"},
    {.name = "drops",
	.type = SCHEMA_OBJECT,
	.object = "drop",
	.flags = TOLD_SHOWN | SCHEMA_LIST,
	.about = "frames that were dropped, by reason"},
    END,
};

static const struct schema_field port_stats_fields[] = {
    PORT_NAME,
    {.name = "queues",
	.type = SCHEMA_OBJECT,
	.object = "queue",
	.flags = TOLD_SHOWN | SCHEMA_LIST,
	.about = "queues that were in use since the start"},
    END,
};

static const struct schema_field address_fields[] = {
    {.name = "mac",
	.type = SCHEMA_MAC,
	.flags = SCHEMA_KEY | SCHEMA_COLUMN,
	.about = "the MAC address"},
    {.name = "port",
	.type = SCHEMA_STRING,
	.flags = TOLD_SHOWN,
	.about = "port behind which it is"},
    {.name = "age",
	ANY_NUMBER,
	.unit = "seconds",
	.flags = TOLD_SHOWN,
	.about = "time since a frame came from it, as a multiple of a tick of the table"},
    END,
};

static const struct schema_field worker_fields[] = {
    {.name = "index",
	ANY_NUMBER,
	.flags = SCHEMA_KEY | SCHEMA_COLUMN,
	.about = "number of the worker"},
    {.name = "cpu", ANY_NUMBER, .flags = TOLD_SHOWN, .about = "CPU on which it runs"},
    {.name = "node", ANY_NUMBER, .flags = TOLD_SHOWN, .about = "NUMA node of this CPU"},
    {.name = "asleep", .type = SCHEMA_BOOL, .flags = TOLD_SHOWN, .about = "it sleeps now"},
    {.name = "busy",
	.type = SCHEMA_UINT,
	.max = 1000,
	.unit = "thousandths",
	.flags = TOLD_SHOWN,
	.about = "part of the last interval in which it moved frames"},
    {.name = "queues", ANY_NUMBER, .flags = TOLD_SHOWN, .about = "queues that it polls"},
    {.name = "frames", ANY_NUMBER, .flags = TOLD_SHOWN, .about = "frames that it took from guests"},
    {.name = "sleeps", ANY_NUMBER, .flags = TOLD, .about = "how often it slept"},
    END,
};

static const struct schema_field event_fields[] = {
    {.name = "event",
	.type = SCHEMA_WORD,
	.words = event_names,
	.flags = TOLD_SHOWN,
	.about = "what happened"},
    {.name = "time",
	ANY_NUMBER,
	.unit = "milliseconds",
	.flags = TOLD_SHOWN,
	.about = "when, since 1970"},
    {.name = "port",
	.type = SCHEMA_STRING,
	.flags = TOLD_SHOWN,
	.about = "port that it happened to"},
    {.name = "lost",
	ANY_NUMBER,
	.flags = TOLD_SHOWN,
	.about = "events that this client did not get"},
    END,
};

static const char *const config_actions[] = {"add", "del", "set", "replace", NULL};

static const struct schema_field config_fields[] = {
    {.name = "ports",
	.type = SCHEMA_OBJECT,
	.object = "port",
	.flags = SCHEMA_LIST,
	.list_max = 1024,
	.about = "all ports, with the fields that differ from the defaults"},
    END,
};

static const struct schema_field change_fields[] = {
    {.name = "action",
	.type = SCHEMA_WORD,
	.words = config_actions,
	.flags = TOLD_SHOWN,
	.about = "what is done; a port is replaced if a field changes that cannot change later"},
    {.name = "object", .type = SCHEMA_STRING, .flags = TOLD_SHOWN, .about = "kind of object"},
    {.name = "name", .type = SCHEMA_STRING, .flags = TOLD_SHOWN, .about = "its name"},
    {.name = "because",
	.type = SCHEMA_STRING,
	.flags = TOLD_SHOWN | SCHEMA_NULL,
	.about = "field that differs"},
    END,
};

static const struct schema_object objects[] = {
    {"version", "What answers", version_fields},
    {"switch", "The switch as a whole", switch_fields},
    {"port", "A port: a socket for the front-end of a guest", port_fields},
    {"port_stats", "The counters of a port", port_stats_fields},
    {"queue", "A queue of a port", queue_fields},
    {"drop", "Frames that were dropped for one reason", drop_fields},
    {"fdb", "An entry of the address table", address_fields},
    {"worker", "A thread that moves frames, on a CPU of its own", worker_fields},
    {"event", "Something that happened", event_fields},
    {"config", "A configuration", config_fields},
    {"change", "A difference between a configuration and the running one", change_fields},
    END,
};

static const struct schema_field port_add_params[] = {
    {.name = "exist_ok",
	.type = SCHEMA_BOOL,
	.preset = "false",
	.about = "it is no fault if the port is there already, with the same socket"},
    END,
};

static const struct schema_field port_del_params[] = {
    {.name = "missing_ok",
	.type = SCHEMA_BOOL,
	.preset = "false",
	.about = "it is no fault if there is no such port"},
    END,
};

static const struct schema_field port_list_params[] = {
    {.name = "from",
	.type = SCHEMA_UINT,
	.max = 1024,
	.preset = "0",
	.about = "where to go on: \"next\" of the answer before"},
    {.name = "limit",
	.type = SCHEMA_UINT,
	.min = 1,
	.max = 256,
	.preset = "256",
	.about = "the most entries of one answer; more may follow"},
    END,
};

static const struct schema_field fdb_list_params[] = {
    {.name = "port",
	.type = SCHEMA_STRING,
	.min = 1,
	.max = 128,
	.names = "port",
	.about = "only addresses behind this port"},
    {.name = "from",
	.type = SCHEMA_UINT,
	.max = UINT32_MAX,
	.preset = "0",
	.about = "where to go on: \"next\" of the answer before"},
    {.name = "limit",
	.type = SCHEMA_UINT,
	.min = 16,
	.max = 4096,
	.preset = "1024",
	.about = "the most entries of one answer; there may be fewer, and more may follow"},
    END,
};

static const struct schema_field fdb_flush_params[] = {
    {.name = "port",
	.type = SCHEMA_STRING,
	.min = 1,
	.max = 128,
	.names = "port",
	.about = "only addresses behind this port"},
    END,
};

static const struct schema_field worker_move_params[] = {
    {.name = "port",
	.type = SCHEMA_STRING,
	.min = 1,
	.max = 128,
	.names = "port",
	.flags = SCHEMA_REQUIRED,
	.about = "the port, which is up"},
    {.name = "queue",
	.type = SCHEMA_UINT,
	.max = 255,
	.flags = SCHEMA_REQUIRED,
	.about = "number of the ingress queue, as port.stats shows it: an odd one"},
    {.name = "to",
	.type = SCHEMA_UINT,
	.max = 127,
	.flags = SCHEMA_REQUIRED,
	.about = "number of the worker that is to poll it"},
    END,
};

#define CONFIG_PARAM \
	{ \
		.name = "config", .type = SCHEMA_OBJECT, .object = "config", \
		.flags = SCHEMA_REQUIRED, .about = "the configuration" \
	}

static const struct schema_field config_diff_params[] = {CONFIG_PARAM, END};

static const struct schema_field config_apply_params[] = {
    CONFIG_PARAM,
    {.name = "dry_run",
	.type = SCHEMA_BOOL,
	.preset = "false",
	.about = "change nothing, and tell what would change"},
    END,
};

static const struct schema_field log_set_params[] = {
    {.name = "level",
	.type = SCHEMA_WORD,
	.words = log_levels,
	.flags = SCHEMA_REQUIRED,
	.about = "lines of this level and of more severe ones are written"},
    END,
};

static const struct schema_field subscribe_params[] = {
    {.name = "events",
	.type = SCHEMA_WORD,
	.words = event_names,
	.flags = SCHEMA_LIST,
	.list_max = MANAGE_EVENTS_N,
	.about = "which events; all of them if it is left out"},
    END,
};

static const struct schema_method methods[] = {
    {.name = "version",
	.object = "version",
	.gives = SCHEMA_GIVES_OBJECT,
	.about = "Tell the version of the switch"},
    {.name = "switch.show",
	.object = "switch",
	.gives = SCHEMA_GIVES_OBJECT,
	.about = "Show the switch as a whole"},
    {.name = "switch.set",
	.object = "switch",
	.takes = SCHEMA_TAKES_CHANGES,
	.gives = SCHEMA_GIVES_OBJECT,
	.about = "Change how the switch works, until its end",
	.changes = true},
    {.name = "port.add",
	.object = "port",
	.takes = SCHEMA_TAKES_NEW,
	.params = port_add_params,
	.gives = SCHEMA_GIVES_OBJECT,
	.about = "Add a port",
	.changes = true},
    {.name = "port.del",
	.object = "port",
	.takes = SCHEMA_TAKES_KEY,
	.params = port_del_params,
	.about = "Remove a port, and disconnect its front-end",
	.changes = true},
    {.name = "port.list",
	.object = "port",
	.params = port_list_params,
	.gives = SCHEMA_GIVES_LIST,
	.about = "List all ports, or a part of them"},
    {.name = "port.show",
	.object = "port",
	.takes = SCHEMA_TAKES_KEY,
	.gives = SCHEMA_GIVES_OBJECT,
	.about = "Show one port"},
    {.name = "port.stats",
	.object = "port_stats",
	.takes = SCHEMA_TAKES_KEY,
	.gives = SCHEMA_GIVES_OBJECT,
	.about = "Show the counters of one port"},
    {.name = "fdb.list",
	.object = "fdb",
	.params = fdb_list_params,
	.gives = SCHEMA_GIVES_LIST,
	.about = "List the address table, or a part of it"},
    {.name = "fdb.flush",
	.params = fdb_flush_params,
	.about = "Forget MAC addresses; they are learned again from the next frames",
	.changes = true},
    {.name = "worker.list",
	.object = "worker",
	.gives = SCHEMA_GIVES_LIST,
	.about = "List the workers"},
    {.name = "worker.move",
	.params = worker_move_params,
	.about = "Let another worker poll a queue, without a loss; the balancer may move it on",
	.changes = true},
    {.name = "log.set",
	.params = log_set_params,
	.about = "Choose what the log has",
	.changes = true},
    {.name = "config.get",
	.object = "config",
	.gives = SCHEMA_GIVES_OBJECT,
	.about = "Tell the running configuration"},
    {.name = "config.diff",
	.object = "change",
	.params = config_diff_params,
	.gives = SCHEMA_GIVES_LIST,
	.about = "Tell how a configuration differs from the running one"},
    {.name = "config.apply",
	.object = "change",
	.params = config_apply_params,
	.gives = SCHEMA_GIVES_LIST,
	.about = "Change what differs from a configuration, all or nothing",
	.changes = true},
    {.name = "config.save",
	.about = "Write the running configuration to the file of --config",
	.changes = true},
    {.name = "schema.get",
	.gives = SCHEMA_GIVES_SCHEMA,
	.about = "Describe all objects and methods as JSON Schema"},
    {.name = "subscribe",
	.params = subscribe_params,
	.about = "Send notifications of events to this client from now on"},
    {.name = "unsubscribe", .about = "Send no more notifications to this client"},
    {.name = "shutdown", .about = "End the switch", .changes = true},
    END,
};

const struct schema schema_switch = {.objects = objects, .methods = methods};

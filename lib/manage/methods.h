/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The functions behind the methods of the schema. Each takes checked parameters, and does a bounded
 * amount of work: a front-end may wait meanwhile.
 *
 * Threads: the control thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "manage/error.h"
#include "manage/events.h"
#include "manage/manage.h"
#include "manage/rpc.h"

struct address_watch;
struct change;

struct manage {
	struct manage_config config;
	bool ending;               /* a client has asked for it */
	struct rpc_server *server; /* NULL: there is no control socket */
	int64_t started_ms;
	json_t *given; /* an object with the names of the ports that the command line gave */
	struct change *change;
	struct address_watch *addresses;
};

struct bridge;
struct bridge_config;
struct port_config;
struct port_settings;
struct switch_port;

extern const struct rpc_method manage_methods[];

/* Has a client subscribed to this event? If so, the event can be published. */
bool manage_wanted(const struct manage *manage, enum manage_event event);
/* Tell it to these clients. Takes the reference to params. */
void manage_publish(const struct manage *manage, enum manage_event event, json_t *params);

/* X(function): their `arg` is a struct manage */
#define MANAGE_HANDLERS(X) \
	X(method_version) \
	X(method_switch_show) \
	X(method_switch_set) \
	X(method_port_add) \
	X(method_port_del) \
	X(method_port_set) \
	X(method_port_list) \
	X(method_port_show) \
	X(method_port_stats) \
	X(method_bridge_add) \
	X(method_bridge_del) \
	X(method_bridge_set) \
	X(method_bridge_list) \
	X(method_fdb_list) \
	X(method_fdb_add) \
	X(method_fdb_del) \
	X(method_fdb_flush) \
	X(method_worker_list) \
	X(method_worker_move) \
	X(method_log_set) \
	X(method_config_get) \
	X(method_config_diff) \
	X(method_config_apply) \
	X(method_config_save) \
	X(method_schema_get) \
	X(method_subscribe) \
	X(method_unsubscribe) \
	X(method_shutdown)

#define X(function) json_t *function(const struct rpc_call *call);
MANAGE_HANDLERS(X)
#undef X

/* The port that this parameter names. NULL: there is none, and the error says so. */
struct switch_port *manage_find_port(const struct rpc_call *call, const char *field);

/* The bridge that this parameter names. NULL: there is none, and the error says so. */
struct bridge *manage_find_bridge(const struct rpc_call *call, const char *field);

/* What port.show tells of a port. */
json_t *manage_port(const struct switch_port *sp);

/* The fields of a port that can be set; without a name and a socket if there is none. */
json_t *manage_port_config(const struct port_config *config);

/*
 * What these checked fields say; *ret_config has the defaults. Texts are those of `port`. False:
 * error.
 */
bool manage_read_port(const char *about, const json_t *port, struct port_config *ret_config,
    struct manage_error *error);

/* The fields of a bridge that can be set, from struct bridge_config and back. */
json_t *manage_bridge_config(const struct bridge_config *config);
void manage_read_bridge(const json_t *bridge, struct bridge_config *config);

/* All bridges with these fields, as an array. */
json_t *manage_bridges(const struct vswitch *sw);

/* The fields of these settings, all but those that are not set. */
json_t *manage_settings(const struct port_settings *settings);

/*
 * Take what these checked fields say; what is not given stays. The bridge may not exist. False:
 * error.
 */
bool manage_read_settings(const char *about, const json_t *port, struct port_settings *settings,
    struct manage_error *error);

/* A text that was checked. */
void manage_read_mac(const char *text, uint8_t ret_mac[6]);

/* Give a port other settings. False: error, and nothing has changed. `about` begins the message. */
bool manage_set_port(struct switch_port *sp, const char *about,
    const struct port_settings *settings, struct manage_error *error);

/* How a port could be added so that it would be as it is now. */
struct port_config manage_config_of(const struct switch_port *sp);

/* Add a port with these checked fields. `about` begins the message. NULL: error. */
struct switch_port *manage_add_port(
    struct vswitch *sw, const char *about, const json_t *port, struct manage_error *error);

/* The running configuration: what config.get gives. */
json_t *manage_config(const struct manage *manage);

/* The ports that a configuration can describe, with all fields, as an array. */
json_t *apply_current_ports(const struct vswitch *sw);

/* May a client put the socket of this port there? False: error. `about` begins the message. */
bool manage_allows_socket(
    const struct manage *manage, const char *about, const json_t *port, struct manage_error *error);

/* A name that may be no UTF-8, because it is a path: then it is shown with question marks. */
json_t *manage_text(const char *text);

/* The text of a MAC, which is as mac_load() returns it. */
json_t *manage_mac(uint64_t mac);

/* The answer of a list. Takes the reference to entries. */
json_t *manage_list(json_t *entries, json_t *next);

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What apply.c and apply_bridges.c share; for them only.
 *
 * Threads: the control thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "manage/apply_outcome.h"
#include "manage/config.h"

/* X(id, function): what comes one after the other. A function does the step at *at. */
#define STAGES(X) \
	X(CHECK_BRIDGES, apply_check_bridge) \
	X(CHECK, check_next) \
	X(COMPARE, compare) \
	X(ADD_BRIDGES, apply_add_bridge) \
	X(TAKE_AWAY, take_away) \
	X(ADD_NEW, add_new) \
	X(REMOVE, remove_old) \
	X(SET, set_next) \
	X(ADD_FREED, add_freed) \
	X(DEL_BRIDGES, apply_del_bridge) \
	X(UNDO_ADDED, undo_added) \
	X(UNDO_SET, undo_set) \
	X(UNDO_REMOVED, undo_removed) \
	X(UNDO_BRIDGES, apply_undo_bridge) \
	X(DONE, NULL)

enum stage {
#define X(id, function) STAGE_##id,
	STAGES(X)
#undef X
};

struct apply {
	const struct manage *manage;
	struct vswitch *sw;
	const char *about;
	bool dry_run, any_socket, at_once;
	enum stage stage;
	size_t at;          /* the next port or change of this stage */
	json_t *given;      /* ports of the configuration, as they are written there */
	json_t *now, *then; /* ports with all fields */
	json_t *sockets;    /* an object with the paths of the ports that there are */
	struct config_changes changes;
	bool *done;       /* by change: the new port was added, or the port was set */
	bool *gone;       /* by change: the old port was removed */
	bool *taken;      /* by change: the port has lost static addresses that it is to lose */
	unsigned lost;    /* ports that were removed and could not be added again */
	unsigned not_set; /* ports that could not be set as they were */
	bool failed;
	json_t *given_bridges, *now_bridges, *then_bridges;
	struct config_changes bridge_changes;
	bool *bridge_done;  /* by change: the bridge was added, or set */
	bool again;         /* the step has to wait for something, and is tried again later */
	int64_t give_up_ns; /* when nothing is waited for any more; 0: nothing has been */
	struct apply_outcome outcome;
};

/* The fault is there. Returns false. */
bool apply_fail_at(struct apply *apply, const char *list, size_t index);

/* Of the objects with the same name, the second one; APPLY_NO_PLACE: there is none. */
size_t apply_second_of_name(const json_t *list);

/* Stages: see apply.c. */
bool apply_check_bridge(struct apply *apply);
bool apply_add_bridge(struct apply *apply);
bool apply_del_bridge(struct apply *apply);
bool apply_undo_bridge(struct apply *apply);

/* Before the ports are compared. False: there is a fault. */
bool apply_compare_bridges(struct apply *apply);

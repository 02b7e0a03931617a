/* SPDX-License-Identifier: BSD-3-Clause */
#include "manage/methods.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "bridge/fdb.h"
#include "control/vswitch.h"

static const char *shown_level(void)
{
	const char *name = "";

#define X(id, text) \
	if (log_level_shown(LOG_##id)) \
		name = (text);
	LOG_LEVELS(X)
#undef X
	return name;
}

static unsigned ports_up(const struct vswitch *sw, unsigned *ret_ports)
{
	const struct switch_port *sp;
	unsigned up = 0;

	*ret_ports = 0;
	for (unsigned p = 0; (sp = vswitch_port_next(sw, &p));) {
		(*ret_ports)++;
		up += switch_port_up(sp);
	}
	return up;
}

json_t *method_switch_show(const struct rpc_call *call)
{
	static const char *const modes[] = SCHEDULE_MODES;
	const struct manage *m = call->arg;
	const struct vswitch *sw = m->config.sw;
	const struct schedule_config *schedule = scheduler_config(sw->scheduler);
	unsigned ports, up = ports_up(sw, &ports);

	return json_pack(
	    "{s:s, s:i, s:I, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:s, s:i, s:i, s:i, s:I, s:s}",
	    "version", VSWITCHD_VERSION, "pid", (int)getpid(), "uptime",
	    (json_int_t)((clock_ms() - m->started_ms) / 1000), "ports", (int)ports, "ports_up",
	    (int)up, "workers", (int)workers_count(sw->workers), "addresses",
	    (json_int_t)fdb_count(sw->fdb), "addresses_max", (json_int_t)sw->fdb->max_entries,
	    "addresses_moved", (json_int_t)fdb_moves(sw->fdb), "addresses_refused",
	    (json_int_t)fdb_refused(sw->fdb), "balance", modes[schedule->mode], "balance_interval",
	    (int)schedule->interval_ms, "balance_threshold", (int)schedule->busy_percent,
	    "forget_after", (int)sw->address_owners.forget_after_s, "queues_moved",
	    (json_int_t)scheduler_counts(sw->scheduler).moved, "log_level", shown_level());
}

/* What is not given stays as it is. */
static void take_number(const json_t *params, const char *name, unsigned *value)
{
	const json_t *given = json_object_get(params, name);

	if (given)
		*value = (unsigned)json_integer_value(given);
}

json_t *method_switch_set(const struct rpc_call *call)
{
	static const char *const modes[] = SCHEDULE_MODES;
	const struct manage *m = call->arg;
	struct vswitch *sw = m->config.sw;
	struct schedule_config schedule = *scheduler_config(sw->scheduler);
	const char *mode = json_string_value(json_object_get(call->params, "balance"));

	for (unsigned i = 0; mode && i < ARRAY_SIZE(modes); i++)
		if (strcmp(mode, modes[i]) == 0)
			schedule.mode = i;
	take_number(call->params, "balance_interval", &schedule.interval_ms);
	take_number(call->params, "balance_threshold", &schedule.busy_percent);
	take_number(call->params, "forget_after", &sw->address_owners.forget_after_s);
	scheduler_set(sw->scheduler, &schedule);
	return method_switch_show(call);
}

/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "base/util.h"
#include "manage/address_watch.h"
#include "manage/methods.h"

#define ADDRESS_EVENTS \
	(1u << MANAGE_EVENT_ADDRESS_LEARNED | 1u << MANAGE_EVENT_ADDRESS_MOVED | \
	    1u << MANAGE_EVENT_ADDRESS_FORGOTTEN)

static unsigned event_bit(const char *name)
{
	static const char *const names[] = {
#define X(id, text, when) [MANAGE_EVENT_##id] = (text),
	    MANAGE_EVENTS(X)
#undef X
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], name) == 0)
			return 1u << i;
	return 0;
}

json_t *method_subscribe(const struct rpc_call *call)
{
	const json_t *names = json_object_get(call->params, "events");
	unsigned events = names ? 0 : (1u << MANAGE_EVENTS_N) - 1;
	size_t i;
	json_t *name;

	json_array_foreach(names, i, name) events |= event_bit(json_string_value(name));
	if ((events & ADDRESS_EVENTS) && address_watch_waits(call))
		return NULL;
	rpc_session_subscribe(call->session, events);
	return json_object();
}

json_t *method_unsubscribe(const struct rpc_call *call)
{
	rpc_session_subscribe(call->session, 0);
	return json_object();
}

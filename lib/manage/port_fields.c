/* SPDX-License-Identifier: BSD-3-Clause */
/* The fields of a port that can be set, from struct port_config and back. */
#include "manage/methods.h"

#include <stdio.h>
#include <string.h>

#include "control/ports.h"
#include "control/report_vhost.h"
#include "net/net_features.h"

struct port_config manage_config_of(const struct switch_port *sp)
{
	struct port_config config = *vswitch_port_config(sp);

	config.settings = *vswitch_port_settings(sp);
	return config;
}

static const char *text_of(const json_t *port, const char *name)
{
	return json_string_value(json_object_get(port, name));
}

/* Add the names of features to a text, each with this sign and with a comma before the second one.
 */
static size_t add_names(char *text, size_t n, size_t room, const char *sign, uint64_t features)
{
	json_t *names = report_features(features), *name;
	size_t i;

	json_array_foreach(names, i, name)
	{
		if (n < room)
			n += (size_t)snprintf(text + n, room - n, "%s%s%s", n ? "," : "", sign,
			    json_string_value(name));
	}
	json_decref(names);
	return n;
}

/*
 * A list for --features that offers only these, in one form: as a difference to "all", or as their
 * names if that is shorter. A configuration of many ports has to fit into a line.
 */
static json_t *feature_list(uint64_t features)
{
	char names[640] = "", difference[640] = "all";
	size_t n = add_names(names, 0, sizeof(names), "", features), m = strlen(difference);

	m = add_names(difference, m, sizeof(difference), "-", NET_FEATURES_USUAL & ~features);
	m = add_names(difference, m, sizeof(difference), "+", features & ~NET_FEATURES_USUAL);
	return json_string(n && n < m ? names : difference);
}

json_t *manage_port_config(const struct port_config *c)
{
	const struct net_offer *o = &c->offer;
	json_t *port = json_pack("{s:o*, s:o*, s:b, s:i, s:o*, s:o, s:b, s:b, s:b, s:b, s:s}",
	    "name", c->name ? manage_text(c->name) : NULL, "socket",
	    c->path ? manage_text(c->path) : NULL, "client", c->mode == VHOST_ENDPOINT_CLIENT,
	    "queue_pairs", (int)o->queue_pairs, "max_mtu", o->mtu ? json_integer(o->mtu) : NULL,
	    "offer", feature_list(o->features), "iommu", (int)o->iommu, "postcopy",
	    (int)o->postcopy, "host_notifier", (int)o->host_notifier, "inband", (int)o->inband,
	    "guest_memory", o->memory_any ? "any" : "shared");

	json_object_update_new(port, manage_settings(&c->settings));
	return port;
}

/* What is not given stays as it is. */
static void take_bool(const json_t *port, const char *name, bool *value)
{
	const json_t *given = json_object_get(port, name);

	if (given)
		*value = json_is_true(given);
}

static bool take_offer(
    const char *about, const json_t *port, struct net_offer *offer, struct manage_error *error)
{
	const char *text = text_of(port, "offer");
	char word[64], names[640];

	take_bool(port, "iommu", &offer->iommu);
	take_bool(port, "postcopy", &offer->postcopy);
	take_bool(port, "host_notifier", &offer->host_notifier);
	take_bool(port, "inband", &offer->inband);
	if (!text || net_features_parse(text, &offer->features, word, sizeof(word)))
		return true;
	net_features_names(names, sizeof(names));
	manage_fail(error, MANAGE_PARAMS, "%s: offer: there is no feature \"%s\"; it can be %s",
	    about, word + strspn(word, "+-"), names);
	error->data = json_pack("{s:s, s:O, s:s}", "field", "offer", "value",
	    json_object_get(port, "offer"), "expected", names);
	return false;
}

bool manage_read_port(
    const char *about, const json_t *port, struct port_config *c, struct manage_error *error)
{
	const json_t *client = json_object_get(port, "client");
	const json_t *pairs = json_object_get(port, "queue_pairs");
	const json_t *mtu = json_object_get(port, "max_mtu");
	const char *memory = text_of(port, "guest_memory");

	c->name = text_of(port, "name");
	c->path = text_of(port, "socket");
	if (client)
		c->mode = json_is_true(client) ? VHOST_ENDPOINT_CLIENT : VHOST_ENDPOINT_SERVER;
	if (pairs)
		c->offer.queue_pairs = (unsigned)json_integer_value(pairs);
	if (mtu)
		c->offer.mtu = (uint16_t)json_integer_value(mtu);
	if (memory)
		c->offer.memory_any = strcmp(memory, "any") == 0;
	return take_offer(about, port, &c->offer, error) &&
	    manage_read_settings(about, port, &c->settings, error);
}

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The fields of a port that can change while it runs, from struct port_settings and back. What a
 * request does not have stays as it is. A field that its mode of VLANs does not have is refused,
 * not ignored. A new mode drops the fields that it does not have.
 */
#include "manage/methods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ethernet.h"
#include "control/ports.h"
#include "manage/check.h"

/* X(word, set, mode): vlan_mode */
#define MODES(X) \
	X("none", false, VLAN_TRUNK) \
	X("trunk", true, VLAN_TRUNK) \
	X("access", true, VLAN_ACCESS) \
	X("qinq", true, VLAN_QINQ)

static const char *mode_name(const struct vlan_config *vlan)
{
#define X(word, is_set, its_mode) \
	if (vlan->set == (is_set) && (!vlan->set || vlan->mode == (its_mode))) \
		return (word);
	MODES(X)
#undef X
	return "none";
}

static void take_mode(const char *name, struct vlan_config *vlan)
{
#define X(word, is_set, its_mode) \
	if (strcmp(name, (word)) == 0) { \
		vlan->set = (is_set); \
		vlan->mode = (its_mode); \
	}
	MODES(X)
#undef X
	if (!vlan->set)
		*vlan = (struct vlan_config){.set = false};
	if (vlan->mode != VLAN_TRUNK) {
		vlan->tpid = 0;
		vlan->trunk = (struct vlan_set){.word = {0}};
	}
}

/* "10,20-29" */
static json_t *vlans_text(const struct vlan_set *set)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	const char *comma = "";
	json_t *json;

	for (unsigned from = VLAN_MIN; out && from <= VLAN_MAX; from++) {
		unsigned to = from;

		if (!vlan_set_has(set, (uint16_t)from))
			continue; /* not in the list */
		while (to < VLAN_MAX && vlan_set_has(set, (uint16_t)(to + 1)))
			to++;
		fprintf(out, to > from ? "%s%u-%u" : "%s%u", comma, from, to);
		comma = ",";
		from = to;
	}
	if (out)
		fclose(out);
	json = n ? json_string(text) : NULL;
	free(text);
	return json;
}

static json_t *mac_json(const uint8_t mac[6])
{
	return json_sprintf(
	    "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static json_t *statics_json(const struct port_settings *s)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < s->n_mac_static; i++) {
		const struct port_static *a = &s->mac_static[i];

		json_array_append_new(list,
		    json_pack("{s:o, s:o*}", "mac", mac_json(a->mac), "vlan",
			a->vlan ? json_integer(a->vlan) : NULL));
	}
	return list;
}

static json_t *allowed_json(const struct port_settings *s)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < s->n_mac_allow; i++)
		json_array_append_new(list, mac_json(s->mac_allow[i].mac));
	return list;
}

/* X(name): members of struct port_settings, with the names of the schema. */
#define POLICY_NUMBERS(X) \
	X(mac_limit) \
	X(storm_broadcast) \
	X(storm_multicast) \
	X(storm_unknown)
#define POLICY_FLAGS(X) \
	X(mac_move_guard) \
	X(isolated)

static void add_policy(const struct port_settings *s, json_t *port)
{
	if (s->n_mac_allow)
		json_object_set_new(port, "mac_allow", allowed_json(s));
#define X(name) json_object_set_new(port, #name, json_integer(s->name));
	POLICY_NUMBERS(X)
#undef X
#define X(name) json_object_set_new(port, #name, json_boolean(s->name));
	POLICY_FLAGS(X)
#undef X
}

static void take_policy(const json_t *port, struct port_settings *s)
{
	const json_t *list = json_object_get(port, "mac_allow"), *mac;
	size_t i;

	if (list)
		s->n_mac_allow = 0;
	json_array_foreach(list, i, mac)
	    manage_read_mac(json_string_value(mac), s->mac_allow[s->n_mac_allow++].mac);
#define X(name) \
	if (json_object_get(port, #name)) \
		s->name = (uint32_t)json_integer_value(json_object_get(port, #name));
	POLICY_NUMBERS(X)
#undef X
#define X(name) \
	if (json_object_get(port, #name)) \
		s->name = json_is_true(json_object_get(port, #name));
	POLICY_FLAGS(X)
#undef X
}

json_t *manage_settings(const struct port_settings *s)
{
	const struct vlan_config *v = &s->vlan;
	json_t *port = json_pack("{s:s, s:s, s:o*, s:o*, s:o*, s:o*}", "bridge",
	    *s->bridge ? s->bridge : BRIDGE_DEFAULT, "vlan_mode", mode_name(v), "vlan",
	    v->vlan ? json_integer(v->vlan) : NULL, "trunk", vlans_text(&v->trunk), "tpid",
	    v->tpid ? json_sprintf("0x%04x", v->tpid) : NULL, "mac_static",
	    s->n_mac_static ? statics_json(s) : NULL);

	add_policy(s, port);
	return port;
}

static bool refuse(const char *about, const char *field, const json_t *value, const char *expected,
    struct manage_error *error)
{
	manage_fail_field(error, MANAGE_PARAMS, about, field, value, expected);
	return false;
}

/* "native" is "vlan" of a trunk, and of nothing else. */
static bool take_native(
    const char *about, const json_t *port, struct vlan_config *vlan, struct manage_error *error)
{
	const json_t *native = json_object_get(port, "native");
	const json_t *number = json_object_get(port, "vlan");

	if (!native)
		return true;
	if (!vlan->set || vlan->mode != VLAN_TRUNK)
		return refuse(about, "native", native, "used without a trunk", error);
	if (number && !json_equal(number, native))
		return refuse(about, "native", native, "the same as vlan", error);
	vlan->vlan = (uint16_t)json_integer_value(native);
	return true;
}

static bool take_vlan(
    const char *about, const json_t *port, struct vlan_config *vlan, struct manage_error *error)
{
	const json_t *mode = json_object_get(port, "vlan_mode"),
		     *number = json_object_get(port, "vlan");
	const json_t *trunk = json_object_get(port, "trunk"), *tpid = json_object_get(port, "tpid");
	bool is_trunk;

	if (mode)
		take_mode(json_string_value(mode), vlan);
	else if (!vlan->set && (trunk || tpid || number))
		take_mode(trunk || tpid ? "trunk" : "access", vlan);
	is_trunk = vlan->set && vlan->mode == VLAN_TRUNK;
	if (number && !vlan->set)
		return refuse(about, "vlan", number, "used with vlan_mode none", error);
	if ((trunk || tpid) && !is_trunk)
		return refuse(about, trunk ? "trunk" : "tpid", trunk ? trunk : tpid,
		    "used without vlan_mode trunk", error);
	if (number)
		vlan->vlan = (uint16_t)json_integer_value(number);
	if (trunk) {
		memset(&vlan->trunk, 0, sizeof(vlan->trunk));
		check_vlans(json_string_value(trunk), vlan->trunk.word);
	}
	if (tpid)
		vlan->tpid = (uint16_t)strtoul(json_string_value(tpid), NULL, 16);
	if (vlan->set && !is_trunk && !vlan->vlan)
		return refuse(
		    about, "vlan", NULL, "vlan_mode access and qinq need the VLAN", error);
	return take_native(about, port, vlan, error);
}

static bool take_statics(
    const char *about, const json_t *port, struct port_settings *s, struct manage_error *error)
{
	const json_t *list = json_object_get(port, "mac_static"), *entry;
	size_t i;

	if (list)
		s->n_mac_static = 0;
	json_array_foreach(list, i, entry)
	{
		struct port_static *a = &s->mac_static[s->n_mac_static++];
		const char *text = json_string_value(json_object_get(entry, "mac"));

		if (!text)
			return refuse(
			    about, "mac_static", entry, "an object with a \"mac\"", error);
		manage_read_mac(text, a->mac);
		a->vlan = (uint16_t)json_integer_value(json_object_get(entry, "vlan"));
	}
	return true;
}

void manage_read_mac(const char *text, uint8_t ret_mac[6])
{
	uint64_t number = 0;

	check_mac(text, &number);
	for (unsigned i = 0; i < 6; i++)
		ret_mac[i] = (uint8_t)(number >> 8 * i);
}

bool manage_read_settings(
    const char *about, const json_t *port, struct port_settings *s, struct manage_error *error)
{
	const char *bridge = json_string_value(json_object_get(port, "bridge"));

	if (bridge)
		snprintf(s->bridge, sizeof(s->bridge), "%s", bridge);
	take_policy(port, s);
	return take_vlan(about, port, &s->vlan, error) && take_statics(about, port, s, error);
}

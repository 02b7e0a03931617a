/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * A forwarding is one allocation. Its parts are taken twice from an arena: first to find the size,
 * then in the allocated memory.
 *
 * The members of the VLANs of a bridge are sets. Most ports are members of all VLANs, or of few. So
 * only the VLANs that are special have a set of their own: those that are in the list of a port
 * which is not a member of all VLANs. All other VLANs share the set of the ports that are in all
 * VLANs. Domain 0 is not a VLAN, so it is special, too.
 */
#include "datapath/forwarding.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static void fill_dests(struct forwarding *fwd, const struct forwarding_config *config)
{
	for (unsigned i = 0; i < config->n_ports; i++) {
		const struct port *port = config->port[i];

		if (port)
			fwd->dest[i] = (struct dest){
			    .port = port,
			    .bridge = port->bridge,
			    .edit = config->bridge[port->bridge].vlans ? EDIT_VLAN : EDIT_NONE,
			};
	}
}

/* Which VLANs of a bridge have sets of their own, and how many sets the bridge has. */
struct plan {
	unsigned n_sets;
	struct vlan_set special;
};

/* The VLANs of a port; NULL: it is down, or in another bridge. */
static const struct vlan_port *port_in(
    const struct forwarding_config *config, unsigned port, unsigned bridge)
{
	const struct port *p = config->port[port];

	return p && p->bridge == bridge ? &p->policy->vlan : NULL;
}

static void make_plan(const struct forwarding_config *config, unsigned bridge, struct plan *plan)
{
	*plan = (struct plan){.n_sets = 1};
	if (!config->bridge[bridge].vlans)
		return;
	vlan_set_add(&plan->special, 0);
	for (unsigned i = 0; i < config->n_ports; i++) {
		const struct vlan_port *port = port_in(config, i, bridge);

		for (unsigned k = 0; port && !port->all && k < ARRAY_SIZE(port->member.word); k++)
			plan->special.word[k] |= port->member.word[k];
	}
	for (unsigned k = 0; k < ARRAY_SIZE(plan->special.word); k++)
		plan->n_sets += __builtin_popcountll(plan->special.word[k]);
}

static unsigned count_sets(const struct plan plan[], unsigned n)
{
	unsigned sets = 0;

	for (unsigned i = 0; i < n; i++)
		sets += plan[i].n_sets;
	return sets;
}

static void add_member(struct members *set, unsigned id)
{
	set->word[id / 64] |= UINT64_C(1) << id % 64;
	set->n++;
}

/* Add a port to the sets of the special VLANs in one word of its list. */
static void add_special(
    struct members set[], const uint16_t set_of[], uint64_t vlans, unsigned first, unsigned id)
{
	for (; vlans; vlans &= vlans - 1)
		add_member(&set[set_of[first + __builtin_ctzll(vlans)]], id);
}

/* The VLANs of a port in word k of its list, without domain 0. */
static uint64_t vlans_in_word(const struct vlan_port *port, unsigned k)
{
	return port->member.word[k] & (k ? UINT64_MAX : ~UINT64_C(1));
}

static void number_sets(const struct plan *plan, uint16_t set_of[])
{
	unsigned n = 1;

	for (unsigned vlan = 0; vlan < VLAN_DOMAINS; vlan++)
		set_of[vlan] = vlan_set_has(&plan->special, vlan) ? n++ : 0;
}

/*
 * Fill the sets of a bridge with VLANs. The set of all other VLANs is set[0]. Most ports are
 * members of all VLANs. They are added to set[0] only, of which the sets of special VLANs are
 * copies at first. Domain 0 has set[1]; a port that is in all VLANs need not be in it.
 */
static void fill_vlan_sets(const struct forwarding_config *config, unsigned bridge,
    const struct plan *plan, struct members set[], uint16_t set_of[])
{
	number_sets(plan, set_of);
	for (unsigned i = 0; i < config->n_ports; i++) {
		const struct vlan_port *port = port_in(config, i, bridge);

		if (port && port->all)
			add_member(&set[0], i);
		if (port && vlan_member(port, 0))
			add_member(&set[set_of[0]], i);
	}
	for (unsigned n = 2; n < plan->n_sets; n++)
		set[n] = set[0];
	for (unsigned i = 0; i < config->n_ports; i++) {
		const struct vlan_port *port = port_in(config, i, bridge);

		for (unsigned k = 0; port && !port->all && k < ARRAY_SIZE(port->member.word); k++)
			add_special(set, set_of, vlans_in_word(port, k), 64 * k, i);
	}
}

/* The arrays of all poll lists, n_queues entries each. */
struct lists {
	struct queue **queue;
	uint64_t *key;
	uint32_t *tenure;
	uint16_t *port;
};

static void fill_poll_lists(
    struct forwarding *fwd, const struct forwarding_config *config, const struct lists *lists)
{
	unsigned n = 0;

	for (unsigned w = 0; w < config->n_workers; w++) {
		unsigned first = n;
		bool kicks = true;

		for (unsigned i = 0; i < config->n_queues; i++) {
			struct queue *q = config->queue[i];

			if (q->worker != w)
				continue; /* another worker's */
			kicks &= q->kicks;
			lists->key[n] = poll_key(q);
			lists->tenure[n] = q->tenure;
			lists->port[n] = q->port->index;
			lists->queue[n++] = q;
		}
		fwd->poll[w] = (struct poll_list){
		    .n = n - first,
		    .kicks = kicks,
		    .queue = lists->queue + first,
		    .key = lists->key + first,
		    .tenure = lists->tenure + first,
		    .port = lists->port + first,
		};
	}
}

bool poll_list_equal(const struct poll_list *a, const struct poll_list *b)
{
	return a->n == b->n && a->kicks == b->kicks &&
	    memcmp(a->key, b->key, a->n * sizeof(*a->key)) == 0 &&
	    memcmp(a->tenure, b->tenure, a->n * sizeof(*a->tenure)) == 0;
}

/* A forwarding is one allocation. It contains these pieces, in this order. */
struct pieces {
	struct forwarding *fwd;
	struct dest *dest;
	struct lists list;
	struct bridge_view *bridge;
	struct members *set; /* of all bridges */
	uint16_t *set_of;    /* VLAN_DOMAINS for each bridge with VLANs */
};

static unsigned count_vlan_bridges(const struct forwarding_config *config)
{
	unsigned n = 0;

	for (unsigned i = 0; i < config->n_bridges; i++)
		n += config->bridge[i].vlans;
	return n;
}

static struct pieces take_pieces(
    struct arena *arena, const struct forwarding_config *config, const struct plan plan[])
{
	size_t n_ports = config->n_ports, n_queues = config->n_queues;
	struct pieces p;

	p.fwd = arena_take(arena,
	    sizeof(struct forwarding) + config->n_workers * sizeof(struct poll_list),
	    _Alignof(struct forwarding));
	arena_align(arena, CACHE_LINE);
	p.dest = ARENA_ARRAY(arena, struct dest, n_ports);
	p.list.queue = ARENA_ARRAY(arena, struct queue *, n_queues);
	p.list.key = ARENA_ARRAY(arena, uint64_t, n_queues);
	p.list.tenure = ARENA_ARRAY(arena, uint32_t, n_queues);
	p.list.port = ARENA_ARRAY(arena, uint16_t, n_queues);
	p.bridge = ARENA_ARRAY(arena, struct bridge_view, config->n_bridges);
	p.set = ARENA_ARRAY(arena, struct members, count_sets(plan, config->n_bridges));
	p.set_of = ARENA_ARRAY(arena, uint16_t, (size_t)VLAN_DOMAINS * count_vlan_bridges(config));
	arena_align(arena, CACHE_LINE);
	return p;
}

static void fill_bridges(
    const struct forwarding_config *config, const struct plan plan[], const struct pieces *pieces)
{
	struct members *set = pieces->set;
	uint16_t *set_of = pieces->set_of;

	for (unsigned i = 0; i < config->n_bridges; i++) {
		struct bridge_view *bridge = &pieces->bridge[i];

		*bridge = (struct bridge_view){.fdb = config->bridge[i].fdb, .members = set};
		if (config->bridge[i].vlans) {
			bridge->members_of = set_of;
			fill_vlan_sets(config, i, &plan[i], set, set_of);
			set_of += VLAN_DOMAINS;
		}
		for (unsigned p = 0; !config->bridge[i].vlans && p < config->n_ports; p++)
			if (port_in(config, p, i))
				add_member(set, p);
		set += plan[i].n_sets;
	}
}

static struct forwarding *create(const struct forwarding_config *config, const struct plan plan[])
{
	struct arena arena = {0};
	struct pieces p;
	size_t size;

	take_pieces(&arena, config, plan);
	size = arena.used;
	arena = (struct arena){.memory = aligned_alloc(CACHE_LINE, size)};
	if (!arena.memory)
		return NULL;
	memset(arena.memory, 0, size);
	p = take_pieces(&arena, config, plan);
	p.fwd->n_dests = config->n_ports;
	p.fwd->dest = p.dest;
	p.fwd->n_bridges = config->n_bridges;
	p.fwd->bridge = p.bridge;
	fill_dests(p.fwd, config);
	fill_bridges(config, plan, &p);
	fill_poll_lists(p.fwd, config, &p.list);
	return p.fwd;
}

int forwarding_create(const struct forwarding_config *config, struct forwarding **ret_forwarding)
{
	struct plan *plan = calloc(config->n_bridges, sizeof(*plan));
	struct forwarding *fwd = NULL;

	for (unsigned i = 0; plan && i < config->n_bridges; i++)
		make_plan(config, i, &plan[i]);
	if (plan)
		fwd = create(config, plan);
	free(plan);
	if (!fwd)
		return -ENOMEM;
	*ret_forwarding = fwd;
	return 0;
}

void forwarding_destroy(struct forwarding *fwd)
{
	free(fwd);
}

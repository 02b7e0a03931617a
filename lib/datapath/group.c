/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 5: sort the burst by destination queue and edit, and deliver each group.
 *
 * No two destinations have a queue and an edit in common. So a group is found by the id of its
 * destination and the number of the queue there.
 * Flooded frames go first, port by port. Then each destination ring is visited once for all its
 * unicast frames. If a flow has both kinds in one burst, its destination was learned in between, so
 * the flooded frames are the older ones.
 * If the floods would take the burst too long, frames are left in the source's ring for its next
 * visit. A frame that takes too long for any burst is copied to some destinations in each visit, in
 * the order of their ids, and stays the first frame of its ring until it has reached the last one.
 * If a destination ring is full, its driver is called, and the ring is checked again, and visited
 * again if it got more buffers. For unicast frames this happens after all other destinations have
 * been served, for a flood before the next port is served. A burst has BURST_RETRIES such checks in
 * total. Then the frames that are left are dropped: a slow guest must not delay the others.
 */
#include "datapath/burst.h"

#include <rte_pause.h>

#include "datapath/deliver.h"
#include "datapath/edit.h"
#include "datapath/flow_hash.h"
#include "datapath/notify.h"
#include "datapath/queue.h"

#define RETRY_PAUSE 6

/* Choose the queue of the port for a frame. All frames of a flow get the same queue. */
static unsigned choose_queue(struct burst *b, const struct port *to, unsigned i)
{
	struct frame *f = &b->frame[i];
	uint32_t len;

	if (LIKELY(to->n_egress == 1))
		return 0;
	len = b->plain ? MIN(f->len, HEAD_BYTES) : f->head_len;
	f->hash = flow_hash(b->head[i].data, len);
	return ((uint64_t)f->hash * to->n_egress) >> 32;
}

static ALWAYS_INLINE void group_init(struct group *group, struct queue *q, uint32_t slot)
{
	group->queue = q;
	group->slot = slot;
	group->n = 0;
	group->done = 0;
	group->needs = 0;
	group->part = group->rest = 0;
	group->change = (struct change){0};
}

/* Add frame i to the group of its queue. `to` is the port of destination dest. */
static struct group *group_put(struct burst *b, unsigned dest, const struct port *to, unsigned i)
{
	unsigned k = choose_queue(b, to, i);
	uint32_t slot = dest * PORT_QUEUES_MAX + k;
	unsigned g = b->group_of_slot[slot];
	struct group *group;

	if (g == 0) {
		g = ++b->n_groups;
		b->group_of_slot[slot] = g;
		group_init(&b->group[g - 1], to->egress[k], slot);
	}
	group = &b->group[g - 1];
	group->frame[group->n++] = i;
	group->needs |= b->plain ? b->plain_needs : b->frame[i].needs;
	return group;
}

/* The frame is edited first, so that a flow gets the same queue in floods. */
static __attribute__((noinline)) struct group *group_put_edited(
    struct burst *b, unsigned dest, const struct port *to, unsigned i)
{
	struct change change = edit_frame(b, to, i);
	struct group *group = group_put(b, dest, to, i);

	if (change.resize)
		group->change = change;
	return group;
}

/* Edit frame i if destination dest asks for this, and add it to the group of its queue. */
static struct group *group_add(struct burst *b, unsigned dest, const struct port *to, unsigned i)
{
	return UNLIKELY(b->fwd->dest[dest].edit) ? group_put_edited(b, dest, to, i)
						 : group_put(b, dest, to, i);
}

static void groups_reset(struct burst *b)
{
	for (unsigned g = 0; g < b->n_groups; g++)
		b->group_of_slot[b->group[g].slot] = 0;
	b->n_groups = 0;
}

/* Prefetch all rings first, so that their cache misses overlap. */
static void groups_prefetch(const struct burst *b)
{
	for (unsigned g = 0; g < b->n_groups; g++)
		queue_prefetch(b->group[g].queue);
}

/* Did the queue have too few buffers, and may it get more? */
static bool group_waits(const struct group *group)
{
	return group->done < group->n && group->more.word;
}

/*
 * Deliver frames of each group until the group is done or its queue has too few buffers. True: a
 * queue had too few.
 */
static bool groups_deliver(struct burst *b)
{
	bool full = false;

	for (unsigned g = 0; g < b->n_groups; g++) {
		deliver_group(b, &b->group[g]);
		full |= b->group[g].done < b->group[g].n;
	}
	return full;
}

static bool groups_wait(const struct burst *b)
{
	bool wait = false;

	for (unsigned g = 0; g < b->n_groups; g++)
		wait |= group_waits(&b->group[g]);
	return wait;
}

/* Visit full rings again if they show more buffers than before. */
static void groups_deliver_more(struct burst *b)
{
	for (unsigned g = 0; g < b->n_groups; g++) {
		struct group *group = &b->group[g];

		if (group_waits(group) && vring_peek_avail(&group->more))
			deliver_group(b, group);
	}
}

/* The lock protects the counters of the queue, too. */
static void group_drop_rest(struct group *group)
{
	struct queue *q = group->queue;

	if (group->done == group->n)
		return;
	if (q->shared)
		rte_spinlock_lock(&q->lock);
	deliver_drop_rest(group);
	if (q->shared)
		rte_spinlock_unlock(&q->lock);
}

static void groups_drop_rest(struct burst *b)
{
	for (unsigned g = 0; g < b->n_groups; g++)
		group_drop_rest(&b->group[g]);
}

/* The driver of a full ring may be asleep: call it, wait a little, and check the ring again. */
static __attribute__((noinline)) void groups_retry(struct burst *b)
{
	for (; b->retries && groups_wait(b); b->retries--) {
		burst_notify(b);
		for (unsigned i = 0; i < RETRY_PAUSE; i++)
			rte_pause();
		groups_deliver_more(b);
	}
	groups_drop_rest(b);
}

/* Deliver all groups, with a bounded number of retries, and forget them. */
static void groups_finish(struct burst *b)
{
	if (UNLIKELY(groups_deliver(b)))
		groups_retry(b);
	groups_reset(b);
}

/* Give all frames after the first `keep` back to the ring. They have not been counted yet. */
static void give_back(struct burst *b, unsigned keep)
{
	for (unsigned i = keep; i < b->n; i++)
		b->bytes -= edit_taken_len(b, i);
	burst_keep(b, keep);
}

/* The cost of copying all these frames to one port. */
static uint32_t copies_cost(const struct burst *b, const uint8_t frames[], unsigned n)
{
	uint32_t cost = 0;

	for (unsigned i = 0; i < n; i++)
		cost += b->frame[frames[i]].len + FLOOD_COPY;
	return cost;
}

/* The domain of frame i, if the bridge has VLANs. */
static uint16_t domain_of(const struct burst *b, unsigned i)
{
	return b->policy->features & POLICY_VLAN ? b->vlan[i].domain : 0;
}

/* The destinations of a flood of frame i. */
static const struct members *flood_members(const struct burst *b, unsigned i)
{
	return bridge_members(b->bridge, domain_of(b, i));
}

/* The first member from id `dest` on; DESTS_MAX: there is none. */
static unsigned next_member(const struct members *members, unsigned dest)
{
	while (dest < DESTS_MAX) {
		uint64_t word = members->word[dest / 64] >> dest % 64;

		if (word)
			return dest + __builtin_ctzll(word);
		dest = (dest / 64 + 1) * 64;
	}
	return DESTS_MAX;
}

/* Is the flood that goes on in another bridge or domain than it began in? */
static bool flood_has_moved(const struct burst *b, unsigned i)
{
	return b->source->flood_bridge != b->bridge_number ||
	    b->source->flood_domain != domain_of(b, i);
}

/*
 * Copy the listed frames, which are in one domain, to every destination but those on the source's
 * port. Returns the number of copies of each frame. If the burst has only one frame, the flood may
 * stop after some destinations; the next visit goes on with the one after them. But it ends there
 * if the port's bridge or the frame's domain has changed, so that no frame is in two of them.
 */
static unsigned flood_copy(struct burst *b, const uint8_t frames[], unsigned n)
{
	const struct members *members = flood_members(b, frames[0]);
	uint32_t cost = copies_cost(b, frames, n);
	unsigned copies = 0, dest = b->flood_next;

	if (UNLIKELY(dest) && flood_has_moved(b, frames[0]))
		return 0;
	for (; (dest = next_member(members, dest)) < DESTS_MAX; dest++) {
		const struct port *to = b->fwd->dest[dest].port;

		if (to->index == b->source->port->index || to->n_egress == 0)
			continue; /* not a destination of a flood */
		if (UNLIKELY(b->policy->features & to->policy->features & POLICY_ISOLATED))
			continue; /* both are isolated */
		if (UNLIKELY(b->flood < cost) && b->n == 1) {
			b->source->flood_next = dest;
			b->source->flood_bridge = b->bridge_number;
			b->source->flood_domain = domain_of(b, frames[0]);
			give_back(b, 0);
			break;
		}
		for (unsigned i = 0; i < n; i++)
			group_add(b, dest, to, frames[i]);
		groups_finish(b);
		b->flood -= MIN(b->flood, cost + b->out.walked * FLOOD_BUFFER);
		copies++;
	}
	return copies;
}

/* Flood the listed frames, which are in one domain. */
static void flood_domain(struct burst *b, const uint8_t frames[], unsigned n)
{
	struct queue_stats *stats = &b->source->stats;
	unsigned copies = flood_copy(b, frames, n);

	stats->flood_copies += (uint64_t)copies * n;
	if (b->n == 0)
		return; /* the next visit goes on with the frame */
	if (copies || b->flood_next)
		stats->flooded += n;
	else
		stats->drops[DROP_NO_DESTINATION] += n;
}

/* Flood the listed frames, domain by domain. The list is used up. */
static void flood(struct burst *b, uint8_t frames[], unsigned n)
{
	while (n) {
		uint16_t domain = domain_of(b, frames[0]);
		uint8_t together[BURST_FRAMES];
		unsigned left = 0, k = 0;

		for (unsigned i = 0; i < n; i++) {
			if (domain_of(b, frames[i]) == domain)
				together[k++] = frames[i];
			else
				frames[left++] = frames[i];
		}
		flood_domain(b, together, k);
		n = left;
	}
}

/*
 * Go on with the flood of the first frame, so that each port gets it once. This is done even if its
 * destination is known by now. The next frames wait.
 */
static __attribute__((noinline)) void flood_again(struct burst *b)
{
	give_back(b, 1);
	b->source->flood_next = 0;
	if (b->frame[0].dest != DEST_NONE)
		b->frame[0].dest = DEST_FLOOD;
}

static enum storm_kind storm_kind(const uint8_t *head)
{
	uint64_t dst = mac_load(head);

	if (!mac_is_group(dst))
		return STORM_UNKNOWN;
	return dst == FDB_MAC ? STORM_BROADCAST : STORM_MULTICAST;
}

/*
 * May frame i be flooded? A frame whose flood goes on was counted before. A frame that goes back to
 * the ring is not counted.
 */
static bool flood_allowed(const struct burst *b, unsigned i)
{
	const struct port_policy *policy = b->policy;
	enum storm_kind kind = storm_kind(b->head[i].data);
	uint32_t most = policy->storm[kind];

	return !most || b->flood_next ||
	    storm_allows(&policy->storm_count->window[kind], most, b->now_s);
}

/*
 * List the frames to flood. If a frame costs too much for this burst, it goes back to the ring,
 * with all later frames. But if it is the first frame, it stays in the burst, alone, and is flooded
 * in parts.
 */
static unsigned flood_list(struct burst *b, uint8_t frames[])
{
	uint64_t cost = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < b->n; i++) {
		uint64_t before = cost;

		if (LIKELY(b->frame[i].dest != DEST_FLOOD))
			continue; /* nothing to flood */
		cost += (uint64_t)flood_members(b, i)->n * (b->frame[i].len + FLOOD_COPY);
		if (UNLIKELY(cost > b->flood))
			give_back(b, MAX(i, 1u));
		if (i >= b->n)
			break; /* given back */
		if (UNLIKELY(b->policy->features & POLICY_STORM) && !flood_allowed(b, i)) {
			burst_drop(b, i, DROP_STORM);
			cost = before; /* nothing is copied */
		} else {
			frames[n++] = i;
		}
	}
	return n;
}

/* Let the copy edit all frames. False: some frames have to be edited one by one. */
static bool edit_all(struct burst *b, const struct port *to, struct group *group)
{
	if (b->alike)
		group->change = edit_frame(b, to, 0);
	return b->alike && b->plain;
}

/* Deliver all frames as one group, if the port has one queue. False: nothing was delivered. */
static bool forward_all(struct burst *b, unsigned dest)
{
	const struct port *to = burst_dest_port(b, dest);
	struct group *group = &b->group[0];

	if (UNLIKELY(!to || to->n_egress != 1))
		return false;
	group_init(group, to->egress[0], dest * PORT_QUEUES_MAX);
	if (UNLIKELY(b->fwd->dest[dest].edit) && !edit_all(b, to, group))
		return false;
	group->n = b->n;
	group->needs = b->plain_needs;
	for (unsigned i = 0; i < BURST_FRAMES; i++)
		group->frame[i] = i;
	b->n_groups = 1;
	b->source->stats.unicast += b->n;
	groups_finish(b);
	return true;
}

/* Sort the frames by destination, one by one. */
static void forward_each(struct burst *b)
{
	const struct forwarding *fwd = b->fwd;
	uint8_t flooded[BURST_FRAMES];
	unsigned n_flooded, n_unicast = 0;
	/* The destination of the previous frame, and its group if that port has only one queue. */
	unsigned last_dest = DEST_NONE;
	struct group *last = NULL;
	const struct port *last_port = NULL;

	if (UNLIKELY(b->flood_next))
		flood_again(b);
	n_flooded = flood_list(b, flooded);
	if (UNLIKELY(n_flooded))
		flood(b, flooded, n_flooded);

	for (unsigned i = 0; i < b->n; i++) {
		unsigned dest = b->frame[i].dest;

		if (LIKELY(dest == last_dest && last)) {
			if (UNLIKELY(fwd->dest[dest].edit))
				edit_frame(b, last_port, i);
			last->frame[last->n++] = i;
			last->needs |= b->plain ? b->plain_needs : b->frame[i].needs;
			n_unicast++;
			continue; /* it has the same destination as the frame before */
		}
		if (UNLIKELY(dest == DEST_NONE))
			b->source->stats.drops[b->frame[i].hash]++;
		if (UNLIKELY(dest >= DEST_NONE))
			continue; /* dropped, or flooded above */
		const struct port *to = dest < fwd->n_dests ? burst_dest_port(b, dest) : NULL;

		if (UNLIKELY(!to || to->n_egress == 0)) {
			b->source->stats.drops[DROP_PORT_DOWN]++;
			continue; /* dropped */
		}
		struct group *group = group_add(b, dest, to, i);

		last = to->n_egress == 1 ? group : NULL;
		last_port = to;
		last_dest = dest;
		n_unicast++;
	}
	b->source->stats.unicast += n_unicast;
	groups_prefetch(b);
	groups_finish(b);
}

void burst_forward(struct burst *b)
{
	unsigned dest = b->only_dest;

	if (LIKELY(dest < b->fwd->n_dests) && LIKELY(!b->flood_next) &&
	    LIKELY(forward_all(b, dest)))
		return;
	for (unsigned i = 0; dest != DEST_NONE && i < b->n; i++)
		b->frame[i].dest = dest;
	forward_each(b);
}

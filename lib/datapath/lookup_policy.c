/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stage 4 for a port with a policy: learn and look up each frame in its domain, and apply what
 * depends on the destination. lookup.c explains trains and verdicts; here the frames of a train are
 * in the same domain, too.
 */
#include "datapath/lookup.h"

/* The addresses of the trains, with their domains, and the train of each frame. */
struct trains {
	unsigned n;
	uint64_t dst[BURST_FRAMES], src[BURST_FRAMES];
	uint16_t verdict[BURST_FRAMES];
	uint8_t of[BURST_FRAMES];
};

static bool dropped(const struct burst *b, unsigned i)
{
	return !b->plain && b->frame[i].dest == DEST_NONE;
}

static uint16_t domain_of(const struct burst *b, unsigned i)
{
	return b->policy->features & POLICY_VLAN ? b->vlan[i].domain : 0;
}

/* Are all frames of the burst in one domain, with the same addresses? */
static bool one_train(const struct burst *b)
{
	if ((b->policy->features & POLICY_VLAN) && !b->alike)
		return false;
	return b->plain && lookup_one_train(b);
}

static uint64_t address(const struct burst *b, unsigned i, unsigned at)
{
	return fdb_address(mac_load(b->head[i].data + at), domain_of(b, i));
}

static void find_trains(const struct burst *b, struct trains *t)
{
	unsigned n = one_train(b) ? 1 : b->n;

	t->n = 0;
	memset(t->of, 0, sizeof(t->of));
	for (unsigned i = 0; i < n; i++) {
		uint64_t dst, src;

		if (UNLIKELY(dropped(b, i)))
			continue; /* with its reason */
		dst = address(b, i, 0);
		src = address(b, i, 6);
		if (t->n == 0 || dst != t->dst[t->n - 1] || src != t->src[t->n - 1]) {
			t->dst[t->n] = dst;
			t->src[t->n] = src;
			t->n++;
		}
		t->of[i] = t->n - 1;
	}
}

/* Verdicts of this file, beside those of enum forward_verdict. */
#define DROP_VERDICT_ISOLATED 0xfff0
#define DROP_VERDICT_UNKNOWN  0xfff1
#define DROP_VERDICT_LIMIT    0xfff2
#define DROP_VERDICT_MOVE     0xfff3

/*
 * An address may have been learned on the port before the port left the VLAN. Then its entry is
 * about to be forgotten, and the address counts as unknown.
 */
static uint16_t check_member(const struct burst *b, uint16_t verdict, uint64_t dst)
{
	const struct port *to;

	if (verdict >= b->fwd->n_dests || !(b->policy->features & POLICY_VLAN))
		return verdict;
	to = burst_dest_port(b, verdict);
	if (to && !vlan_member(&to->policy->vlan, dst >> FDB_MAC_BITS))
		return FORWARD_FLOOD;
	return verdict;
}

static uint16_t check_isolated(const struct burst *b, uint16_t verdict)
{
	const struct port *to;

	if (verdict >= b->fwd->n_dests)
		return verdict;
	to = burst_dest_port(b, verdict);
	return to && (to->policy->features & POLICY_ISOLATED) ? DROP_VERDICT_ISOLATED : verdict;
}

/* The verdict of a train by the policy. */
static uint16_t check(const struct burst *b, uint16_t verdict, uint64_t dst)
{
	verdict = check_member(b, verdict, dst);
	if (b->policy->features & POLICY_ISOLATED)
		verdict = check_isolated(b, verdict);
	if ((b->policy->features & POLICY_DROP_UNKNOWN) && verdict == FORWARD_FLOOD &&
	    !mac_is_group(dst))
		verdict = DROP_VERDICT_UNKNOWN;
	return verdict;
}

static void take_verdict(struct burst *b, unsigned i, uint16_t verdict)
{
	static const uint8_t reasons[] = {
	    [DROP_VERDICT_ISOLATED & 15] = DROP_ISOLATED,
	    [DROP_VERDICT_UNKNOWN & 15] = DROP_UNKNOWN,
	    [DROP_VERDICT_LIMIT & 15] = DROP_MAC_LIMIT,
	    [DROP_VERDICT_MOVE & 15] = DROP_MAC_MOVE,
	};

	if (UNLIKELY(verdict >= DROP_VERDICT_ISOLATED && verdict <= DROP_VERDICT_MOVE))
		burst_drop(b, i, reasons[verdict & 15]);
	else
		lookup_take_verdict(b, i, verdict);
}

/* Is each source known on this port? Then nothing is learned that the policy forbids. */
static bool all_known(const struct burst *b, const struct trains *t)
{
	for (unsigned k = 0; k < t->n; k++)
		if (fdb_lookup(b->bridge->fdb, t->src[k]) != b->source->port->index)
			return false;
	return true;
}

/* May this source, which is not known on port `self`, be learned? Returns 0, or the verdict. */
static uint16_t check_source(
    const struct port_policy *policy, const struct fdb *fdb, uint16_t self, uint16_t owner)
{
	/* Also if the owner is down: it is back soon, or its addresses are forgotten. */
	if ((policy->features & POLICY_MAC_GUARD) && owner != FDB_NONE)
		return DROP_VERDICT_MOVE;
	if ((policy->features & POLICY_MAC_LIMIT) && fdb_port_count(fdb, self) >= policy->mac_limit)
		return DROP_VERDICT_LIMIT;
	return 0;
}

bool policy_may_learn(
    const struct port_policy *policy, const struct fdb *fdb, uint16_t self, uint64_t address)
{
	uint16_t owner = fdb_lookup(fdb, address);

	if ((policy->features & POLICY_MAC_ALLOW) && !policy_lists_mac(policy, address & FDB_MAC))
		return false;
	return owner == self || check_source(policy, fdb, self, owner) == 0;
}

/* Learn and look up train k alone, if the policy allows its source. */
static uint16_t forward_one(struct burst *b, const struct trains *t, unsigned k)
{
	uint16_t self = b->source->port->index, owner, verdict = 0;
	struct fdb *fdb = b->bridge->fdb;

	if (fdb_is_station(t->src[k])) {
		owner = fdb_lookup(fdb, t->src[k]);
		if (owner != self)
			verdict = check_source(b->policy, fdb, self, owner);
	}
	if (!verdict)
		forward_burst(fdb, self, b->now_s, 1, &t->dst[k], &t->src[k], &verdict);
	return verdict;
}

/* Each source that is learned counts towards the limit, so new sources go one by one. */
static void forward_trains(struct burst *b, struct trains *t)
{
	uint32_t careful = POLICY_MAC_LIMIT | POLICY_MAC_GUARD;

	if ((b->policy->features & careful) && !all_known(b, t)) {
		for (unsigned k = 0; k < t->n; k++)
			t->verdict[k] = forward_one(b, t, k);
		return;
	}
	forward_burst(
	    b->bridge->fdb, b->source->port->index, b->now_s, t->n, t->dst, t->src, t->verdict);
}

static bool all_to_one_dest(const struct trains *t)
{
	for (unsigned i = 1; i < t->n; i++)
		if (t->verdict[i] != t->verdict[0])
			return false;
	return t->n && t->verdict[0] < DESTS_MAX;
}

void lookup_with_policy(struct burst *b)
{
	struct trains t;

	find_trains(b, &t);
	forward_trains(b, &t);
	for (unsigned k = 0; k < t.n; k++) {
		/* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): forward_trains() set it */
		t.verdict[k] = check(b, t.verdict[k], t.dst[k]);
	}
	if (b->plain && all_to_one_dest(&t)) {
		b->only_dest = t.verdict[0];
		return;
	}
	for (unsigned i = 0; i < b->n; i++) {
		if (UNLIKELY(dropped(b, i)))
			continue; /* with its reason */
		take_verdict(b, i, t.verdict[t.of[i]]);
	}
}

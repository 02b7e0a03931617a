# SPDX-License-Identifier: BSD-3-Clause
"""The goals of the switch, and whether they were reached.

GOALS is the list of all goals: each says how its figure comes from a result, what the figure must be and what
is aimed at. "Times as fast" is the ratio of the switching core's cycles per frame. If one of the two waited
for the generator, or frames per second differ from that, both figures are shown. If a figure is missing
because a subject failed or spoiled frames, the verdict is a fault, not a gap.
"""

from typing import Callable, NamedTuple, Optional

import real
from figures import (
    APART, BOUND, FLOOR, LOSSY, NOISY, OURS, OVS, RTE_VHOST, RTE_VHOST_CHAINED, first_frames, median, pairs,
    present, quartile, ratio, spread, fault_text
)

MET, AIM_MET, MISSED, NOT_MEASURED, NOT_JUDGED = "met", "aim met", "MISSED", "not measured", "not judged"
FAULT = "FAULT"


BELOW_FLOOR = 0.9  # less than this nobody believes
FIRST_FRAME = 100  # us
REAL_TIMES, REAL_TIMES_AIM, REAL_FLOOR = 1.5, 2.0, 1.25  # with each kind of traffic that guests send
REAL_SHORT = 1.15  # frames of 60 bytes beside frames of 64


class Goal(NamedTuple):
    case: str
    figure: str
    seen: Callable  # (results, figures of windows) -> (value, remarks) or None
    must: float
    aim: Optional[float] = None
    least: bool = True  # at least, or at most
    unit: str = ""
    of: tuple = ()  # (section, cases or None for all, subjects): whose faults are faults of the figure


def waiting(subjects, *names):
    return [f"{name} waits for the generator (busy {subjects[name]['busy']:.0%})"
            for name in names if subjects[name]["busy"] < BOUND]


def noisy(subjects):
    floor = subjects.get(FLOOR)
    return [f"noisy: the floor's spread was {floor['spread']:.0%}"] if floor and floor["spread"] > NOISY else []


def losing(subjects, *names):
    return [f"{name} lost up to {subjects[name]['lost']:.1%} of its frames"
            for name in names if subjects[name]["lost"] > LOSSY]


def ratio_remarks(one, two, waits):
    """How many times as fast `one` is as `two`, by cycles and by frames/s, if that needs to be told."""
    cycles, rates = ratio(two, one), ratio(one, two, "run_rates")
    if cycles is None or rates is None:
        return waits
    apart = max(cycles, rates) / min(cycles, rates) - 1 > APART
    if not waits and not apart:
        return []
    text = f"{cycles:.2f}x in cycles, {rates:.2f}x in frames/s"
    if waits and apart and abs(rates - 1) < abs(cycles - 1):
        text += ": the generator was the limit"
    return [text, *waits]


def compared(subjects, *names):
    """Remarks on us and another one in the same case."""
    one, two = (subjects[name] for name in names)
    return ratio_remarks(one, two, waiting(subjects, *names)) + losing(subjects, *names) + noisy(subjects)


def faster(section, case, peer):
    """How many times a peer's cycles are ours."""
    def seen(_, figs):
        subjects = figs.get(section, {}).get(case, {})
        if peer not in subjects or OURS not in subjects:
            return None
        return ratio(subjects[peer], subjects[OURS]), compared(subjects, OURS, peer)
    return seen


def over_floor(section, case):
    def seen(_, figs):
        subjects = figs.get(section, {}).get(case, {})
        if FLOOR not in subjects or OURS not in subjects:
            return None
        value = ratio(subjects[OURS], subjects[FLOOR])
        remarks = compared(subjects, OURS, FLOOR)
        if value is not None and value < BELOW_FLOOR:
            remarks.append("below the floor: one of the two was measured at a bad moment")
        return value, remarks
    return seen


def worst_over_floor(section, ring):
    """The most expensive of all sizes."""
    def seen(results, figs):
        found = []
        for case in figs.get(section, {}):
            one = over_floor(section, case)(results, figs) if case.split()[1] == ring else None
            if one and one[0] is not None:
                found.append((one[0], case, one[1]))
        if not found:
            return None
        value, case, remarks = max(found)
        return value, [f"of {len(found)} sizes, at {case.split()[0]} bytes", *remarks]
    return seen


def cost_ratio(section, case, other, floor_case="64 packed"):
    """Our cycles in one case over those in another."""
    def seen(_, figs):
        cases = figs.get(section, {})
        one, two = cases.get(case, {}), cases.get(other, {})
        if OURS not in one or OURS not in two:
            return None
        waits, lost = ([f"{name}: {text}" for name, subjects in ((case, one), (other, two))
                        for text in found(subjects, OURS)] for found in (waiting, losing))
        remarks = ratio_remarks(one[OURS], two[OURS], waits) + lost + noisy(cases.get(floor_case, {}))
        return ratio(one[OURS], two[OURS]), remarks
    return seen


def looked_up(macs):
    def seen(results, _):
        runs = results.get("lookup", {}).get(str(macs), [])
        return (quartile(run["lookup"] for run in runs), []) if runs else None
    return seen


def latency_ratio(quantile):
    def seen(results, _):
        runs = results.get("latency", {}).get("runs", {})
        if not runs.get(OURS) or not runs.get(RTE_VHOST):
            return None
        both = [[run["latency_ns"][quantile] for run in pair] for pair in pairs(runs[OURS], runs[RTE_VHOST])]
        if not both:
            return None
        ours, theirs = zip(*both)
        remarks = [f"{median(ours) / 1e3:.2f} and {median(theirs) / 1e3:.2f} us"]
        if present(runs.get(FLOOR, [])):
            remarks += noisy({FLOOR: {"spread": spread(run["latency_ns"][quantile] for run in present(runs[FLOOR]))}})
        return median(a / b for a, b in both), remarks
    return seen


def loss_ratio(results, _):
    runs = present(results.get("loss", {}).get("runs", {}).get(OURS, []))
    if not runs:
        return None
    remarks = ["the generator was the limit"] if any(run["generator_limit"] for run in runs) else []
    value = median(run["ndr"] / median(run["mrr"]) for run in runs)
    if value > 1 + APART:  # more without loss than with as much as can be sent
        remarks.append("above 1: the MRR was measured at a bad moment")
    return value, remarks


def unaccounted_frames(results, _):
    runs = present(results.get("loss", {}).get("runs", {}).get(OURS, []))
    if not runs:
        return None
    total = sum(run["accounting"]["sent"] for run in runs)
    return sum(run["accounting"]["unaccounted"] for run in runs), [f"of {total} frames in all trials"]


def idle_share(results, _):
    runs = results.get("idle", {}).get("runs", [])
    return (100 * median(run["cpu"] for run in runs), []) if runs else None


def first_frame(results, _):
    """From when it was due to when it is through: most of it is the machine's, which wakes the worker."""
    pairs = first_frames(results.get("idle", {}).get("runs", []), "p50")
    if not pairs:
        return None
    baseline = median(b for _, b in pairs)
    remarks = [f"a baseline wake takes {baseline:.1f} us"]
    if baseline > FIRST_FRAME:
        remarks.append("nobody can be woken that fast here")
    return median(a for a, _ in pairs), remarks


def beyond_wake(results, _):
    """What of it is ours, round by round."""
    runs = results.get("idle", {}).get("runs", [])
    both = first_frames(runs, "p50")
    if not both:
        return None
    value = median(a - b for a, b in both)
    apart = median(abs(run["baseline"][0]["p50"] - run["baseline"][-1]["p50"]) / 1e3 for run in runs)
    return value, [f"noisy: baseline wakes before and after are {apart:.1f} us apart"] if apart > abs(value) else []


def at_most(case, figure, seen, must, aim=None, unit="", of=()):
    return Goal(case, figure, seen, must, aim, False, unit, of)


def times(case, section, name, peer, must, aim=None):
    return Goal(case, f"times as fast as {peer}", faster(section, name, peer), must, aim,
                of=(section, (name,), (OURS, peer)))


def floors(case, section, name, must, aim=None):
    return at_most(case, "of the floor's cycles", over_floor(section, name), must, aim,
                   of=(section, (name,), (OURS, FLOOR)))


def worst(case, section, ring, must, aim=None):
    return at_most(case, "of the floor's cycles", worst_over_floor(section, ring), must, aim,
                   of=(section, None, (OURS, FLOOR)))


def ours(section, *cases):
    return section, cases or None, (OURS,)


def real_goals():
    """At most so much more than the floor, and so many times as fast as rte_vhost. A switch does more than
    rte_vhost, so in rows that rte_vhost cannot carry OVS-DPDK takes its place."""
    found = []
    for row in real.ROWS:
        subjects = row.subjects()
        peers = [peer for peer in (RTE_VHOST, OVS) if peer in subjects][:1]
        found += [times(row.name, real.SECTION, row.name, peer, REAL_TIMES, REAL_TIMES_AIM) for peer in peers]
        if FLOOR in subjects:
            found.append(floors(row.name, real.SECTION, row.name, REAL_FLOOR))
    for short, usual in real.short_pairs():
        found.append(at_most(short, f"of the cycles of {usual}", cost_ratio(real.SECTION, short, usual, usual),
                             REAL_SHORT, of=ours(real.SECTION, short, usual)))
    return found


TSO = {rings: f"60000 packed TSO rings of {rings}" for rings in (256, 1024)}

GOALS = [
    times("64 B packed", "peers", "64 packed", RTE_VHOST, 1.8, 2.3),
    times("64 B packed", "peers", "64 packed", OVS, 2.6, 3.4),
    floors("64 B packed", "peers", "64 packed", 1.4, 1.1),
    times("64 B split", "peers", "64 split", RTE_VHOST, 2.0, 2.8),
    times("64 B split", "peers", "64 split", OVS, 2.7, 3.8),
    floors("64 B split", "peers", "64 split", 1.5, 1.1),
    times("512 B packed", "peers", "512 packed", RTE_VHOST, 2.0, 2.5),
    times("512 B packed", "peers", "512 packed", OVS, 2.7),
    times("1518 B packed", "peers", "1518 packed", RTE_VHOST, 2.2, 2.8),
    times("1518 B packed", "peers", "1518 packed", OVS, 2.7),
    floors("1518 B, every byte touched", "touch", "1518 packed touch", 1.15, 1.05),
    times("60 KB TSO frames, rings of 256", "tso", TSO[256], RTE_VHOST, 2.7),
    times("60 KB TSO frames, rings of 256", "tso", TSO[256], RTE_VHOST_CHAINED, 5.0),
    floors("60 KB TSO frames, rings of 256", "tso", TSO[256], 1.12, 1.05),
    times("60 KB TSO frames, rings of 1,024", "tso", TSO[1024], RTE_VHOST, 2.7),
    times("60 KB TSO frames, rings of 1,024", "tso", TSO[1024], RTE_VHOST_CHAINED, 5.0),
    floors("60 KB TSO frames, rings of 1,024", "tso", TSO[1024], 1.12, 1.05),
    at_most("look-up", "cycles among 16,384 addresses", looked_up(16384), 6, of=ours("lookup")),
    at_most("look-up", "cycles among 1,000,000 addresses", looked_up(1000000), 20, of=ours("lookup")),
    at_most("1,000,000 addresses", "of the cycles with one",
            cost_ratio("macs", "64 packed 1000000 MACs", "64 packed 1 MACs"), 2,
            of=ours("macs", "64 packed 1000000 MACs", "64 packed 1 MACs")),
    at_most("1,000 idle ports", "of the cycles without them",
            cost_ratio("ports", "64 packed 1000 idle ports", "64 packed 0 idle ports"), 1.1, 1.03,
            of=ours("ports", "64 packed 1000 idle ports", "64 packed 0 idle ports")),
    floors("64 B packed, guests are vswitch-pktgen", "limit", "64 packed", 1.4, 1.1),
    floors("64 B split, guests are vswitch-pktgen", "limit", "64 split", 1.5, 1.1),
    floors("9,000 B packed, guests are vswitch-pktgen", "limit", "9000 packed", 1.12, 1.05),
    floors("9,000 B split, guests are vswitch-pktgen", "limit", "9000 split", 1.12, 1.05),
    worst("most expensive of eight sizes, packed", "limit", "packed", 1.4),
    worst("most expensive of eight sizes, split", "limit", "split", 1.5),
    # The aim is one step of the histogram below.
    at_most("latency at 10 % load", f"of {RTE_VHOST}'s p50", latency_ratio("p50"), 1, 0.97,
            of=("latency", None, (OURS, RTE_VHOST))),
    at_most("latency at 10 % load", f"of {RTE_VHOST}'s p99", latency_ratio("p99"), 1, 0.97,
            of=("latency", None, (OURS, RTE_VHOST))),
    Goal("loss, rings of 256", "NDR over MRR", loss_ratio, 0.9, 0.95, of=ours("loss")),
    at_most("loss, rings of 256", "frames that the counters do not explain", unaccounted_frames, 0, of=ours("loss")),
    at_most("idle, sleeping", "of a core", idle_share, 2, unit=" %", of=ours("idle")),
    at_most("idle, sleeping", "until the first frame is through (p50)", first_frame, FIRST_FRAME, unit=" us",
            of=ours("idle")),
    at_most("idle, sleeping", "of these beyond a baseline wake", beyond_wake, 50, 20, unit=" us", of=ours("idle")),
    *real_goals(),
]


def verdict(goal, value):
    def holds(limit):
        return value >= limit if goal.least else value <= limit

    if value is None or value != value:
        return NOT_MEASURED
    if not holds(goal.must):
        return MISSED
    return AIM_MET if goal.aim is not None and holds(goal.aim) else MET


def faults_of(goal, faults):
    """Those that a goal's figure suffers from."""
    if not goal.of:
        return []
    section, cases, subjects = goal.of
    return [fault for fault in faults if fault["section"] == section
            and (fault["case"] is None or cases is None or fault["case"] in cases)
            and (fault["subject"] is None or fault["subject"] in subjects)]


def judge(results, figs, judged=True, faults=()):
    """A list with a row for every goal; results without those who spoiled frames."""
    rows = []
    for goal in GOALS:
        value, remarks = goal.seen(results, figs) or (None, [])
        suffered = faults_of(goal, faults)
        remarks = [*remarks, *(f"left out: {fault_text(fault)}" for fault in suffered)]
        found = verdict(goal, value)
        if found == NOT_MEASURED and suffered:
            found, remarks = FAULT, [fault_text(fault) for fault in suffered]
        rows.append({
            "case": goal.case, "figure": goal.figure, "seen": None if found in (NOT_MEASURED, FAULT) else value,
            "must": goal.must, "aim": goal.aim, "least": goal.least, "unit": goal.unit,
            "verdict": found if judged or found in (NOT_MEASURED, FAULT) else NOT_JUDGED, "remarks": remarks,
        })
    return rows

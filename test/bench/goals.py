# SPDX-License-Identifier: BSD-3-Clause
"""What the switch has to reach, and whether it did.

GOALS is the list of everything that is wanted: each says how its figure comes from a result, what it
must be and what is aimed at. How many times faster is told by the cycles of the switching core per
frame; where one of the two waited for the generator, the frames per second are told beside it.
"""

from typing import Callable, NamedTuple, Optional

from figures import (
    BOUND, FLOOR, NOISY, OURS, OVS, RTE_VHOST, RTE_VHOST_CHAINED, first_frames, median, quartile, ratio, spread
)

MET, AIM_MET, MISSED, NOT_MEASURED, NOT_JUDGED = "met", "aim met", "MISSED", "not measured", "not judged"


BELOW_FLOOR = 0.9  # less than this nobody believes
FIRST_FRAME = 100  # us


class Goal(NamedTuple):
    case: str
    figure: str
    seen: Callable  # (results, figures of windows) -> (value, remarks) or None
    must: float
    aim: Optional[float] = None
    least: bool = True  # at least, or at most
    unit: str = ""


def waiting(subjects, *names):
    return [f"{name} waits for the generator (busy {subjects[name]['busy']:.0%})"
            for name in names if subjects[name]["busy"] < BOUND]


def noisy(subjects):
    floor = subjects.get(FLOOR)
    return [f"noisy: the floor spreads {floor['spread']:.0%}"] if floor and floor["spread"] > NOISY else []


def faster(section, case, peer):
    """How many times a peer's cycles are ours."""
    def seen(_, figs):
        subjects = figs.get(section, {}).get(case, {})
        if peer not in subjects or OURS not in subjects:
            return None
        value = ratio(subjects[peer], subjects[OURS])
        remarks = waiting(subjects, OURS, peer)
        if remarks:
            rates = ratio(subjects[OURS], subjects[peer], "run_rates")
            remarks.append(f"{rates:.2f} times its frames/s")
        return value, remarks + noisy(subjects)
    return seen


def over_floor(section, case):
    def seen(_, figs):
        subjects = figs.get(section, {}).get(case, {})
        if FLOOR not in subjects or OURS not in subjects:
            return None
        value = ratio(subjects[OURS], subjects[FLOOR])
        remarks = waiting(subjects, OURS, FLOOR) + noisy(subjects)
        if value is not None and value < BELOW_FLOOR:
            remarks.append("below the floor: one of the two was measured at a bad moment")
        return value, remarks
    return seen


def beside(section, case, other, floor_case="64 packed"):
    """Our cycles in one case over those in another."""
    def seen(_, figs):
        cases = figs.get(section, {})
        one, two = cases.get(case, {}), cases.get(other, {})
        if OURS not in one or OURS not in two:
            return None
        remarks = [f"{name}: {text}" for name, subjects in ((case, one), (other, two))
                   for text in waiting(subjects, OURS)]
        if remarks:
            remarks.append(f"{ratio(one[OURS], two[OURS], 'run_rates'):.2f} times the frames/s")
        return ratio(one[OURS], two[OURS]), remarks + noisy(cases.get(floor_case, {}))
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
        ours, theirs = ([run["latency_ns"][quantile] for run in runs[name]] for name in (OURS, RTE_VHOST))
        remarks = [f"{median(ours) / 1e3:.2f} and {median(theirs) / 1e3:.2f} us"]
        if runs.get(FLOOR):
            remarks += noisy({FLOOR: {"spread": spread(run["latency_ns"][quantile] for run in runs[FLOOR])}})
        return ratio({"runs": ours}, {"runs": theirs}), remarks
    return seen


def loss_ratio(results, _):
    runs = results.get("loss", {}).get("runs", {}).get(OURS, [])
    if not runs:
        return None
    remarks = ["the generator was the limit"] if any(run["generator_limit"] for run in runs) else []
    return median(run["ndr"] / median(run["mrr"]) for run in runs), remarks


def frames_astray(results, _):
    runs = results.get("loss", {}).get("runs", {}).get(OURS, [])
    if not runs:
        return None
    total = sum(run["books"]["sent"] for run in runs)
    return sum(run["books"]["astray"] for run in runs), [f"of {total} frames in all trials"]


def idle_share(results, _):
    runs = results.get("idle", {}).get("runs", [])
    return (100 * median(run["cpu"] for run in runs), []) if runs else None


def first_frame(results, _):
    """From when it was due to when it is through: most of it is the machine's, which wakes the worker."""
    pairs = first_frames(results.get("idle", {}).get("runs", []), "p50")
    if not pairs:
        return None
    bare = median(b for _, b in pairs)
    remarks = [f"a bare wake takes {bare:.1f} us"]
    if bare > FIRST_FRAME:
        remarks.append("nobody can be woken that fast here")
    return median(a for a, _ in pairs), remarks


def beyond_wake(results, _):
    """What of it is ours, round by round."""
    runs = results.get("idle", {}).get("runs", [])
    if not runs:
        return None
    value = median(a - b for a, b in first_frames(runs, "p50"))
    apart = median(abs(run["bare"][0]["p50"] - run["bare"][-1]["p50"]) / 1e3 for run in runs)
    return value, [f"noisy: bare wakes before and after are {apart:.1f} us apart"] if apart > abs(value) else []


def at_most(case, figure, seen, must, aim=None, unit=""):
    return Goal(case, figure, seen, must, aim, False, unit)


def times(case, section, name, peer, must, aim=None):
    return Goal(case, f"times as fast as {peer}", faster(section, name, peer), must, aim)


def floors(case, section, name, must, aim=None):
    return at_most(case, "of the floor's cycles", over_floor(section, name), must, aim)


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
    at_most("look-up", "cycles among 16,384 addresses", looked_up(16384), 6),
    at_most("look-up", "cycles among 1,000,000 addresses", looked_up(1000000), 20),
    at_most("1,000,000 addresses", "of the cycles with one",
            beside("macs", "64 packed 1000000 MACs", "64 packed 1 MACs"), 2),
    at_most("1,000 idle ports", "of the cycles without them",
            beside("ports", "64 packed 1000 idle ports", "64 packed 0 idle ports"), 1.1, 1.03),
    # The aim is one step of the histogram below.
    at_most("latency at 10 % load", f"of {RTE_VHOST}'s p50", latency_ratio("p50"), 1, 0.97),
    at_most("latency at 10 % load", f"of {RTE_VHOST}'s p99", latency_ratio("p99"), 1, 0.97),
    Goal("loss, rings of 256", "NDR over MRR", loss_ratio, 0.9, 0.95),
    at_most("loss, rings of 256", "frames that the books do not know", frames_astray, 0),
    at_most("idle, sleeping", "of a core", idle_share, 2, unit=" %"),
    at_most("idle, sleeping", "until the first frame is through (p50)", first_frame, FIRST_FRAME, unit=" us"),
    at_most("idle, sleeping", "of these beyond a bare wake", beyond_wake, 50, 20, unit=" us"),
]


def verdict(goal, value):
    def holds(limit):
        return value >= limit if goal.least else value <= limit

    if value is None or value != value:
        return NOT_MEASURED
    if not holds(goal.must):
        return MISSED
    return AIM_MET if goal.aim is not None and holds(goal.aim) else MET


def judge(results, figs, judged=True):
    """A list with a row for every goal."""
    rows = []
    for goal in GOALS:
        value, remarks = goal.seen(results, figs) or (None, [])
        found = verdict(goal, value)
        rows.append({
            "case": goal.case, "figure": goal.figure, "seen": None if found == NOT_MEASURED else value,
            "must": goal.must, "aim": goal.aim, "least": goal.least, "unit": goal.unit,
            "verdict": found if judged or found == NOT_MEASURED else NOT_JUDGED, "remarks": remarks,
        })
    return rows

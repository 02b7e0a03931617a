# SPDX-License-Identifier: BSD-3-Clause
"""Figures from windows: the cycles of each subject in a case, and how much of them is noise.

The figure of a run is the lower quartile of its windows, because noise only adds cycles. Two subjects are
compared within each round, where they ran one after the other, and the median of the rounds' ratios counts:
the machine may be in another state in the next round.
"""

import statistics

OURS = "vswitchd"
BEFORE = "vswitchd before"  # another build of it: bench --before
RTE_VHOST = "testpmd + rte_vhost"
RTE_VHOST_CHAINED = "testpmd + rte_vhost, 2 KB mbufs"
OVS = "OVS-DPDK"
FLOOR = "floor-copy"
FLOOR_RING = "floor-ring"

BOUND = 0.9  # busy for less of its time, a switch waits for the generator
APART = 0.1  # ratios of cycles and of frames/s that differ by more are both told
LOSSY = 0.001  # a share of frames lost that is worth a remark
NOISY = 0.1  # the floor's spread from which a section is noisy
WINDOW_SECTIONS = ("peers", "limit", "touch", "tso", "macs", "ports", "real")
QUANTILES = ("p50", "p90", "p99", "p99.9", "max")


def label(case):
    if "row" in case:
        return case["row"]
    words = [str(case["size"]), "packed" if case["packed"] else "split"]
    if case.get("tso"):
        words.append("TSO")
    if case.get("ring-size"):
        words.append(f"rings of {case['ring-size']}")
    if case.get("touch_all"):
        words.append("touch")
    if "macs" in case:
        words.append(f"{case['macs']} MACs")
    if "idle" in case:
        words.append(f"{case['idle']} idle ports")
    return " ".join(words)


def quartile(values, part=0.25):
    ordered = sorted(values)
    return ordered[int(len(ordered) * part)] if ordered else float("nan")


def median(values):
    """Without values that are not known, such as quantiles with too few samples."""
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else float("nan")


def spread(values):
    """How far the middle half of the values reaches, beside its lower end."""
    values = list(values)
    return quartile(values, 0.75) / quartile(values) - 1


def present(runs):
    """Those that did not fail; a round that failed keeps its place in the list."""
    return [run for run in runs if run]


def typical(counted, key):
    """The median of a count that not every generator has; None if nobody has it."""
    values = [counts[key] for counts in counted if key in counts]
    return median(values) if values else None


def of_runs(runs, delivered=()):
    """Of all runs of one subject and case, each a list of windows; delivered: what arrived in each."""
    windows = [w for run in runs for w in run]
    cycles = [w[0] for w in windows]
    counted = present(delivered)
    return {
        "cycles": quartile(cycles), "rate": quartile((w[1] for w in windows), 0.75),
        "busy": median(w[2] for w in windows), "spread": spread(cycles),
        "runs": [quartile(w[0] for w in run) for run in runs],
        "run_rates": [quartile((w[1] for w in run), 0.75) for run in runs],
        "lost": max([counts["lost"] for counts in counted], default=0),
        "bytes": typical(counted, "bytes"), "calls": typical(counted, "calls"),
    }


def summary(results):
    """{section: {case: {subject: figures}}} of the sections that are made of windows."""
    def delivered(section, case, name):
        return results.get("delivered", {}).get(section, {}).get(case, {}).get(name, [])

    return {
        section: {
            case: {name: of_runs(runs, delivered(section, case, name)) for name, runs in subjects.items() if any(runs)}
            for case, subjects in results[section].items()
        }
        for section in WINDOW_SECTIONS if section in results
    }


def pairs(above, below):
    """What two made of the rounds that neither failed. Places in the lists are the rounds' numbers, for a
    round that failed keeps its place; a round that only one of them has is left out."""
    return [(a, b) for a, b in zip(above, below) if a and b]


def ratio(above, below, key="runs"):
    """The one over the other, round by round; rounds that failed, with one or the other, are not numbers."""
    both = [(a, b) for a, b in pairs(above[key], below[key]) if a > 0 and b > 0]
    return median(a / b for a, b in both) if both else None


def first_frames(runs, quantile):
    """us that the first frame took in each run of the idle section, and a baseline wake beside it.

    A run with too few frames to know the quantile is left out."""
    return [(run["wake"][quantile] / 1e3, sum(wake[quantile] for wake in run["baseline"]) / len(run["baseline"]) / 1e3)
            for run in runs if run["wake"][quantile] is not None]


def fault_text(fault):
    """A fault in one line."""
    place = ", ".join(str(fault[key]) for key in ("section", "case", "subject") if fault[key])
    return place + ("" if fault["round"] is None else f", round {fault['round'] + 1}") + f": {fault['text']}"


def unspoiled(results, faults):
    """The results without those who spoiled frames in any round: what they did has no figure."""
    kept = {section: dict(found) for section, found in results.items()}
    for fault in faults:
        inside = fault["case"] or "runs"
        found = kept.get(fault["section"], {}).get(inside) if fault["spoiled"] else None
        if isinstance(found, dict):
            kept[fault["section"]][inside] = {name: runs for name, runs in found.items() if name != fault["subject"]}
        elif found is not None:  # of vswitchd alone
            del kept[fault["section"]]
    return kept


def noise(results, figs):
    """{section: how far the floor spreads}; None where no floor can be, or was only once."""
    spreads = {}
    for section, cases in figs.items():
        found = [subjects[FLOOR]["spread"] for subjects in cases.values() if FLOOR in subjects]
        spreads[section] = median(found) if found else None
    def floor_runs(section):
        return present(results.get(section, {}).get("runs", {}).get(FLOOR, []))

    for section, values in (
        ("latency", [run["latency_ns"]["p50"] for run in floor_runs("latency")]),
        ("loss", [rate for run in floor_runs("loss") for rate in run["mrr"]]),
    ):
        if section in results:
            spreads[section] = spread(values) if len(values) > 1 else None
    for section in ("idle", "lookup"):
        if section in results:
            spreads[section] = None
    return spreads

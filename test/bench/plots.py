# SPDX-License-Identifier: BSD-3-Clause
"""Plots of the result: by frame size, by addresses, by ports, by traffic, and the distribution of latency."""

import matplotlib

import real
from figures import FLOOR, FLOOR_RING, OURS, OVS, RTE_VHOST, RTE_VHOST_CHAINED, median, present

matplotlib.use("svg")
from matplotlib import pyplot, ticker  # noqa: E402

matplotlib.rcParams["svg.hashsalt"] = "vswitchd"

# The same line for the same subject everywhere; floors are dashed.
STYLE = {
    OURS: {"color": "C0"}, RTE_VHOST: {"color": "C1"}, RTE_VHOST_CHAINED: {"color": "C4"}, OVS: {"color": "C2"},
    FLOOR: {"color": "0.3", "linestyle": "--"}, FLOOR_RING: {"color": "0.6", "linestyle": ":"},
}
MARKERS = {OURS: "o", FLOOR: "|", RTE_VHOST: "s", OVS: "D"}
TAIL = {"p99.9": 0.999, "p99.99": 0.9999, "p99.999": 0.99999}


def save(figure, path):
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def draw(path, title, xlabel, ylabel, lines, ticks=None, ylog=False, xscale="log"):
    """lines: {subject: [(x, y), ...]}; ticks: {x: text}, the points by default. Nothing to draw, no file."""
    lines = {name: sorted(points) for name, points in lines.items() if len(points) > 1}
    if not lines:
        return
    figure, axes = pyplot.subplots(figsize=(7, 4.2))
    for name, points in lines.items():
        axes.plot(*zip(*points), marker="o" if len(points) < 20 else None, label=name, **STYLE.get(name, {}))
    if xscale == "log":
        axes.set_xscale("log")
    elif xscale == "symlog":
        axes.set_xscale("symlog", linthresh=10)
    ticks = ticks or {x: f"{x:,}" for points in lines.values() for x, _ in points}
    axes.set_xticks(list(ticks), labels=list(ticks.values()))
    axes.minorticks_off()
    if ylog:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,g}"))
        axes.yaxis.set_minor_locator(ticker.NullLocator())
    else:
        axes.set_ylim(0, 1.1 * max(y for points in lines.values() for _, y in points))
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.grid(True, alpha=0.3)
    axes.legend()
    save(figure, path)


def draw_rows(path, title, xlabel, rows):
    """rows: [(name, {subject: x})], from top to bottom. Nothing to draw, no file."""
    if not rows:
        return
    figure, axes = pyplot.subplots(figsize=(8, 1.6 + 0.26 * len(rows)))
    for name, marker in MARKERS.items():
        points = [(found[name], i) for i, (_, found) in enumerate(rows) if name in found]
        if points:
            axes.plot(*zip(*points), marker=marker, markersize=9 if marker == "|" else 5, markeredgewidth=1.6,
                      label=name, **{**STYLE[name], "linestyle": "none"})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,g}"))
    axes.minorticks_off()
    axes.set_yticks(range(len(rows)), labels=[name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set(title=title, xlabel=xlabel)
    axes.grid(True, alpha=0.3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.3, -0.5 / figure.get_figheight()), ncols=4, frameon=False)
    save(figure, path)


def over(cases, key, word, scale=1.0):
    """{subject: [(the number before word in the case's name, figure)]}"""
    lines = {}
    for case, subjects in cases.items():
        words = case.split()
        if word not in words:
            continue
        x = int(words[0] if word in ("packed", "split") else words[2])
        for name, f in subjects.items():
            lines.setdefault(name, []).append((x, f[key] / scale))
    return lines


def latency_lines(latency):
    """Quantiles over 1 / (1 - quantile): the tail gets as much room as the rest."""
    lines = {}
    for name, runs in latency.get("runs", {}).items():
        latencies = [run["latency_ns"] for run in present(runs)]
        if not latencies:
            continue
        points = [(1 / (1 - i / 100), median(s["percentiles"][i - 1] for s in latencies) / 1e3) for i in range(1, 100)]
        points += [(1 / (1 - part), median(s[q] for s in latencies) / 1e3) for q, part in TAIL.items()]
        lines[name] = points
    return lines


def plot(results, figs, folder, suffix="svg"):
    def path(name):
        return folder / f"{name}.{suffix}"

    for section, guests in (("limit", "vswitch-pktgen"), ("peers", "testpmd")):
        cases = figs.get(section, {})
        for ring in ("packed", "split"):
            draw(path(f"{section}-rate-{ring}"), f"Throughput over frame size, {ring} rings, {guests}",
                 "bytes", "million frames per second", over(cases, "rate", ring, 1e6))
            draw(path(f"{section}-cycles-{ring}"), f"Cost over frame size, {ring} rings, {guests}",
                 "bytes", "cycles per frame", over(cases, "cycles", ring), ylog=True)
    for section, word, xlabel, scale in (("macs", "MACs", "MAC addresses", "log"),
                                         ("ports", "idle", "idle ports beside an active pair", "symlog")):
        cases = figs.get(section, {})
        draw(path(f"{section}-rate"), f"Throughput over {xlabel}", xlabel, "million frames per second",
             over(cases, "rate", word, 1e6), xscale=scale)
        draw(path(f"{section}-cycles"), f"Cost over {xlabel}", xlabel, "cycles per frame",
             over(cases, "cycles", word), xscale=scale)
    draw_rows(path("real-cycles"), "Cycles per frame by traffic", "cycles of the switching core per frame",
              [(case, {name: f["cycles"] for name, f in subjects.items()})
               for case, subjects in figs.get(real.SECTION, {}).items() if subjects])
    latency = results.get("latency", {})
    if latency:
        ticks = {1: "0", 2: "50 %", 10: "90 %", 100: "99 %", 1e3: "99.9 %", 1e4: "99.99 %", 1e5: "99.999 %"}
        draw(path("latency"), f"Latency of 64-byte frames at {latency['rate'] / 1e6:.2f} M/s", "of the frames",
             "at most so many microseconds", latency_lines(latency), ticks, ylog=True)

# SPDX-License-Identifier: BSD-3-Clause
"""From windows to figures, a table for people, and plots."""

# What the switch has to reach: (section, case, reference, factor on its rate per core, or on the floor's cycles).
GOALS = [
    ("peers", "64 packed", "testpmd + rte_vhost", 1.8), ("peers", "64 packed", "OVS-DPDK", 2.6),
    ("peers", "64 packed", "floor-copy", 1 / 1.4),
    ("peers", "64 split", "testpmd + rte_vhost", 2.0), ("peers", "64 split", "OVS-DPDK", 2.7),
    ("peers", "64 split", "floor-copy", 1 / 1.5),
    ("peers", "512 packed", "testpmd + rte_vhost", 2.0), ("peers", "512 packed", "OVS-DPDK", 2.7),
    ("peers", "1518 packed", "testpmd + rte_vhost", 2.2), ("peers", "1518 packed", "OVS-DPDK", 2.7),
    ("touch", "1518 packed touch", "floor-copy", 1 / 1.15),
    ("tso", "60000 packed", "testpmd + rte_vhost", 2.7),
    ("tso", "60000 packed", "testpmd + rte_vhost, 2 KB mbufs", 5), ("tso", "60000 packed", "floor-copy", 1 / 1.12),
]
# And beside itself: (section, case, other case, at most so many of its cycles).
OWN_GOALS = [
    ("macs", "64 packed 1000000 MACs", "64 packed 1 MACs", 2.0),
    ("ports", "64 packed 1000 idle ports", "64 packed 0 idle ports", 1.1),
]
OURS = "vswitchd"
NOISY = 1.25
BOUND = 0.9


def label(case):
    words = [str(case["size"]), "packed" if case["packed"] else "split"]
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


def upper(values):
    return quartile(values, 0.75)


def figures(windows):
    """Of all windows of one subject and case: cycles per frame, rate, busy share, spread."""
    cycles = [w[0] for w in windows]
    return {
        "cycles": quartile(cycles), "rate": upper(w[1] for w in windows),
        "busy": quartile((w[2] for w in windows), 0.5), "spread": quartile(cycles, 0.5) / quartile(cycles, 0.1),
    }


def summary(everything):
    return {
        section: {case: {name: figures(w) for name, w in subjects.items() if w} for case, subjects in cases.items()}
        for section, cases in everything["results"].items() if section not in ("latency", "lookup")
    }


def table(section, cases):
    names = list(dict.fromkeys(name for subjects in cases.values() for name in subjects))
    lines = ["| case | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for case, subjects in cases.items():
        cells = []
        for name in names:
            f = subjects.get(name)
            if not f:
                cells.append("-")
                continue
            ratio = ""
            if name != OURS and OURS in subjects:
                ratio = f", {f['cycles'] / subjects[OURS]['cycles']:.2f}x"
            remark = " (waits for the generator)" if f["busy"] < BOUND else ""
            remark += " (noisy)" if f["spread"] > NOISY else ""
            cells.append(f"{f['cycles']:.1f}{ratio}, {f['rate'] / 1e6:.2f} M/s{remark}")
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def goals(figs):
    lines = ["| case | beside | wanted | seen | |", "|---|---|---|---|---|"]
    for section, case, name, factor in GOALS:
        subjects = figs.get(section, {}).get(case, {})
        if name not in subjects or OURS not in subjects:
            continue
        seen = subjects[name]["cycles"] / subjects[OURS]["cycles"]
        if factor < 1:
            wanted, shown = f"at most {1 / factor:.2f} of its cycles", f"{1 / seen:.2f}"
        else:
            wanted, shown = f"{factor:.1f} times its rate", f"{seen:.2f}"
        lines.append(f"| {case} | {name} | {wanted} | {shown} | {'yes' if seen >= factor else 'no'} |")
    for section, case, other, factor in OWN_GOALS:
        cases = figs.get(section, {})
        if case in cases and other in cases:
            seen = cases[case][OURS]["cycles"] / cases[other][OURS]["cycles"]
            lines.append(f"| {case} | {other} | at most {factor:.2f} of its cycles | {seen:.2f} | "
                         f"{'yes' if seen <= factor else 'no'} |")
    return "\n".join(lines)


def lookup_table(lookup):
    lines = ["Cycles; addresses drawn at random, the best quarter of the rounds:", "",
             "| addresses | look-up in a batch | verdict, source known from the frame before | verdict, both new |",
             "|---|---|---|---|"]
    for macs, runs in lookup.items():
        row = [quartile(r[key] for r in runs) for key in ("lookup", "destination", "frame")]
        lines.append(f"| {macs} | " + " | ".join(f"{value:.1f}" for value in row) + " |")
    return "\n".join(lines)


def lookup_goals(lookup):
    lines = []
    for macs, most in (("16384", 6), ("1000000", 20)):
        seen = quartile(r["lookup"] for r in lookup.get(macs, []))
        lines.append(f"| look-up, {macs} addresses | | at most {most} cycles | {seen:.1f} | "
                     f"{'yes' if seen <= most else 'no'} |")
    return "\n" + "\n".join(lines)


def latency_table(latency):
    lines = [f"Frames of 64 bytes at {latency['rate'] / 1e6:.2f} M/s, packed rings, microseconds, median of the runs:", "",
             "| | p50 | p90 | p99 | p99.9 | max |", "|---|---|---|---|---|---|"]
    for name, runs in latency.items():
        if name == "rate":
            continue
        row = [quartile([r["latency_ns"][q] for r in runs], 0.5) / 1e3 for q in ("p50", "p90", "p99", "p99.9", "max")]
        lines.append(f"| {name} | " + " | ".join(f"{value:.2f}" for value in row) + " |")
    return "\n".join(lines)


TITLES = {
    "peers": "Beside the peers (testpmd's virtio-user as the guests)",
    "limit": "Beside the floor (vswitch-pktgen as the guests)",
    "touch": "Guests that write and read every byte",
    "macs": "Many addresses",
    "ports": "Beside idle ports",
    "tso": "Frames of 60 KB",
}


def write(everything, folder):
    figs = summary(everything)
    m = everything["machine"]
    parts = [f"# vswitchd on {m['cpu']}, {m['cores']} cores, Linux {m['kernel']}, {m['when']}",
             f"Cycles of the switching core per frame (TSC), lower quartile of {everything['rounds']} rounds of "
             f"{everything['seconds']} s in windows of 80 ms; times faster than the column is vswitchd; "
             "frames per second, both directions together."]
    for section, cases in figs.items():
        parts += [f"## {TITLES[section]}", table(section, cases)]
    if "latency" in everything["results"]:
        parts += ["## Latency", latency_table(everything["results"]["latency"])]
    lookup = everything["results"].get("lookup")
    if lookup:
        parts += ["## Look-ups", lookup_table(lookup)]
    parts += ["## What is wanted", goals(figs) + (lookup_goals(lookup) if lookup else "")]
    for name, why in everything["left_out"].items():
        parts.append(f"{name} is left out: {why}.")
    text = "\n\n".join(parts) + "\n"
    (folder / "report.md").write_text(text)
    try:
        plot(everything, figs, folder)
    except ImportError:
        print("no plots: python3-matplotlib is not installed (scripts/setup bench)")
    return text


def plot(everything, figs, folder):
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot

    def draw(name, title, xlabel, ylabel, lines, log=True, ylog=True):
        figure, axes = pyplot.subplots(figsize=(7, 4.2))
        for key, points in lines.items():
            axes.plot(*zip(*sorted(points)), marker="o", label=key)
        if log:
            axes.set_xscale("log", base=2)
        if ylog:
            axes.set_yscale("log")
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
        axes.grid(True, alpha=0.3)
        axes.legend()
        figure.tight_layout()
        figure.savefig(folder / f"{name}.svg")
        pyplot.close(figure)

    for ring in ("packed", "split"):
        for key, title, ylabel in (("cycles", "Cost over frame size", "cycles per frame"),
                                   ("rate", "Throughput over frame size", "frames per second")):
            lines = {}
            for case, subjects in figs.get("limit", {}).items():
                size, kind = case.split()[:2]
                for name, f in subjects.items():
                    if kind == ring:
                        lines.setdefault(name, []).append((int(size), f[key]))
            if lines:
                draw(f"{key}-{ring}", f"{title}, {ring} rings", "bytes", ylabel, lines)
    macs = [(int(case.split()[2]), subjects[OURS]["cycles"]) for case, subjects in figs.get("macs", {}).items()]
    if macs:
        draw("macs", "Cost over addresses", "MAC addresses per port", "cycles per frame", {OURS: macs}, ylog=False)
    idle = [(int(case.split()[2]), subjects[OURS]["cycles"]) for case, subjects in figs.get("ports", {}).items()]
    if idle:
        draw("ports", "Cost over idle ports", "idle ports", "cycles per frame", {OURS: idle}, log=False, ylog=False)
    lines = {}
    for name, runs in everything["results"].get("latency", {}).items():
        if name != "rate":
            values = runs[len(runs) // 2]["latency_ns"]["percentiles"]
            lines[name] = [(i + 1, value / 1e3) for i, value in enumerate(values)]
    if lines:
        draw("latency", "Latency", "percentile", "microseconds", lines, log=False)

# SPDX-License-Identifier: BSD-3-Clause
"""The report: tables in words, and the same in result.json."""

import json

import real
from figures import (
    BOUND, LOSSY, NOISY, OURS, QUANTILES, first_frames, unspoiled, median, noise, present, quartile, ratio,
    summary
)
from figures import fault_text
from goals import judge
from lab import not_tested

LARGE = 1000  # mean bytes per frame from which the cost of a byte is shown, too

TITLES = {
    "peers": "Beside the peers (testpmd's virtio-user as the guests)",
    "limit": "Beside the floor (vswitch-pktgen as the guests)",
    "touch": "Guests that write and read every byte",
    "tso": "TSO frames of 60,000 bytes (vswitch-pktgen as the guests)",
    "macs": "Many addresses",
    "ports": "Beside idle ports",
    "latency": "Latency",
    "loss": "Loss",
    "idle": "Idle",
    "lookup": "Look-ups",
    real.SECTION: "Traffic as guests send it (vswitch-pktgen as the guests, unless a row names testpmd)",
}


def rows(head, lines):
    """A table; its first column is text."""
    text = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(text + ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines])


def window_cell(f, ours, is_ours, at_fault):
    if not f:
        return "**fault**" if at_fault else "-"
    times = ratio(f, ours) if ours and not is_ours else None
    remark = "" if times is None else f", {times:.2f}x"
    if f["bytes"] and f["bytes"] >= LARGE:
        remark += f", {f['cycles'] / f['bytes']:.3f} per byte"
    if f["calls"] is not None:
        remark += f", {1000 * f['calls']:.0f} calls per 1,000 frames"
    remark += f", {f['rate'] / 1e6:.2f} M/s"
    remark += f" (waits for the generator, busy {f['busy']:.0%})" if f["busy"] < BOUND else ""
    remark += f" ({f['lost']:.1%} lost)" if f["lost"] > LOSSY else ""
    return f"{f['cycles']:.1f}{remark}"


def window_table(cases, at_fault):
    """at_fault: (case, subject) of what failed."""
    names = list(dict.fromkeys(
        [name for subjects in cases.values() for name in subjects] + [name for _, name in at_fault]))
    return rows(["cycles (lower quartile), M/s (upper quartile)", *names], [
        [case, *(window_cell(subjects.get(name), subjects.get(OURS), name == OURS, (case, name) in at_fault)
                 for name in names)]
        for case, subjects in cases.items()
    ])


def latency_table(latency):
    takes = ", ".join(f"{name} {rate / 1e6:.2f} M/s" for name, rate in latency["mrr"].items())
    lines = [
        [name, *(f"{median(r['latency_ns'][q] for r in present(runs)) / 1e3:.2f}" for q in QUANTILES),
         f"{median(r['late'] / max(r['sent'], 1) for r in present(runs)):.2%}"]
        for name, runs in latency["runs"].items()
    ]
    return (f"Frames of 64 bytes at {latency['rate'] / 1e6:.2f} M/s, a tenth of what the slower one takes ({takes}), "
            "packed rings, microseconds, median of the rounds; late is what the generator sent late:\n\n"
            + rows(["", *QUANTILES, "late"], lines))


def loss_line(name, run):
    if "ndr" not in run:
        return [name, f"{median(run['mrr']) / 1e6:.2f}", "-", "-", "", "-"]
    counters = run.get("accounting")
    return [name, f"{median(run['mrr']) / 1e6:.2f}", f"{run['ndr'] / 1e6:.2f}",
            f"{run['ndr'] / median(run['mrr']):.1%}", "the generator" if run["generator_limit"] else "the switch",
            f"{counters['unaccounted']} of {counters['sent']} frames not explained" if counters else "-"]


def loss_table(loss):
    return (f"Frames of 64 bytes, packed rings of {loss['ring']}, M/s; MRR is what arrives of all that the generator "
            "can send, NDR the highest rate without loss:\n\n"
            + rows(["", "MRR", "NDR", "NDR over MRR", "limit", "counters"],
                   [loss_line(name, run) for name, runs in loss["runs"].items() for run in present(runs)]))


def idle_table(idle):
    runs = idle["runs"]
    lines = []
    for q in ("p50", "p90", "p99", "max"):
        both = first_frames(runs, q)
        if not both:
            continue  # too few frames
        frame, baseline = (list(values) for values in zip(*both))
        lines.append([q, f"{median(frame):.1f}", f"{median(baseline):.1f}",
                      f"{median(a - b for a, b in zip(frame, baseline)):.1f}"])
    slept = median(run["sleeps"] / max(run["frames"], 1) for run in runs)
    return (f"{idle['ports']} ports, {idle['guests']} of them with a quiet guest: "
            f"**{median(run['cpu'] for run in runs):.2%}** of a core. Frames that each come to a sleeping switch "
            f"({slept:.1f} sleeps per frame), and an eventfd alone that wakes a thread on the same CPUs, us, medians "
            "of the rounds; the difference is the switch's own part:\n\n"
            + rows(["", "first frame is through", "baseline wake", "difference"], lines))


def lookup_table(lookup):
    lines = [[macs, *(f"{quartile(r[key] for r in runs):.1f}" for key in ("lookup", "destination", "frame"))]
             for macs, runs in lookup.items()]
    return ("Cycles; addresses drawn at random, the best quarter of the rounds:\n\n"
            + rows(["addresses", "look-up in a batch", "verdict, source known from the frame before",
                    "verdict, both new"], lines))


def number(value, unit=""):
    if value is None:
        return "-"
    return (f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}") + unit


def goal_table(goals):
    lines = []
    for g in goals:
        word = "at least" if g["least"] else "at most"
        aim = "" if g["aim"] is None else number(g["aim"], g["unit"])
        lines.append([g["case"], g["figure"], number(g["seen"], g["unit"]), f"{word} {number(g['must'], g['unit'])}",
                      aim, g["verdict"], "; ".join(g["remarks"])])
    return rows(["case", "figure", "seen", "must", "aim", "verdict", "remarks"], lines)


def noise_line(spread):
    if spread is None:
        return "No floor tells how quiet the machine was."
    return f"The floor's own spread is {spread:.0%}: {'**noisy**' if spread > NOISY else 'quiet'}."


def processor(machine):
    """Its name, and what tells it from others that a hypervisor gives the same name."""
    more = f" (family {machine['family']}, model {machine['model']})" if machine.get("family") else ""
    return machine["cpu"] + more


def simd_lines(machine):
    """Who uses which instructions: a ratio is not of switches alone."""
    texts = machine.get("simd", {})
    lines = [f"* {name}: {text}" for name, text in texts.items()]
    return "\n".join(["Vector instructions here:", "", *lines]) if lines else ""


def verdict_line(goals):
    counts = {}
    for goal in goals:
        counts[goal["verdict"]] = counts.get(goal["verdict"], 0) + 1
    return f"Of {len(goals)} goals: " + ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items())) + "."


def absent_lines(section, cases):
    """Why a cell has no figure, once for all rows."""
    return "\n".join(f"* {line}" for line in real.absences(cases)) if section == real.SECTION else ""


OTHER_TABLES = {"latency": latency_table, "loss": loss_table, "idle": idle_table, "lookup": lookup_table}


def report_text(everything, figs):
    m = everything["machine"]
    results = unspoiled(everything["results"], everything["faults"])
    parts = [f"# vswitchd {m['commit']} on {processor(m)}, {m['cores']} cores, Linux {m['kernel']}, DPDK {m['dpdk']}, "
             f"{m['when']}",
             f"Cycles of the switching core per frame (TSC), lower quartile of the windows of 80 ms of up to "
             f"{everything['rounds']} rounds of {everything['seconds']} s; times faster than the column is vswitchd on "
             "this processor, median of the rounds' ratios; frames per second, upper quartile of the same windows, "
             f"both directions together. The whole run took {everything['took'] / 60:.0f} minutes.",
             simd_lines(m), "## Against the goals", verdict_line(everything["goals"]),
             goal_table(everything["goals"])]
    for section, title in TITLES.items():
        if section in results:
            at_fault = {(fault["case"], fault["subject"]) for fault in everything["faults"]
                        if fault["section"] == section and fault["case"]}
            body = OTHER_TABLES[section](results[section]) if section in OTHER_TABLES \
                else window_table(figs[section], at_fault)
            parts += [f"## {title}", body, absent_lines(section, results[section]),
                      noise_line(everything["noise"][section]["spread"])]
    parts += [f"{name} is left out: {why}." for name, why in everything["left_out"].items()]
    parts += [f"Failed: {fault_text(fault)}." for fault in everything["faults"]]
    return "\n\n".join(part for part in parts if part) + "\n"


def write(everything, folder):
    # What was measured is kept whatever becomes of the rest.
    (folder / "result.json").write_text(json.dumps(everything))
    results = unspoiled(everything["results"], everything["faults"])
    figs = summary(results)
    everything["goals"] = judge(results, figs, not everything["quick"], everything["faults"])
    everything["noise"] = {
        section: {"spread": spread, "noisy": spread is not None and spread > NOISY}
        for section, spread in noise(results, figs).items()
    }
    (folder / "result.json").write_text(json.dumps(everything))
    text = report_text(everything, figs)
    (folder / "report.md").write_text(text)
    try:
        from plots import plot
        plot(results, figs, folder)
    except ImportError:
        not_tested("plots", "bench: python3-matplotlib is not installed")
        print("no plots: python3-matplotlib is not installed (scripts/setup bench)")
    return text

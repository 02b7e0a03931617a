# SPDX-License-Identifier: BSD-3-Clause
"""The result in words: tables for people, and the same in result.json."""

import json

from figures import BOUND, NOISY, OURS, QUANTILES, first_frames, median, noise, quartile, summary
from goals import judge
from lab import not_tested

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
}


def rows(head, lines):
    """A table; its first column is text."""
    text = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(text + ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines])


def window_cell(f, ours, is_ours):
    if not f:
        return "-"
    times = f", {f['cycles'] / ours['cycles']:.2f}x" if ours and not is_ours else ""
    remark = f" (waits for the generator, busy {f['busy']:.0%})" if f["busy"] < BOUND else ""
    return f"{f['cycles']:.1f}{times}, {f['rate'] / 1e6:.2f} M/s{remark}"


def window_table(cases):
    names = list(dict.fromkeys(name for subjects in cases.values() for name in subjects))
    return rows(["case", *names], [
        [case, *(window_cell(subjects.get(name), subjects.get(OURS), name == OURS) for name in names)]
        for case, subjects in cases.items()
    ])


def latency_table(latency):
    takes = ", ".join(f"{name} {rate / 1e6:.2f} M/s" for name, rate in latency["mrr"].items())
    lines = [
        [name, *(f"{median(r['latency_ns'][q] for r in runs) / 1e3:.2f}" for q in QUANTILES),
         f"{median(r['late'] / max(r['sent'], 1) for r in runs):.2%}"]
        for name, runs in latency["runs"].items()
    ]
    return (f"Frames of 64 bytes at {latency['rate'] / 1e6:.2f} M/s, a tenth of what the slower one takes ({takes}), "
            "packed rings, microseconds, median of the rounds; late is what the generator sent late:\n\n"
            + rows(["", *QUANTILES, "late"], lines))


def loss_line(name, run):
    if "ndr" not in run:
        return [name, f"{median(run['mrr']) / 1e6:.2f}", "-", "-", "", "-"]
    books = run.get("books")
    return [name, f"{median(run['mrr']) / 1e6:.2f}", f"{run['ndr'] / 1e6:.2f}",
            f"{run['ndr'] / median(run['mrr']):.1%}", "the generator" if run["generator_limit"] else "the switch",
            f"{books['astray']} of {books['sent']} frames missing" if books else "-"]


def loss_table(loss):
    return (f"Frames of 64 bytes, packed rings of {loss['ring']}, M/s; MRR is what arrives of all that the generator "
            "can send, NDR the highest rate without loss:\n\n"
            + rows(["", "MRR", "NDR", "NDR over MRR", "limit", "books"],
                   [loss_line(name, run) for name, runs in loss["runs"].items() for run in runs]))


def idle_table(idle):
    runs = idle["runs"]
    lines = []
    for q in ("p50", "p90", "p99", "max"):
        frame, bare = (list(values) for values in zip(*first_frames(runs, q)))
        lines.append([q, f"{median(frame):.1f}", f"{median(bare):.1f}",
                      f"{median(a - b for a, b in zip(frame, bare)):.1f}"])
    slept = median(run["sleeps"] / max(run["frames"], 1) for run in runs)
    return (f"{idle['ports']} ports, {idle['guests']} of them with a quiet guest: "
            f"**{median(run['cpu'] for run in runs):.2%}** of a core. Frames that each come to a sleeping switch "
            f"({slept:.1f} sleeps per frame), and an eventfd alone that wakes a thread on the same CPUs, us, medians "
            "of the rounds; the difference is the switch's own part:\n\n"
            + rows(["", "first frame is through", "bare wake", "difference"], lines))


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
        return "No floor stands beside this."
    return f"The floor's own spread is {spread:.0%}: {'**noisy**' if spread > NOISY else 'quiet'}."


OTHER_TABLES = {"latency": latency_table, "loss": loss_table, "idle": idle_table, "lookup": lookup_table}


def words(everything, figs):
    m = everything["machine"]
    parts = [f"# vswitchd {m['commit']} on {m['cpu']}, {m['cores']} cores, Linux {m['kernel']}, DPDK {m['dpdk']}, "
             f"{m['when']}",
             f"Cycles of the switching core per frame (TSC), lower quartile of up to {everything['rounds']} rounds of "
             f"{everything['seconds']} s in windows of 80 ms; times faster than the column is vswitchd; "
             "frames per second, both directions together. The whole run took "
             f"{everything['took'] / 60:.0f} minutes.",
             "## Against the goals", goal_table(everything["goals"]),
             "Ratios are medians of the rounds' ratios, so they differ a little from those of the tables below."]
    for section, title in TITLES.items():
        if section in everything["results"]:
            body = OTHER_TABLES[section](everything["results"][section]) if section in OTHER_TABLES \
                else window_table(figs[section])
            parts += [f"## {title}", body, noise_line(everything["noise"][section]["spread"])]
    parts += [f"{name} is left out: {why}." for name, why in everything["left_out"].items()]
    parts += [f"Failed: {fault}." for fault in everything["failed"]]
    return "\n\n".join(parts) + "\n"


def write(everything, folder):
    figs = summary(everything["results"])
    everything["goals"] = judge(everything["results"], figs, judged=not everything["quick"])
    everything["noise"] = {
        section: {"spread": spread, "noisy": spread is not None and spread > NOISY}
        for section, spread in noise(everything["results"], figs).items()
    }
    (folder / "result.json").write_text(json.dumps(everything))
    text = words(everything, figs)
    (folder / "report.md").write_text(text)
    try:
        from plots import plot
        plot(everything["results"], figs, folder)
    except ImportError:
        not_tested("plots", "bench: python3-matplotlib is not installed")
        print("no plots: python3-matplotlib is not installed (scripts/setup bench)")
    return text

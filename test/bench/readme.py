# SPDX-License-Identifier: BSD-3-Clause
"""The README's section on performance, from a result."""

import json

from figures import BOUND, FLOOR, OURS, OVS, QUANTILES, RTE_VHOST, RTE_VHOST_CHAINED, median, ratio, summary
from goals import NOT_MEASURED
from report import number, rows

BEGIN = "<!-- performance: produced by scripts/bench --readme FOLDER -->"
END = "<!-- end -->"
CASES = [("peers", "64 packed", "64 bytes, packed"), ("peers", "64 split", "64 bytes, split"),
         ("peers", "512 packed", "512 bytes, packed"), ("peers", "1518 packed", "1518 bytes, packed"),
         ("peers", "1518 split", "1518 bytes, split"), ("tso", "60000 packed TSO rings of 256", "60 KB TSO frames, packed, rings of 256"),
         ("tso", "60000 packed TSO rings of 1024", "60 KB TSO frames, packed, rings of 1,024")]
PEERS = (RTE_VHOST, RTE_VHOST_CHAINED, OVS, FLOOR)


def throughput(figs):
    found = [(title, figs[section][case]) for section, case, title in CASES
             if OURS in figs.get(section, {}).get(case, {})]
    peers = [name for name in PEERS if any(name in subjects for _, subjects in found)]
    lines = []
    for title, subjects in found:
        ours = subjects[OURS]
        star = "\\*" if ours["busy"] < BOUND else ""
        times = [f"{ratio(subjects[name], ours):.2f}x" if name in subjects else "-" for name in peers]
        lines.append([title, f"{ours['rate'] / 1e6:.1f} M/s{star}", f"{ours['cycles']:.0f}", *times])
    if not lines:
        return ""
    note = ("\n\nThe others' columns: how many times vswitchd's cycles they take, in the same run. The floor is "
            "the same rings joined by a loop that only copies.")
    if any("TSO" in line[0] for line in lines):
        note += " The guests that send TSO frames are vswitch-pktgen."
    if any("*" in line[1] for line in lines):
        note += " \\* vswitchd waited for the generator."
    return rows(["guests: testpmd", "vswitchd, one core", "cycles per frame", *peers], lines) + note


def latency(results):
    found = results.get("latency")
    if not found:
        return ""
    lines = [[name, *(f"{median(r['latency_ns'][q] for r in runs) / 1e3:.1f}" for q in QUANTILES)]
             for name, runs in found["runs"].items()]
    return rows([f"us at {found['rate'] / 1e6:.2f} M/s", *QUANTILES], lines)


def goals(everything):
    """What the tables above do not show."""
    shown = ("look-up", "1,000,000 addresses", "1,000 idle ports", "loss, rings of 256", "idle, sleeping")
    return "\n".join(
        f"* {g['case']}: {number(g['seen'], g['unit'])} {g['figure']}" for g in everything["goals"]
        if g["case"] in shown and g["verdict"] != NOT_MEASURED
    )


def noisy(everything):
    """What a reader has to know of the machine's state; nothing of a quiet one."""
    found = [f"{name} {said['spread']:.0%}" for name, said in everything.get("noise", {}).items() if said["noisy"]]
    return f"The machine was noisy; by so much did the floor itself spread: {', '.join(found)}." if found else ""


def section(everything):
    m = everything["machine"]
    head = (f"{m['cpu']}, {m['cores']} cores, Linux {m['kernel']}, DPDK {m['dpdk']}, {m['when'].split()[0]}; one core "
            "switches, one generates:")
    parts = [head, throughput(summary(everything["results"])), latency(everything["results"]), goals(everything),
             noisy(everything)]
    return "\n\n".join(part for part in parts if part)


def rewrite(path, folder):
    """Returns what is wrong, or None."""
    try:
        everything = json.loads((folder / "result.json").read_text())
        before, rest = path.read_text().split(BEGIN + "\n")
        _, after = rest.split(END + "\n")
    except (OSError, ValueError) as fault:
        return f"bench: {path} has no section to write, or {folder} no result: {fault}"
    path.write_text(f"{before}{BEGIN}\n\n{section(everything)}\n\n{END}\n{after}")
    print(f"the performance section of {path} is that of {folder}")
    return None

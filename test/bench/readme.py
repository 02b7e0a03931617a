# SPDX-License-Identifier: BSD-3-Clause
"""The README's section on performance, from one record per measured processor.

A record is the part of a result that a reader needs: the machine, every goal with its verdict, and the tables.
scripts/bench --readme FOLDER writes the record of the processor in FOLDER and two of its drawings to doc/bench,
replaces older ones, and writes the section from all records there.
"""

import json
import re
import shutil

import real
from figures import (
    BOUND, FLOOR, OURS, OVS, QUANTILES, RTE_VHOST, RTE_VHOST_CHAINED, unspoiled, median, present, ratio,
    summary, fault_text
)
from report import LARGE, goal_table, processor, rows, simd_lines, verdict_line

BEGIN = "<!-- performance: produced by scripts/bench --readme FOLDER -->"
END = "<!-- end -->"
TSO = "60 KB TSO frames, packed, rings of"
CASES = [("peers", "64 packed", "64 bytes, packed"), ("peers", "64 split", "64 bytes, split"),
         ("peers", "512 packed", "512 bytes, packed"), ("peers", "512 split", "512 bytes, split"),
         ("peers", "1518 packed", "1518 bytes, packed"), ("peers", "1518 split", "1518 bytes, split"),
         ("tso", "60000 packed TSO rings of 256", f"{TSO} 256"),
         ("tso", "60000 packed TSO rings of 1024", f"{TSO} 1,024")]
# Drawings of a result that the README shows, with what they say to a reader who cannot see them.
DRAWINGS = {"real-cycles": "cycles per frame by traffic", "peers-cycles-packed": "cycles per frame by frame size"}
TRAFFIC = [(real.SECTION, row.name, row.name) for row in real.ROWS]
PEERS = (RTE_VHOST, RTE_VHOST_CHAINED, OVS, FLOOR)
REACHED = ("met", "aim met")
ONE_ONLY = ("So far only one processor was measured with this version of the bench. A run of it on another one and "
            "`scripts/bench --readme FOLDER` add that one's figures here.")


def throughput(figs, faults, cases):
    """A line for each of these cases: what was seen of us, and how many times our cycles the others take."""
    at_fault = {(f["section"], f["case"], f["subject"]) for f in faults}
    lines = []
    for section, case, title in cases:
        subjects = figs.get(section, {}).get(case, {})
        wrong = {name for name in (OURS, *PEERS) if (section, case, name) in at_fault and name not in subjects}
        if OURS not in subjects and OURS not in wrong:
            continue
        ours = subjects.get(OURS)
        lines.append({
            "title": title, "rate": ours and ours["rate"], "cycles": ours and ours["cycles"],
            "bytes": ours and ours["bytes"], "waits": bool(ours) and ours["busy"] < BOUND, "faults": sorted(wrong),
            "times": {name: ratio(subjects[name], ours) for name in PEERS if ours and name in subjects},
        })
    return lines


def latency(results):
    found = results.get("latency")
    if not found:
        return None
    return {"rate": found["rate"], "us": {
        name: [median(r["latency_ns"][q] for r in present(runs)) / 1e3 for q in QUANTILES]
        for name, runs in found["runs"].items() if present(runs)}}


def record(everything):
    """What of a result goes to doc/bench."""
    faults = everything["faults"]
    results = unspoiled(everything["results"], faults)
    figs = summary(results)
    noisy = {name: entry["spread"] for name, entry in everything["noise"].items() if entry["noisy"]}
    return {
        "machine": everything["machine"], "rounds": everything["rounds"], "seconds": everything["seconds"],
        "took": everything["took"], "goals": everything["goals"], "throughput": throughput(figs, faults, CASES),
        "traffic": throughput(figs, faults, TRAFFIC), "latency": latency(results), "noisy": noisy, "left_out": everything["left_out"],
        "faults": [fault_text(fault) for fault in faults],
    }


def own_cells(line):
    """What was seen of us: frames/s, cycles, and cycles per byte where frames are large."""
    if line["rate"] is None:
        return ["fault", "fault"]
    size = line.get("bytes") or 0
    per_byte = f" ({line['cycles'] / size:.3f} per byte)" if size >= LARGE else ""
    return [f"{line['rate'] / 1e6:.1f}" + ("\\*" if line["waits"] else ""), f"{line['cycles']:.0f}{per_byte}"]


def comparison(lines, guests):
    """A table of lines from throughput()."""
    peers = [peer for peer in PEERS if any(peer in line["times"] or peer in line["faults"] for line in lines)]

    def cell(line, peer):
        times = line["times"].get(peer)
        return "fault" if peer in line["faults"] else "-" if times is None else f"{times:.2f}x"

    return rows([guests, "vswitchd, one core: M/s, upper quartile", "cycles per frame, lower quartile", *peers],
                [[line["title"], *own_cells(line), *(cell(line, peer) for peer in peers)] for line in lines])


def throughput_table(entry):
    lines, name = entry["throughput"], processor(entry["machine"])
    if not lines:
        return ""
    note = (f"\n\nThe others' columns: how many times vswitchd's cycles they take on {name}, in the same run. The "
            "floor is the same rings joined by a loop that only copies.")
    if any(line["title"].startswith(TSO) for line in lines):
        note += " The guests that send TSO frames are vswitch-pktgen."
    if any(line["waits"] for line in lines):
        note += " \\* vswitchd waited for the generator."
    return comparison(lines, "guests: testpmd") + note


def traffic_table(entry):
    """Traffic as guests send it; an older record has none."""
    lines = entry.get("traffic")
    if not lines:
        return ""
    note = "Traffic as guests send it, measured the same way; the guests are vswitch-pktgen, unless a row names testpmd."
    if any(line["waits"] for line in lines):
        note += " \\* vswitchd waited for the generator."
    absent = [f"* {line}" for line in real.absences([line["title"] for line in lines])]
    return "\n".join([note, "", comparison(lines, "traffic"), "", *absent]).rstrip()


def latency_table(entry):
    found = entry["latency"]
    if not found:
        return ""
    return rows([f"us at {found['rate'] / 1e6:.2f} M/s, median of the rounds", *QUANTILES],
                [[name, *(f"{value:.1f}" for value in values)] for name, values in found["us"].items()])


def drawing_lines(entry):
    name, cpu = slug(entry["machine"]), processor(entry["machine"])
    return "\n".join(f"![{DRAWINGS[drawing]}, {cpu}](doc/bench/{name}-{drawing}.svg)\n"
                     for drawing in entry.get("drawings", ())).rstrip()


def goal_lines(found):
    """What was not reached is there at once, the rest on demand."""
    wanting = [goal for goal in found if goal["verdict"] not in REACHED]
    parts = ["Every goal was reached."] if not wanting else ["What was not reached:", goal_table(wanting)]
    others = [goal for goal in found if goal["verdict"] in REACHED]
    if others:
        parts += ["<details><summary>The goals that were reached</summary>", goal_table(others), "</details>"]
    return "\n\n".join(parts)


def section(entry):
    """One processor's."""
    m = entry["machine"]
    head = (f"vswitchd {m['commit']}, {m['cores']} cores, Linux {m['kernel']}, DPDK {m['dpdk']}, "
            f"{m['when'].split()[0]}, {entry['rounds']} rounds; one core switches, one generates. "
            f"{verdict_line(entry['goals'])}")
    noisy = ", ".join(f"{name} {spread:.0%}" for name, spread in entry["noisy"].items())
    parts = [f"### {processor(m)}", head, drawing_lines(entry), throughput_table(entry), traffic_table(entry),
             latency_table(entry), goal_lines(entry["goals"]), simd_lines(m),
             f"The machine was noisy; by so much did the floor itself spread: {noisy}." if noisy else "",
             *(f"{name} is left out: {why}." for name, why in entry["left_out"].items()),
             *(f"Failed: {fault}." for fault in entry["faults"])]
    return "\n\n".join(part for part in parts if part)


def render(records):
    """All of it, from all records."""
    parts = [section(entry) for entry in records]
    return "\n\n".join(parts + ([ONE_ONLY] if len(parts) == 1 else []))


def slug(machine):
    words_ = (machine["cpu"], machine.get("family", ""), machine.get("model", ""))
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words_).lower()).strip("-")


def read(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def keep_drawings(folder, kept, name):
    for drawing in DRAWINGS:
        copy = kept / f"{name}-{drawing}.svg"
        copy.unlink(missing_ok=True)
        if (folder / f"{drawing}.svg").exists():
            shutil.copyfile(folder / f"{drawing}.svg", copy)


def rewrite(path, folder, kept):
    """path: the README; folder: a result; kept: the records. Returns what is wrong, or None."""
    try:
        everything = json.loads((folder / "result.json").read_text())
        before, rest = path.read_text().split(BEGIN + "\n")
        _, after = rest.split(END + "\n")
    except (OSError, ValueError) as fault:
        return f"bench: {path} has no section to write, or {folder} no result: {fault}"
    if "faults" not in everything:
        return f"bench: {folder} is of an older bench, which did not tell of faults; measure again"
    if everything["quick"]:
        return f"bench: {folder} is of a quick run, which judges nothing; the README tells of whole ones"
    kept.mkdir(parents=True, exist_ok=True)
    name = slug(everything["machine"])
    keep_drawings(folder, kept, name)
    drawings = [drawing for drawing in DRAWINGS if (kept / f"{name}-{drawing}.svg").exists()]
    mine = {**record(everything), "drawings": drawings}
    (kept / f"{name}.json").write_text(json.dumps(mine, indent=1) + "\n")
    path.write_text(f"{before}{BEGIN}\n\n{render(read(kept))}\n\n{END}\n{after}")
    print(f"the performance section of {path} is that of {folder} and of the other processors in {kept}")
    return None

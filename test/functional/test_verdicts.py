# SPDX-License-Identifier: BSD-3-Clause
"""The verdicts of scripts/bench on made-up results."""

import copy
import json
import math
import os
import re
import sys
from pathlib import Path

import pytest

# What is made up here must not be noted as not tested.
os.environ.pop("VSWITCH_NOT_TESTED", None)

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/bench"))

import goals  # noqa: E402
import readme  # noqa: E402
import real  # noqa: E402
import report  # noqa: E402
from figures import FLOOR, OURS, OVS, RTE_VHOST, RTE_VHOST_CHAINED, unspoiled, label, noise, ratio  # noqa: E402
from figures import summary  # noqa: E402

ROUNDS = 3


def runs(cycles, rate=None, busy=1.0, step=0.0):
    """Windows of all rounds; step makes each window dearer than the one before. The rate is what the cycles
    allow, unless told."""
    rate = rate or 500e6 / cycles
    return [[(cycles * (1 + step * i), rate, busy) for i in range(8)] for _ in range(ROUNDS)]


def latency(p50, p99):
    quantiles = {"p50": p50, "p90": p50, "p99": p99, "p99.9": p99, "p99.99": p99, "p99.999": p99, "max": p99,
            "percentiles": [p50] * 99 + [p99]}
    return [{"latency_ns": quantiles, "late": 0, "sent": 1000}] * ROUNDS


def wakes(p50):
    return {"p50": p50, "p90": p50, "p99": 2 * p50, "max": 3 * p50}


def guests_send(row):
    cycles = {FLOOR: 48, OURS: 50, RTE_VHOST: 120, OVS: 180}
    return {name: runs(cycles[name]) for name in row.subjects()}


def good():
    """All goals are met, and all aims."""
    peers = {
        "64 packed": {FLOOR: runs(48), OURS: runs(50), RTE_VHOST: runs(120), OVS: runs(180)},
        "64 split": {FLOOR: runs(38), OURS: runs(40), RTE_VHOST: runs(120), OVS: runs(180)},
        "512 packed": {FLOOR: runs(80), OURS: runs(82), RTE_VHOST: runs(210), OVS: runs(290)},
        "1518 packed": {FLOOR: runs(140), OURS: runs(142), RTE_VHOST: runs(420), OVS: runs(450)},
    }
    tso = {FLOOR: runs(4000), OURS: runs(4100), RTE_VHOST: runs(12000), RTE_VHOST_CHAINED: runs(24000)}
    loss = {"mrr": [10e6, 10e6, 11e6], "ndr": 9.8e6, "generator_limit": False,
            "accounting": {"sent": 1000, "unaccounted": 0}}
    return {
        "peers": peers,
        "limit": {
            f"{size} {ring}": {FLOOR: runs(floor), OURS: runs(floor * 1.04)}
            for size, floor in ((64, 22), (1518, 140), (9000, 1500)) for ring in ("packed", "split")
        },
        "touch": {"1518 packed touch": {FLOOR: runs(500), OURS: runs(510)}},
        "tso": {case: dict(tso) for case in goals.TSO.values()},
        "macs": {"64 packed": {FLOOR: runs(50)}, "64 packed 1 MACs": {OURS: runs(50)},
                 "64 packed 1000000 MACs": {OURS: runs(90)}},
        "ports": {"64 packed": {FLOOR: runs(50)}, "64 packed 0 idle ports": {OURS: runs(50)},
                  "64 packed 1000 idle ports": {OURS: runs(51)}},
        "latency": {"rate": 1e6, "mrr": {OURS: 20e6, RTE_VHOST: 10e6},
                    "runs": {FLOOR: latency(900, 2000), OURS: latency(1000, 3000), RTE_VHOST: latency(1500, 8000)}},
        "loss": {"ring": 256, "runs": {OURS: [loss], FLOOR: [{"mrr": [10e6, 10.1e6, 10.2e6]}]}},
        "idle": {"ports": 10, "guests": 2,
                 "runs": [{"cpu": 0.01, "wake": wakes(60000), "baseline": [wakes(45000), wakes(51000)], "frames": 100,
                           "sleeps": 100}] * ROUNDS},
        real.SECTION: {row.name: guests_send(row) for row in real.ROWS},
        "lookup": {macs: [{"lookup": 4, "destination": 6, "frame": 20}] for macs in ("16384", "1000000")},
    }


def everything(results, quick=False, faults=(), cpu="a CPU"):
    machine = {"cpu": cpu, "family": "26", "model": "2", "cores": 2, "kernel": "6.1", "dpdk": "22.11",
               "commit": "abc", "when": "2026-01-01 00:00", "simd": {OURS: "AVX-512", OVS: "scalar"}}
    return {
        "machine": machine, "quick": quick, "rounds": ROUNDS, "seconds": 1, "took": 60, "left_out": {},
        "faults": list(faults), "results": results,
    }


def fault(section, case, subject, number=0, text="hardly a frame goes through", spoiled=False):
    return {"section": section, "case": case, "subject": subject, "round": number, "text": text, "spoiled": spoiled}


def verdicts(results, faults=(), **more):
    results = unspoiled(results, faults)
    rows = goals.judge(results, summary(results), faults=faults, **more)
    return {(row["case"], row["figure"]): row for row in rows}


def test_a_good_result_meets_everything():
    rows = verdicts(good()).values()
    assert {row["verdict"] for row in rows} == {goals.MET, goals.AIM_MET}
    assert all(row["verdict"] == goals.AIM_MET for row in rows if row["aim"] is not None), rows
    assert not any(row["remarks"] for row in rows if row["case"].startswith("64 B"))


FAULTS = {
    ("64 B packed", f"times as fast as {RTE_VHOST}"): ("peers", "64 packed", OURS, 70),
    ("512 B packed", f"times as fast as {OVS}"): ("peers", "512 packed", OVS, 200),
    ("1518 B, every byte touched", "of the floor's cycles"): ("touch", "1518 packed touch", OURS, 600),
    ("60 KB TSO frames, rings of 256", f"times as fast as {RTE_VHOST}"): ("tso", goals.TSO[256], RTE_VHOST, 11000),
    ("1,000,000 addresses", "of the cycles with one"): ("macs", "64 packed 1000000 MACs", OURS, 101),
    ("1,000 idle ports", "of the cycles without them"): ("ports", "64 packed 1000 idle ports", OURS, 56),
    ("Linux-like, 64 B, split", f"times as fast as {RTE_VHOST}"): (real.SECTION, "Linux-like, 64 B, split", OURS, 81),
    ("IMIX", "of the floor's cycles"): (real.SECTION, "IMIX", OURS, 61),
    ("mesh of 16 ports, 64 B", f"times as fast as {OVS}"): (real.SECTION, "mesh of 16 ports, 64 B", OURS, 121),
    ("60 B from testpmd, split", "of the cycles of 64 B from testpmd, split"):
        (real.SECTION, "60 B from testpmd, split", OURS, 58),
}


@pytest.mark.parametrize("goal", FAULTS, ids=lambda goal: goal[0])
def test_what_costs_too_much_is_missed(goal):
    section, case, name, cycles = FAULTS[goal]
    results = good()
    results[section][case][name] = runs(cycles)
    assert verdicts(results)[goal]["verdict"] == goals.MISSED


def test_between_must_and_aim_is_met():
    results = good()
    results["peers"]["64 packed"][RTE_VHOST] = runs(100)
    row = verdicts(results)["64 B packed", f"times as fast as {RTE_VHOST}"]
    assert row["verdict"] == goals.MET and row["seen"] == pytest.approx(2.0)


def test_other_figures_are_missed_too():
    results = good()
    results["latency"]["runs"][OURS] = latency(1000, 9000)
    results["loss"]["runs"][OURS][0].update(ndr=8.9e6, generator_limit=True,
                                             accounting={"sent": 1000, "unaccounted": 1})
    results["idle"]["runs"][0].update(cpu=0.021, wake=wakes(101000))
    results["lookup"]["16384"][0]["lookup"] = 6.1
    rows = verdicts(results)
    missed = {row["figure"] for row in rows.values() if row["verdict"] == goals.MISSED}
    assert missed == {f"of {RTE_VHOST}'s p99", "NDR over MRR", "frames that the counters do not explain", "of a core",
                      "until the first frame is through (p50)", "of these beyond a baseline wake",
                      "cycles among 16,384 addresses"}
    assert "the generator was the limit" in rows["loss, rings of 256", "NDR over MRR"]["remarks"]
    results["loss"]["runs"][OURS][0].update(ndr=12e6, generator_limit=False)
    remarks = verdicts(results)["loss, rings of 256", "NDR over MRR"]["remarks"]
    assert remarks == ["above 1: the MRR was measured at a bad moment"]


def test_a_machine_that_wakes_nobody_in_time_is_told():
    """Missed is missed, but what is ours is judged beside what is not."""
    results = good()
    results["idle"]["runs"] = [{**run, "wake": wakes(p50), "baseline": [wakes(p50 - 14000), wakes(p50 - 10000)]}
                               for run, p50 in zip(results["idle"]["runs"], (110000, 150000, 200000))]
    rows = verdicts(results)
    row = rows["idle, sleeping", "until the first frame is through (p50)"]
    assert row["verdict"] == goals.MISSED and row["seen"] == 150
    assert row["remarks"] == ["a baseline wake takes 138.0 us", "nobody can be woken that fast here"]
    row = rows["idle, sleeping", "of these beyond a baseline wake"]
    assert row["verdict"] == goals.AIM_MET and row["seen"] == pytest.approx(12) and not row["remarks"]
    # What the machine did meanwhile is more than what is told.
    results["idle"]["runs"] = [{**run, "baseline": [wakes(80000), wakes(120000)]} for run in results["idle"]["runs"]]
    row = verdicts(results)["idle, sleeping", "of these beyond a baseline wake"]
    assert row["verdict"] == goals.MET and row["seen"] == 50 and not row["remarks"]
    results["idle"]["runs"] = [{**run, "wake": wakes(105000)} for run in results["idle"]["runs"]]
    row = verdicts(results)["idle, sleeping", "of these beyond a baseline wake"]
    assert row["remarks"] == ["noisy: baseline wakes before and after are 40.0 us apart"]


def test_below_the_floor_is_doubted():
    results = good()
    results["peers"]["64 split"][OURS] = runs(20)
    row = verdicts(results)["64 B split", "of the floor's cycles"]
    assert any(remark.startswith("below the floor") for remark in row["remarks"])


@pytest.mark.parametrize("case", ["64 packed", None], ids=["case", "section"])
def test_who_failed_in_all_rounds_is_a_fault(case):
    """It is no gap that nobody looks at."""
    goal = "64 B packed", f"times as fast as {OVS}"
    results = good()
    results["peers"]["64 packed"][OVS] = [[]] * ROUNDS
    row = verdicts(results, faults=[fault("peers", case, OVS)])[goal]
    assert row["verdict"] == goals.FAULT and row["seen"] is None
    assert "hardly a frame goes through" in row["remarks"][0]
    # Somebody else's fault is not this figure's.
    rows = verdicts(good(), faults=[fault("peers", "64 packed", OVS)])
    assert not rows["64 B packed", f"times as fast as {RTE_VHOST}"]["remarks"]
    # One round of many is left out, and that is told.
    row = rows[goal]
    assert row["verdict"] == goals.AIM_MET and row["remarks"] == [
        "left out: peers, 64 packed, OVS-DPDK, round 1: hardly a frame goes through"]


def test_who_spoils_frames_once_has_no_figure_at_all():
    spoiled = [fault("peers", "64 packed", OVS, 1, "OVS-DPDK spoils frames: corrupt 1", spoiled=True),
               fault("latency", None, OURS, 1, "vswitchd spoils frames: corrupt 1", spoiled=True)]
    rows = verdicts(good(), faults=spoiled)
    assert {key for key, row in rows.items() if row["verdict"] == goals.FAULT} == {
        ("64 B packed", f"times as fast as {OVS}"), ("latency at 10 % load", f"of {RTE_VHOST}'s p50"),
        ("latency at 10 % load", f"of {RTE_VHOST}'s p99")}
    assert {row["verdict"] for row in rows.values()} == {goals.FAULT, goals.MET, goals.AIM_MET}
    # Idling is of vswitchd alone, so that nothing is left of it.
    rows = verdicts(good(), faults=[fault("idle", None, OURS, 1, spoiled=True)])
    assert {case for (case, _), row in rows.items() if row["verdict"] == goals.FAULT} == {"idle, sleeping"}


def test_frames_that_were_lost_are_told():
    results = good()
    results["delivered"] = {"limit": {"64 packed": {OURS: [{"lost": 0}, {}, {"lost": 0.05}]}}}
    row = verdicts(results)["64 B packed, guests are vswitch-pktgen", "of the floor's cycles"]
    assert row["remarks"] == ["vswitchd lost up to 5.0% of its frames"]


def test_every_row_of_traffic_has_a_goal_beside_who_carries_it():
    """Beside the floor and rte_vhost; beside OVS-DPDK where rte_vhost carries nothing."""
    rows = verdicts(good())
    for row in real.ROWS:
        figures = {figure for case, figure in rows if case == row.name}
        assert ("of the floor's cycles" in figures) == (FLOOR not in row.without)
        assert (f"times as fast as {RTE_VHOST}" in figures) == (RTE_VHOST not in row.without)
        assert figures, row
    assert f"times as fast as {OVS}" in {figure for case, figure in rows if case == "mesh of 4 ports, 64 B"}
    assert len([figure for _, figure in rows if figure.startswith("of the cycles of 64 B from")]) == 4


def test_missed_traffic_is_shown_as_missed(tmp_path, monkeypatch):
    """In the report, with the generator that was the limit, the cost of a byte, and why others have no figure."""
    monkeypatch.setitem(sys.modules, "plots", None)
    results = good()
    name = "9,000 B in buffers of 1,526 B"
    results[real.SECTION][name] |= {OURS: runs(900, rate=1e6, busy=0.5), RTE_VHOST: runs(1300, rate=1e6)}
    results["delivered"] = {real.SECTION: {
        name: {OURS: [{"lost": 0, "bytes": 9000.0}]},
        "calls wanted, 64 B, split": {OURS: [{"lost": 0, "bytes": 64.0, "calls": 0.0281}]},
    }}
    report.write(everything(results), tmp_path)
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert (f"| {name} | times as fast as {RTE_VHOST} | 1.44 | at least 1.50 | 2 | MISSED | 1.44x in cycles, 1.00x in "
            "frames/s: the generator was the limit; vswitchd waits for the generator (busy 50%) |") in lines
    assert (f"| {name} | - | 900.0, 0.100 per byte, 1.00 M/s (waits for the generator, busy 50%) | 1300.0, 1.44x, "
            "1.00 M/s | 180.0, 0.20x, 2.78 M/s |") in lines
    assert any("| 50.0, 28 calls per 1,000 frames, 10.00 M/s |" in line for line in lines)
    assert lines.count(f"* {FLOOR} has no figure ({name}): {real.ONE_BUFFER}.") == 1
    written = json.loads((tmp_path / "result.json").read_text())
    row, = (goal for goal in written["goals"] if (goal["case"], goal["figure"]) == (name, f"times as fast as {RTE_VHOST}"))
    assert row["verdict"] == goals.MISSED and row["seen"] == pytest.approx(1300 / 900)


def test_traffic_is_drawn(tmp_path):
    """All rows and all subjects are in one drawing. Without figures there is no file."""
    try:
        import plots
    except ImportError:
        pytest.skip("not tested: plots: python3-matplotlib is not installed")
    plots.plot({}, summary(good()), tmp_path)
    text = (tmp_path / "real-cycles.svg").read_text()
    words = ["Cycles per frame by traffic", OURS, FLOOR, RTE_VHOST, OVS, *(row.name for row in real.ROWS)]
    assert [word for word in words if f"<!-- {word} -->" not in text] == []
    (tmp_path / "nothing").mkdir()
    plots.plot({}, {}, tmp_path / "nothing")
    assert not any((tmp_path / "nothing").iterdir())


def test_the_most_expensive_of_all_sizes_is_judged():
    goal = "most expensive of eight sizes, packed", "of the floor's cycles"
    results = good()
    assert verdicts(results)[goal]["verdict"] == goals.MET
    results["limit"]["1518 packed"][OURS] = runs(197)
    row = verdicts(results)[goal]
    assert row["verdict"] == goals.MISSED and row["seen"] == pytest.approx(197 / 140)
    assert row["remarks"][0] == "of 3 sizes, at 1518 bytes"


def test_what_is_not_there_is_not_measured():
    assert {row["verdict"] for row in verdicts({}).values()} == {goals.NOT_MEASURED}
    results = good()
    del results["peers"]["64 packed"][OVS]
    rows = verdicts(results)
    assert rows["64 B packed", f"times as fast as {OVS}"]["verdict"] == goals.NOT_MEASURED
    assert rows["64 B packed", f"times as fast as {RTE_VHOST}"]["verdict"] == goals.AIM_MET


def test_a_quick_run_judges_nothing():
    assert {row["verdict"] for row in verdicts(good(), judged=False).values()} == {goals.NOT_JUDGED}


def test_the_generator_that_was_the_limit_is_told():
    """What the cycles promise is not what was seen in frames per second."""
    goal = "64 B packed", f"times as fast as {RTE_VHOST}"
    results = good()
    results["peers"]["64 packed"] |= {OURS: runs(50, rate=10.1e6, busy=0.6), RTE_VHOST: runs(120, rate=10e6)}
    assert verdicts(results)[goal]["remarks"] == [
        "2.40x in cycles, 1.01x in frames/s: the generator was the limit",
        "vswitchd waits for the generator (busy 60%)"]
    results["peers"]["64 packed"][OURS] = runs(50, rate=24e6, busy=0.6)  # the same in both: it was not
    assert verdicts(results)[goal]["remarks"] == [
        "2.40x in cycles, 2.40x in frames/s", "vswitchd waits for the generator (busy 60%)"]
    results["peers"]["64 packed"][OURS] = runs(50, rate=12e6)  # nobody waited, and they differ all the same
    assert verdicts(results)[goal]["remarks"] == ["2.40x in cycles, 1.20x in frames/s"]
    # Of a slower one, too: the generator makes them equal.
    results["peers"]["64 packed"] |= {FLOOR: runs(48, 10e6, 0.5), OURS: runs(60, 10e6, 0.6)}
    remarks = verdicts(results)["64 B packed", "of the floor's cycles"]["remarks"]
    assert remarks[0] == "0.80x in cycles, 1.00x in frames/s: the generator was the limit"


def test_rounds_are_compared_one_by_one():
    """The machine was twice as slow in the second half: the ratio is the same."""
    slow = {"runs": [50, 50, 100, 100]}
    assert ratio({"runs": [100, 100, 200, 200]}, slow) == 2
    # One bad round of five changes nothing.
    assert ratio({"runs": [100, 100, 900, 100, 100]}, {"runs": [50] * 5}) == 2


def test_a_round_that_failed_is_left_out_on_both_sides():
    """The second half was twice as slow, and one of ours failed in the first: no other takes its place."""
    results = good()
    results["peers"]["64 packed"] = {
        FLOOR: runs(48), OURS: [*runs(50)[:1], [], *runs(100)[:1]],
        RTE_VHOST: [*runs(150)[:1], *runs(900)[:1], *runs(300)[:1]],
    }
    assert verdicts(results)["64 B packed", f"times as fast as {RTE_VHOST}"]["seen"] == 3
    assert not any(math.isnan(value) for value in summary(results)["peers"]["64 packed"][OURS].values()
                   if isinstance(value, float))


def test_a_round_of_latencies_that_failed_is_left_out_on_both_sides(tmp_path):
    """Ours failed when the machine was slow, theirs have a round more."""
    results = good()
    results["latency"]["runs"][OURS] = [*latency(1000, 3000)[:1], None, *latency(1000, 3000)[:1]]
    results["latency"]["runs"][RTE_VHOST] = [*latency(2000, 6000)[:1], *latency(9000, 90000)[:1],
                                             *latency(2000, 6000)[:1], *latency(100, 100)[:1]]
    rows = verdicts(results)
    row = rows["latency at 10 % load", f"of {RTE_VHOST}'s p50"]
    assert row["seen"] == 0.5 and row["remarks"] == ["1.00 and 2.00 us"]
    results["latency"]["runs"][FLOOR][0] = results["loss"]["runs"][OURS][0] = None
    text = report.write(everything(results), tmp_path)
    assert "| vswitchd | 1.00 |" in text and readme.latency(results)["us"][OURS][0] == 1


def test_a_floor_that_spreads_is_noisy():
    results = good()
    results["touch"]["1518 packed touch"][FLOOR] = runs(500, step=0.05)
    spreads = noise(results, summary(results))
    assert spreads["touch"] > 0.1 and spreads["peers"] == 0 and spreads["idle"] is None
    assert spreads["latency"] == 0
    del results["latency"]["runs"][FLOOR][1:]  # once says nothing
    assert noise(results, summary(results))["latency"] is None
    row = verdicts(results)["1518 B, every byte touched", "of the floor's cycles"]
    assert any("noisy" in remark for remark in row["remarks"])


def test_report_and_json_say_the_same(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plots", None)  # words only
    text = report.write(everything(good()), tmp_path)
    assert (tmp_path / "report.md").read_text() == text
    written = json.loads((tmp_path / "result.json").read_text())
    assert len(written["goals"]) == len(goals.GOALS) == text.count("| aim met |") + text.count("| met |")
    for title in report.TITLES.values():
        assert f"## {title}" in text
    # Once more, from what was written.
    assert report.write(copy.deepcopy(written), tmp_path) == text


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A README, and a function that writes a result into it and returns what it has become."""
    monkeypatch.setitem(sys.modules, "plots", None)
    path = tmp_path / "README.md"
    path.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")

    def write(result):
        report.write(result, tmp_path)
        assert readme.rewrite(path, tmp_path, tmp_path / "kept") is None
        return path.read_text()

    write.path = path
    return write


def test_the_readme_gets_its_section(page, tmp_path):
    for _ in range(2):
        text = page(everything(good()))
        assert text.startswith(f"before\n{readme.BEGIN}\n") and text.endswith(f"{readme.END}\nafter\n")
        assert "old" not in text and "2.40x" in text and "2026-01-01" in text
        assert "M/s, upper quartile" in text and "cycles per frame, lower quartile" in text
        assert "* vswitchd: AVX-512\n* OVS-DPDK: scalar\n" in text
    page.path.write_text("no markers\n")
    assert "no section" in readme.rewrite(page.path, tmp_path, tmp_path / "kept")
    assert page.path.read_text() == "no markers\n"


def test_the_readme_leaves_nothing_out(page):
    """Every goal is there with must, aim, verdict and remarks, missed ones and those without a figure, too."""
    results = good()
    results["peers"]["64 packed"][OURS] = runs(70, rate=10e6, busy=0.6)
    del results["peers"]["512 packed"][OVS]
    del results["lookup"]
    text = page(everything(results, faults=[fault("peers", "512 packed", OVS)]))
    lines = [line for line in text.splitlines() if line.count("|") == 8]
    for goal in goals.GOALS:
        assert any(line.startswith(f"| {goal.case} | {goal.figure} |") for line in lines), goal
    assert (f"| 64 B packed | times as fast as {RTE_VHOST} | 1.71 | at least 1.80 | 2.30 | MISSED | 1.71x in cycles, "
            "2.40x in frames/s; vswitchd waits for the generator (busy 60%) |") in text
    assert "| 512 B packed | times as fast as OVS-DPDK | - | at least 2.70 |  | FAULT | peers, 512 packed" in text
    assert "| look-up | cycles among 16,384 addresses | - | at most 6 |  | not measured |  |" in text
    assert "| 512 bytes, packed | 6.1 | 82 | 2.56x | - | fault |" in text
    assert "Failed: peers, 512 packed, OVS-DPDK, round 1: hardly a frame goes through." in text
    assert f"Of {len(goals.GOALS)} goals: 1 FAULT, 1 MISSED, " not in text and " MISSED" in text.split("|")[0]


def test_the_readme_shows_traffic(page):
    results = good()
    results[real.SECTION]["IMIX"][OURS] = runs(50, rate=1e6, busy=0.5)
    results["delivered"] = {real.SECTION: {"every byte touched, 1,518 B": {OURS: [{"lost": 0, "bytes": 1518.0}]}}}
    text = page(everything(results, faults=[fault(real.SECTION, "1,000 addresses, 64 B", OVS)]))
    assert "| IMIX | 1.0\\* | 50 | 2.40x | 3.60x | 0.96x |" in text
    assert "| every byte touched, 1,518 B | 10.0 | 50 (0.033 per byte) | 2.40x | 3.60x | 0.96x |" in text
    assert "| mesh of 4 ports, 64 B | 10.0 | 50 | - | 3.60x | - |" in text
    absent = f"* {FLOOR} has no figure (mesh of 4 ports, 64 B; mesh of 16 ports, 64 B): {real.PAIR_ONLY}."
    assert text.count(absent) == 1
    # A record from before this section has no such table.
    old = json.loads(next(page.path.parent.glob("kept/*.json")).read_text())
    del old["traffic"]
    assert "| IMIX |" not in readme.throughput_table(old) + readme.traffic_table(old)


def test_the_readme_shows_drawings(page, tmp_path):
    result = everything(good())
    report.write(result, tmp_path)
    assert "![" not in page(result)
    (tmp_path / "real-cycles.svg").write_text("<svg>1</svg>")
    link = "doc/bench/a-cpu-26-2-real-cycles.svg"
    assert f"![cycles per frame by traffic, a CPU (family 26, model 2)]({link})\n" in page(result)
    (tmp_path / "real-cycles.svg").write_text("<svg>2</svg>")
    page(result)
    assert (tmp_path / "kept" / Path(link).name).read_text() == "<svg>2</svg>"
    # A drawing of an older result does not stay beside newer figures.
    (tmp_path / "real-cycles.svg").unlink()
    assert "![" not in page(result) and not list(tmp_path.glob("kept/*.svg"))


def test_the_readme_shows_first_what_was_not_reached(page):
    results = good()
    text = page(everything(results))
    assert "Every goal was reached." in text
    results["peers"]["64 packed"][OURS] = runs(70, rate=10e6, busy=0.6)
    shown, folded = page(everything(results)).split("<details>")
    assert " | MISSED | " in shown and " | met | " not in shown
    assert " | MISSED | " not in folded and " | met | " in folded and folded.count("</details>") == 1


def test_the_readme_keeps_every_processors_figures(page):
    text = page(everything(good()))
    assert text.count("### ") == 1 and "### a CPU (family 26, model 2)" in text and readme.ONE_ONLY in text
    text = page(everything(good(), cpu="Another CPU"))
    assert text.count("### ") == 2 and readme.ONE_ONLY not in text
    for name in ("a CPU", "Another CPU"):
        assert f"times vswitchd's cycles they take on {name} (family 26, model 2)" in text
    # A later run on one of them takes the place of its older figures only.
    later = everything(good())
    later["machine"]["commit"] = "def"
    text = page(later)
    assert text.count("### ") == 2 and text.count("vswitchd def") == text.count("vswitchd abc") == 1


def test_a_quick_run_does_not_come_into_the_readme(page, tmp_path):
    report.write(everything(good(), quick=True), tmp_path)
    assert "quick" in readme.rewrite(page.path, tmp_path, tmp_path / "kept") and "old" in page.path.read_text()
    (tmp_path / "result.json").write_text('{"quick": false, "failed": []}')
    assert "older" in readme.rewrite(page.path, tmp_path, tmp_path / "kept") and "old" in page.path.read_text()


def test_the_readme_of_this_tree_is_what_the_records_say():
    text = (ROOT / "README.md").read_text()
    assert text.count(readme.BEGIN + "\n") == text.count(readme.END + "\n") == 1
    records = readme.read(ROOT / "doc/bench")
    assert not records or f"{readme.BEGIN}\n\n{readme.render(records)}\n\n{readme.END}\n" in text
    for drawing in re.findall(r"!\[.*\]\((.*)\)", text):
        assert (ROOT / drawing).exists(), drawing


def test_every_goal_is_of_a_case_that_is_measured():
    """A name with a slip would be 'not measured' for ever."""
    import plan

    names = {s.name: {label(what): [x.name for x in subjects] for what, subjects in s.steps} for s in plan.plan(False)}
    for section, cases in good().items():
        if section in names:
            for case, subjects in cases.items():
                assert set(subjects) <= set(names[section][case]), (section, case)
        else:
            assert section in plan.OTHERS

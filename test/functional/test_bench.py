# SPDX-License-Identifier: BSD-3-Clause
"""What scripts/bench accepts as a figure, and that it builds what it measures. Nothing is measured here:
switches and generators are made up.
"""

import os
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

# What is made up here must not be noted as not tested.
os.environ.pop("VSWITCH_NOT_TESTED", None)

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/bench"))

import generators  # noqa: E402
import measure  # noqa: E402
import plan  # noqa: E402
import real  # noqa: E402
import simd  # noqa: E402
from figures import FLOOR, OURS, OVS, RTE_VHOST  # noqa: E402
from lab import LabError  # noqa: E402
from subjects import FloorCopy, Ours, Ovs, RteVhost  # noqa: E402


def test_who_does_less_work_has_no_figure():
    result = {"sent": 10, "received": 10, "corrupt": 0, "duplicates": 0, "reordered": 0, "broken_queues": 0,
            "lost_requests": 0}
    measure.check("a switch", result)
    measure.check("a switch", result | {"received": 6})
    measure.check("a switch", {"mrr": 1e6, "total": {"sent": 10, "received": 1}})
    with pytest.raises(LabError, match="a switch lost 6 of 10 frames"):
        measure.check("a switch", result | {"received": 4})
    with pytest.raises(LabError, match="a switch lost the net headers of 3 of 10"):
        measure.check("a switch", result | {"lost_requests": 3})
    for key in ("corrupt", "duplicates", "reordered", "wrong_bytes"):
        with pytest.raises(measure.Spoiled, match=f"a switch spoils frames: {key} 1"):
            measure.check("a switch", result | {key: 1})
    with pytest.raises(measure.Spoiled, match="more than was sent 1"):
        measure.check("a switch", result | {"received": 11})


def test_what_testpmd_received_is_counted():
    ports = [{"TX-packets": 700, "RX-packets": 600, "RX-bytes": 38400}, {"TX-packets": 650, "RX-packets": 700,
                                                                        "RX-bytes": 44800}]
    result = generators.loop_counts(ports, 64)
    assert result == {"sent": 1350, "received": 1300, "wrong_bytes": 0, "under_way": 768}
    measure.check("a switch", result)
    # Most of the frames that go round are lost, which is little of what was sent in all.
    with pytest.raises(LabError, match="a switch lost 400 of 768"):
        measure.check("a switch", {**result, "sent": 1000400, "received": 1000000})
    ports[0]["RX-bytes"] -= 4
    with pytest.raises(measure.Spoiled, match="wrong_bytes -4"):
        measure.check("a switch", generators.loop_counts(ports, 64))


def test_who_counts_frames_that_nobody_sent_has_no_figure():
    result = {"sent": 1000000, "received": 990000}
    measure.check_claim("a switch", 1000000, result)
    measure.check_claim("a switch", 1000300, result | {"total": result | {"hellos": 300}})
    with pytest.raises(LabError, match="a switch says that it moved 1100000 frames, of 1000000"):
        measure.check_claim("a switch", 1100000, result)
    with pytest.raises(LabError, match="a switch counts only 880000 of 990000"):
        measure.check_claim("a switch", 880000, result)


class Peer:
    """Made up: it counts frames, or does not."""

    name = "a switch"

    def __init__(self, step):
        self.step, self.frames = step, 0

    def count(self):
        self.frames += self.step
        return 0, 0, 0, self.frames


class Load:
    def __init__(self, ended=None):
        self.ended = lambda: ended


def test_a_generator_that_ended_is_told_at_once(lab, monkeypatch):
    measure.wait_traffic(Load(), Peer(100), 300)
    with pytest.raises(LabError, match="it is gone"):
        measure.wait_traffic(Load("it is gone"), Peer(0), 300)
    monkeypatch.setattr(generators, "PKTGEN", lab.dir / "vswitch-pktgen")  # was not built
    load = generators.Pktgen(lab, [lab.dir / "a.sock"], {"size": 64, "packed": True})
    with pytest.raises(LabError, match="vswitch-pktgen ended with 127: .*No such file"):
        measure.wait_traffic(load, Peer(0), 300)


class MadeUp(Peer):
    """A subject for measure.windows() that moves 60,000 frames between two looks."""

    paths, delivers, claims = (), True, 1

    def __init__(self, lab, big):
        super().__init__(60000)

    def windows(self, seconds):
        self.step = 0
        self.frames *= self.claims
        return [(50, 1e6, 1.0)]


def load_that_says(**counts):
    class Generator(Load):
        def __init__(self, lab, paths, what, seconds=None):
            super().__init__()

        def end(self, wait=False):
            return {"sent": 120000, "received": 120000, **counts}

        def close(self):
            pass
    return Generator


WRONG = {
    "hardly anything": (MadeUp, {"received": 100}, {}, LabError, "a switch lost 119900 of 120000"),
    "counted twice": (type("Liar", (MadeUp,), {"claims": 2}), {}, {}, LabError, "says that it moved"),
    "cut off": (MadeUp, {"wrong_bytes": -4}, {}, measure.Spoiled, "wrong_bytes -4"),
    "content": (MadeUp, {}, {"corrupt": 1}, measure.Spoiled, "corrupt 1"),
    "no content": (MadeUp, {}, {"sent": 0, "received": 0}, LabError, "delivered nothing"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_windows_of_who_does_not_deliver_are_no_figure(fault, monkeypatch):
    subject, counts, looked_into, error, words = WRONG[fault]
    what = {"size": 64, "packed": True}
    monkeypatch.setattr(measure, "FIRST_FRAMES", 10000)
    monkeypatch.setattr(measure, "Pktgen", load_that_says())
    assert measure.windows(MadeUp, load_that_says(), what, 1, True) == ([(50, 1e6, 1.0)], {"lost": 0})
    monkeypatch.setattr(measure, "Pktgen", load_that_says(**looked_into))
    with pytest.raises(error, match=words):
        measure.windows(subject, load_that_says(**counts), what, 1, True)


def options_of(name):
    """vswitch-pktgen's options for a row of traffic, and {subject's name: how it is started}."""
    what = next(row.case for row in real.ROWS if row.name == name)
    subjects = {subject.name: measure.subject_options(subject, what) for subject in (FloorCopy, Ours, RteVhost, Ovs)}
    return " ".join(str(word) for word in generators.pktgen_options(what)), subjects


def test_a_row_of_traffic_is_sent_as_it_says():
    assert generators.pktgen_options({"size": 64, "packed": True, "macs": 1000}) == [
        "--size", 64, "--in-order", "--packed", "--macs", 500]
    for name, words in (
        ("Linux-like, 1,518 B, split", "--size 1518 --mergeable --indirect --calls --ring-size 256 --buffer 1518"),
        ("60 B from vswitch-pktgen, packed", "--size 60 --in-order --packed"),
        ("IMIX", "--in-order --packed --mix imix"),
        ("IMIX with 3 % short frames", f"--in-order --packed --mix {real.SHORT_MIX}"),
        ("TSO frames one way, ACKs back", "--in-order --packed --ring-size 256 --mix linux-tcp"),
        ("partial checksums, 1,500 B", "--size 1500 --in-order --packed --csum"),
        ("header and frame in a chain, 64 B, split", "--size 64 --mergeable --chain 1"),
        ("mesh of 16 ports, 64 B", "--size 64 --in-order --packed --pattern mesh"),
        ("4 queue pairs, 1,000 flows, 64 B", "--size 64 --in-order --packed --flows 1000 --queues 4"),
    ):
        assert options_of(name)[0] == words
    sizes = dict(map(int, line.split()) for line in real.SHORT_MIX.read_text().splitlines() if line[0] != "#")
    assert sum(n for size, n in sizes.items() if size < 60) * 100 == 3 * sum(sizes.values())
    loops = {what["row"] for section in plan.plan(False) if section.name == real.SECTION
             for what, _ in section.steps if section.guests(what) is generators.TestpmdLoop}
    assert loops == {f"{size} B from testpmd, {ring}" for size in (60, 64) for ring in ("split", "packed")}


def test_a_row_of_traffic_starts_who_carries_it():
    _, started = options_of("TSO frames one way, ACKs back")
    assert started[FLOOR] == started[OURS] == {"big": True}
    assert started[RTE_VHOST] == {"big": True, "offloads": True, "queues": 1}
    assert options_of("partial checksums, 64 B")[1][RTE_VHOST]["offloads"]
    assert not options_of("IMIX")[1][RTE_VHOST]["offloads"]
    assert options_of("4 queue pairs, 1,000 flows, 64 B")[1][RTE_VHOST]["queues"] == 4
    assert options_of("9,000 B in buffers of 1,526 B")[1][OVS] == {"big": False, "mtu": 8986}
    _, started = options_of("mesh of 16 ports, 64 B")
    assert started[OURS]["ports"] == started[OVS]["ports"] == 16
    # A subject without a reason is measured, also in a quick run where only the first row has all of them.
    for quick in (False, True):
        section, = (section for section in plan.plan(quick) if section.name == real.SECTION)
        assert [what["row"] for what, _ in section.steps] == [row.name for row in real.ROWS]
        for (_, subjects), row in zip(section.steps, real.ROWS):
            names = [subject.name for subject in subjects]
            assert names == (row.subjects() if not quick or row is real.ROWS[0] else [OURS])


def test_bytes_and_calls_are_those_of_frames_that_arrived():
    result = {"sent": 110, "received": 100, "streams": [{"received_bytes": 6000}, {"received_bytes": 400}],
              "negotiated": [{"calls": 2}, {"calls": 3}]}
    found = measure.counted(result, {"calls": True})
    assert found == {"lost": 10 / 110, "bytes": 64, "calls": 0.05}
    assert "calls" not in measure.counted(result, {})


def test_who_uses_which_vector_instructions_is_known():
    assert simd.ours_says("x: debug: frames are moved with AVX-512\n") == "AVX-512, which it chose by itself"
    assert "not known" in simd.ours_says("nothing")
    assert "AVX-512" in simd.library_says("vmovdqu64 %zmm1,(%rax)\nmovdqu %xmm0,(%rax)")
    assert "SSE (128" in simd.library_says("movdqu %xmm0,(%rax)") and "no vector" in simd.library_says("ret")
    assert "256 bits" in simd.header_says("#define RTE_VECT_DEFAULT_SIMD_BITWIDTH RTE_VECT_SIMD_256")
    dpif = "Available:\n  dpif_scalar (pmds: 1)\n  dpif_avx512 (pmds: none)\n"
    lookup = "Available:\n  autovalidator (Use count: 0, Priority: 0)\n  generic (Use count: 0, Priority: 1)\n"
    assert simd.ovs_says({"datapath": dpif, "look-up": lookup}) == (
        "by default datapath dpif_scalar (there: dpif_avx512), look-up generic (there is no other)")


@pytest.fixture
def bench():
    """scripts/bench as a module."""
    loader = SourceFileLoader("bench", str(ROOT / "scripts/bench"))
    module = module_from_spec(spec_from_loader("bench", loader))
    loader.exec_module(module)
    return module


def test_a_build_without_what_is_measured_is_told(bench, tmp_path, monkeypatch):
    """As scripts/quickstart leaves it."""
    for program in bench.PROGRAMS:
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / program).touch()
    monkeypatch.setenv("VSWITCHD", str(tmp_path / "app/vswitchd/vswitchd"))
    bench.build()
    (tmp_path / "test/bench/vhost-floor").unlink()
    with pytest.raises(SystemExit, match="lacks test/bench/vhost-floor: build them"):
        bench.build()


def test_what_is_measured_is_built_first(bench, tmp_path, monkeypatch, capsys):
    ran = []

    def run(command, check):
        ran.append(command)
        return subprocess.CompletedProcess(command, 1 if failing in command else 0)

    monkeypatch.delenv("VSWITCHD", raising=False)
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench.subprocess, "run", run)
    failing = None
    bench.build()
    assert [command[0] for command in ran] == ["meson", "ninja"] and set(bench.PROGRAMS) <= set(ran[1])
    assert "bench: builds what is measured: meson setup" in capsys.readouterr().out
    failing = "setup"
    with pytest.raises(SystemExit, match="cannot build what is to be measured .*scripts/setup build"):
        bench.build()
    (tmp_path / "build/meson-info").mkdir(parents=True)
    bench.build()
    assert ran[-1][0] == "ninja" and len(ran) == 4
    monkeypatch.undo()
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.delenv("VSWITCHD", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="cannot build what is to be measured .*No such file.*ninja"):
        bench.build()


def test_a_quick_run_on_a_busy_machine_may_lose_most(bench, monkeypatch):
    result = {"sent": 1000, "received": 100}
    monkeypatch.setattr(sys, "argv", ["bench", "--quick"])
    monkeypatch.setattr(measure, "DELIVERED", measure.DELIVERED)
    with pytest.raises(LabError, match="lost 900"):
        measure.check("a switch", result)
    bench.Bench(bench.parse())
    measure.check("a switch", result)
    with pytest.raises(LabError, match="lost 1000"):
        measure.check("a switch", result | {"received": 0})


def test_a_fault_ends_neither_the_run_nor_its_success(bench, monkeypatch):
    """The round keeps its place, the exit status tells, and all is kept."""
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "touch", "--rounds", "2"])
    run = bench.Bench(bench.parse())
    monkeypatch.setattr(bench.simd, "disclose", dict)
    monkeypatch.setattr(bench.measure, "wait_idle", lambda _: None)

    def windows(subject, _generator, _what, _seconds, _content):
        if subject.name == OURS and not run.faults:
            raise measure.Spoiled("vswitchd spoils frames: corrupt 1")
        if subject.name != OURS and len(run.faults) == 1:
            raise KeyError("what nobody thought of")
        return [(50, 1e6, 1.0)], {"lost": 0}

    monkeypatch.setattr(bench.measure, "windows", windows)
    run.run()
    result = run.everything()
    assert result["results"]["touch"]["1518 packed touch"][OURS] == [[], [(50, 1e6, 1.0)]]
    assert [(f["spoiled"], f["round"]) for f in result["faults"]] == [(True, 0), (False, 1)]
    assert result["faults"][1]["text"] == "KeyError: 'what nobody thought of'"
    assert not run.without_figures()

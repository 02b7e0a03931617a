# SPDX-License-Identifier: BSD-3-Clause
"""vswitch-pktgen against vswitchd: what it says it sent is what the switch says it received."""

import json
import subprocess
from pathlib import Path

import pytest

from lab import VSWITCHD, Process, Switch, assert_balanced, dropped, queues
from testpmd import Testpmd

PKTGEN = Path(VSWITCHD).resolve().parents[1] / "pktgen/vswitch-pktgen"

# Options besides ports, rate and time.
CASES = {
    "split": [],
    "packed": ["--packed"],
    "split-in-order": ["--in-order"],
    "packed-in-order": ["--packed", "--in-order"],
    "small-rings": ["--ring-size", "64", "--packed"],
    "imix": ["--size", "imix", "--touch-all"],
    "every-byte": ["--size", "65,333,1514", "--touch-all", "--packed"],
    "merged-buffers": ["--size", "9000", "--mergeable", "--buffer", "1526", "--touch-all"],
    "segmentation": ["--size", "60000", "--tso", "1448", "--packed", "--touch-all"],
    "tagged": ["--size", "100", "--vlan", "42"],
    "flows-over-queues": ["--flows", "1000", "--queues", "4"],
    "many-macs": ["--macs", "5000", "--packed"],
    "one-way": ["--pattern", "uni"],
}


def pktgen(switch, *options, check=True, timeout=60):
    """Run it to its end; (exit status, JSON)."""
    argv = [str(PKTGEN), "--json", "-", "--quiet"]
    for path in switch.paths:
        argv += ["--port", str(path)]
    done = subprocess.run([*argv, *map(str, options)], capture_output=True, text=True, timeout=timeout)
    if check:
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def two_ports(lab, *options):
    return Switch(lab, ["a.sock", "b.sock"], *options)


@pytest.mark.parametrize("name", CASES)
def test_what_is_sent_is_what_the_switch_received(lab, name):
    switch = two_ports(lab)
    _, said, _ = pktgen(switch, "--rate", "50k", "--duration", "0.5", "--no-huge", *CASES[name])
    stats = switch.quiet_stats()
    assert_balanced(stats)
    # The first frames let every address be learned; they are not in what it counts.
    macs = 5000 if name == "many-macs" else 1
    hellos = 2 * macs * (1 if name == "one-way" else 2)
    assert said["sent"] > 1000
    assert sum(queue["frames"] for queue in queues(stats, "receive")) == said["sent"] + hellos
    assert said["lost"] == sum(n for why, n in dropped(stats).items() if why == "ring-full")
    assert said["received"] + said["lost"] == said["sent"]
    assert abs(said["sent"] - said["offered"]) <= 4 or said["late"], "due is due"
    assert said["corrupt"] == said["duplicates"] == said["reordered"] == 0
    assert said["broken_queues"] == said["foreign"] == 0
    latency = said["latency_ns"]
    assert 0 < latency["min"] <= latency["p50"] <= latency["p99"] <= latency["max"]


def test_a_mesh_sends_from_each_to_each(lab):
    switch = Switch(lab, [f"{i}.sock" for i in range(4)])
    _, said, _ = pktgen(switch, "--pattern", "mesh", "--rate", "60k", "--duration", "0.5", "--no-huge")
    stats = switch.quiet_stats()
    assert_balanced(stats)
    assert said["received"] == said["sent"] > 1000
    received = [sum(q["frames"] for q in queues(stats, "receive", port)) for port in range(4)]
    assert max(received) - min(received) <= 64


def test_as_fast_as_it_goes_accounts_for_every_frame(lab):
    switch = two_ports(lab)
    _, said, _ = pktgen(switch, "--duration", "0.5", "--no-huge", "--packed")
    stats = switch.quiet_stats()
    assert_balanced(stats)
    assert said["received"] > 100000
    assert said["sent"] == said["received"] + sum(dropped(stats).values())


@pytest.mark.parametrize("ring", ["split", "packed"])
def test_it_works_with_another_back_end(lab, ring):
    """rte_vhost does not write num_buffers where buffers are not merged."""
    paths = [lab.dir / "a.sock", lab.dir / "b.sock"]
    pmd = Testpmd(lab, [f"net_vhost{i},iface={path}" for i, path in enumerate(paths)], memory=256)
    pmd.run("start")
    options = ["--packed"] if ring == "packed" else []
    argv = [PKTGEN, "--json", "-", "--quiet", "--rate", "10k", "--duration", "0.5", "--no-huge", *options]
    for path in paths:
        argv += ["--port", path]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (done.stdout, done.stderr)
    said = json.loads(done.stdout)
    assert said["received"] == said["sent"] > 1000 and said["broken_queues"] == 0


def test_methods_find_a_rate_that_holds(lab):
    switch = two_ports(lab)
    _, said, _ = pktgen(switch, "--test", "mrr", "--duration", "0.1", "--no-huge")
    assert len(said["mrr_rates"]) == 10 and min(said["mrr_rates"]) > 1000
    _, said, _ = pktgen(switch, "--test", "ndrpdr", "--duration", "0.01", "--no-huge", timeout=120)
    most = max(said["mrr_rates"])
    assert 0 < said["NDR"]["rate"] <= most and 0 < said["PDR"]["rate"] <= most
    assert said["PDR"]["trials"] >= 11, "one short trial is no proof"
    _, said, _ = pktgen(switch, "--test", "back-to-back", "--no-huge", "--ring-size", "256")
    assert said["back_to_back"] >= 32


def test_the_books_hold_over_all_trials_of_a_search(lab):
    switch = two_ports(lab)
    _, said, _ = pktgen(switch, "--test", "rfc2544", "--duration", "0.01", "--no-huge", "--ring-size", "256")
    stats, total = switch.quiet_stats(), said["total"]
    assert_balanced(stats)
    assert total["trials"] > 4 and total["hellos"] == 4
    assert sum(queue["frames"] for queue in queues(stats, "receive")) == total["sent"] + total["hellos"]
    assert sum(dropped(stats).values()) == total["sent"] - total["received"]


def test_faults_are_told_in_words(lab):
    switch = two_ports(lab)
    status, _, err = pktgen(switch, "--size", "64", "--vlan", "9", "--no-huge", check=False)
    assert status == 2 and "too small" in err
    status, _, err = pktgen(switch, "--rate", "fast", check=False)
    assert status == 2 and "not a number" in err
    done = subprocess.run([PKTGEN, "--port", "/nowhere/a", "--port", "/nowhere/b", "--no-huge"],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "/nowhere/a" in done.stderr


def test_a_switch_that_dies_is_not_a_success(lab):
    switch = two_ports(lab)
    argv = [PKTGEN, "--duration", "1", "--no-huge"]
    for path in switch.paths:
        argv += ["--port", path]
    generator = Process(lab, "pktgen", argv)
    while not sum(queue["frames"] for queue in queues(switch.stats(), "receive")):
        pass
    switch.stop()
    assert generator.wait(20) in (0, 1)
    text = generator.out_path.read_text()
    assert "lost" in text and "received" in text

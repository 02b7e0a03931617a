# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's virtio-user drives every kind of ring on both ends: no frame is lost or changed."""

import itertools
import random
import signal
import time
from collections import Counter

import pytest

from lab import Lab, Switch, assert_balanced, dropped, queues, wait_for
from testpmd import Testpmd, virtio_user

MACS = ["02:00:00:00:00:0a", "02:00:00:00:00:0b"]
# The vectorised driver gives back 32 receive buffers a call, however many it took.
BURST = 32


def variant_id(variant):
    words = ["packed" if variant["packed"] else "split"]
    words += [name for name in ("in_order", "mergeable", "vectorized") if variant[name]]
    return "-".join(words + [str(variant["size"]), f"{variant['queues']}q"])


def variants(*shapes, packed=(False, True)):
    """Every mix of ring features, each in the given (size, queues) shapes."""
    for is_packed, in_order, mergeable, vectorized in itertools.product(
        packed, (False, True), (False, True), (False, True)
    ):
        for size, n_queues in shapes:
            yield dict(
                packed=is_packed, in_order=in_order, mergeable=mergeable, vectorized=vectorized,
                size=size, queues=n_queues,
            )


LOOPS = [
    *variants((256, 1), (1024, 4)),
    *variants((1000, 1), (1000, 4), packed=(True,)),
]


@pytest.fixture(scope="module")
def switch():
    """One switch for all variants: its ports also prove that they can be used again."""
    with Lab() as lab:
        sw = Switch(lab, ["a.sock", "b.sock"], "--idle", "poll", "--lcores", "1")
        sw.lab = lab
        yield sw
        assert_balanced(sw.quiet_stats())
        sw.stop()


@pytest.fixture
def program(switch):
    """Start testpmd on both ports of the switch; it is gone after the test."""
    started = []

    def start(vdevs, *options, **more):
        started.append(Testpmd(switch.lab, vdevs, *options, **more))
        return started[-1]

    yield start
    for testpmd in started:
        testpmd.close()
        switch.lab.owned.remove(testpmd)
    assert switch.alive(), switch.err()


def wait_up(switch, ports=2):
    """Until every ring of every port runs."""
    wait_for(
        lambda: sum(port["up"] for port in switch.stats()["ports"]) == ports, "port that is up", 10, 0.1
    )


def totals(stats):
    return {
        direction: [sum(q["frames"] for q in queues(stats, direction, port)) for port in (0, 1)]
        for direction in ("ingress", "egress")
    }


def difference(after, before):
    return {
        direction: [a - b for a, b in zip(after[direction], before[direction])] for direction in after
    }


def first_bursts(size, n_queues):
    """Half a ring from all queues together: a closed loop that nothing can overflow."""
    return max(1, size // 2 // BURST // n_queues)


def run_loop(switch, testpmd, bursts, seconds=0.2):
    """Frames go round and round, then the rings are read dry. Returns what everybody counted."""
    wait_up(switch)
    before = switch.quiet_stats()
    testpmd.run(f"start tx_first {bursts}")
    time.sleep(seconds)
    testpmd.run("stop")
    testpmd.run("set fwd rxonly")
    testpmd.run("start")
    time.sleep(0.1)
    testpmd.run("stop")
    return before, switch.quiet_stats(), testpmd.counters()


def check_loop(before, after, counters, bursts):
    assert_balanced(after)
    assert dropped(after) == dropped(before)
    moved = difference(totals(after), totals(before))
    sent = [port["TX-packets"] for port in counters]
    arrived = [port["RX-packets"] for port in counters]
    assert moved["ingress"] == sent
    assert moved["egress"] == sent[::-1]
    assert arrived == sent[::-1]
    # More than the first bursts: the loop did turn.
    assert min(sent) > 20 * bursts * BURST


def loop_options(variant):
    n = variant["queues"]
    return [
        f"--burst={BURST}", f"--rxq={n}", f"--txq={n}", f"--rxd={variant['size']}",
        f"--txd={variant['size']}", f"--eth-peer=0,{MACS[1]}", f"--eth-peer=1,{MACS[0]}",
        *(["--txonly-multi-flow"] if n > 1 else []),
    ]


@pytest.mark.parametrize("variant", LOOPS, ids=variant_id)
def test_closed_loop_loses_nothing(switch, program, variant):
    vdevs = [
        virtio_user(path, number=i, mac=MACS[i], **variant) for i, path in enumerate(switch.paths)
    ]
    testpmd = program(vdevs, *loop_options(variant))
    bursts = first_bursts(variant["size"], variant["queues"])
    before, after, counters = run_loop(switch, testpmd, bursts)
    check_loop(before, after, counters, bursts)
    if variant["queues"] > 1:
        used = [
            new["frames"] > old["frames"]
            for new, old in zip(queues(after, "egress", 1), queues(before, "egress", 1))
        ]
        assert sum(used) >= 2, "flows are spread over the queues"


@pytest.mark.parametrize("packed", (False, True), ids=("split", "packed"))
def test_virtio_user_as_server(lab, packed):
    switch = Switch(lab, ["a.sock", "b.sock"], "--client", "--idle", "poll", "--lcores", "1")
    variant = dict(packed=packed, size=256, queues=1)
    vdevs = [
        virtio_user(path, number=i, mac=MACS[i], server=True, **variant)
        for i, path in enumerate(switch.paths)
    ]
    testpmd = Testpmd(lab, vdevs, *loop_options(variant))
    check_loop(*run_loop(switch, testpmd, 2), 2)
    testpmd.close()
    switch.stop()


@pytest.mark.parametrize("packed", (False, True), ids=("split", "packed"))
def test_virtio_user_as_server_outlives_the_switch(lab, packed):
    """It tells base 0 of rings that have run."""
    options = ["--client", "--idle", "poll", "--lcores", "1"]
    switch = Switch(lab, ["a.sock", "b.sock"], *options)
    vdevs = [
        virtio_user(path, number=i, mac=MACS[i], server=True, packed=packed)
        for i, path in enumerate(switch.paths)
    ]
    testpmd = Testpmd(lab, vdevs, *loop_options(dict(size=256, queues=1)))
    wait_up(switch)
    testpmd.run("start tx_first 2")
    for number in range(2):
        wait_for(lambda: min(totals(switch.stats())["egress"]) > 5000, "traffic", 10, 0.2)
        switch.signal(signal.SIGKILL)
        switch.wait(5)
        switch = Switch(lab, ["a.sock", "b.sock"], *options, name=f"again{number}")
        wait_up(switch)
        testpmd.run("stop")
        testpmd.run("start tx_first 2")
    wait_for(lambda: min(totals(switch.stats())["egress"]) > 5000, "traffic", 10, 0.2)
    assert "is stopped until the driver resets it" not in switch.err()
    testpmd.close()
    switch.stop()


def test_two_processes_of_different_ring_formats(switch, program):
    """Each process has memory of its own and swaps the addresses of what it is given."""
    options = [f"--burst={BURST}", "--port-topology=loop", "--forward-mode=macswap"]
    first, second = [
        program(
            [virtio_user(switch.paths[i], mac=MACS[i], packed=i == 1)],
            *options, f"--eth-peer=0,{MACS[1 - i]}", name=f"testpmd{i}",
        )
        for i in (0, 1)
    ]
    wait_up(switch)
    before = switch.quiet_stats()
    second.run("start")
    first.run("start tx_first 2")
    # Both on one core: a turn takes the time slices of two, and longer on a busy machine.
    old = totals(before)
    wait_for(
        lambda: min(difference(totals(switch.stats()), old)["egress"]) > 20 * 2 * BURST, "loop that turns", 20, 0.1
    )
    for program_ in (first, second):
        program_.run("stop")
    switch.quiet_stats()
    for program_ in (first, second):
        program_.run("set fwd rxonly")
        program_.run("start")
        time.sleep(0.2)
        program_.run("stop")
    after = switch.quiet_stats()
    counters = [program_.counters()[0] for program_ in (first, second)]
    check_loop(before, after, counters, 2)


def make_frames(count, longest, seed):
    """Frames of many kinds and lengths from MACS[0] to MACS[1], each with its number inside."""
    from scapy.all import IP, UDP, Dot1Q, Ether, IPv6, Raw

    rng = random.Random(seed)
    kinds = (
        lambda: IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=rng.randrange(1, 9), dport=9),
        lambda: IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=rng.randrange(1, 9), dport=9),
        lambda: Dot1Q(vlan=rng.randrange(1, 4094)) / IP(dst="10.0.0.2") / UDP(sport=1, dport=9),
        lambda: Raw(b"\x88\xb5"),
    )
    frames = []
    for number in range(count):
        head = bytes(Ether(src=MACS[0], dst=MACS[1]) / rng.choice(kinds)())
        length = rng.choice((60, 64, 65, 127, 128, 129, 1514, rng.randrange(60, longest + 1), longest))
        body = number.to_bytes(4, "big") + rng.randbytes(longest)
        frames.append((head + body)[: max(length, len(head) + 4)])
    return frames


def check_content(switch, program, tmp_path, variant, longest=1514, count=200):
    """Frames of a pcap file through the switch into another: the same bytes come out."""
    from scapy.utils import RawPcapReader, PcapWriter

    n = variant["queues"]
    ins = [tmp_path / f"in{q}.pcap" for q in range(n)]
    outs = [tmp_path / f"out{q}.pcap" for q in range(n)]
    sent = []
    for q, path in enumerate(ins):
        # All of them fit into one ring, wherever they are delivered.
        frames = make_frames(count // n, longest, seed=q)
        sent.append(frames)
        with PcapWriter(str(path), linktype=1) as writer:
            for frame in frames:
                writer.write(frame)
    vdevs = [
        "net_pcap0," + ",".join(f"rx_pcap={path}" for path in ins),
        *(virtio_user(path, number=i, mac=MACS[i], **variant) for i, path in enumerate(switch.paths)),
        "net_pcap1," + ",".join(f"tx_pcap={path}" for path in outs),
    ]
    before = switch.quiet_stats()
    testpmd = program(
        vdevs, "--no-flush-rx", f"--rxq={n}", f"--txq={n}", f"--rxd={variant['size']}", f"--txd={variant['size']}",
    )
    wait_up(switch)
    testpmd.run("start")
    expected = sum(len(frames) for frames in sent)
    wait_for(lambda: testpmd.counters()[2]["RX-packets"] >= expected, "frame of the file", 10, 0.2)
    testpmd.run("stop")
    testpmd.close()
    after = switch.quiet_stats()
    assert dropped(after) == dropped(before)
    assert_balanced(after)
    arrived = [[frame for frame, _ in RawPcapReader(str(path))] for path in outs]
    if n == 1:
        assert arrived[0] == sent[0]
    else:
        assert Counter(itertools.chain(*arrived)) == Counter(itertools.chain(*sent))


@pytest.mark.parametrize("variant", [*variants((256, 1)), *variants((256, 4))], ids=variant_id)
def test_content_arrives_as_it_was(switch, program, tmp_path, variant):
    check_content(switch, program, tmp_path, variant)


@pytest.mark.parametrize("packed", (False, True), ids=("split", "packed"))
def test_jumbo_frames_arrive_as_they_were(switch, program, tmp_path, packed):
    variant = dict(packed=packed, mergeable=True, size=1024, queues=1)
    check_content(switch, program, tmp_path, variant, longest=9000, count=100)

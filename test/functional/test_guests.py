# SPDX-License-Identifier: BSD-3-Clause
"""Real Linux guests reach each other through the switch, over every kind of ring that they use."""

import json
import sys

import pytest

from guest import Guest, ping
from lab import ROOT, Lab, Switch, assert_balanced, dropped, drops_of, queues, wait_for

sys.path.insert(0, str(ROOT / "python"))

import vswitch  # noqa: E402

PLAIN = dict(offloads=False)
PACKED = dict(packed=True)

# name: what both guests have, what the first one has, what the second one has.
CASES = {
    "split": ({}, {}, {}),
    "packed-mtu9000": (dict(packed=True, mtu=9000), {}, {}),
    "split-to-packed-without-offloads": ({}, {}, dict(packed=True, offloads=False)),
    "packed-to-split-without-offloads-mtu9000": (dict(mtu=9000), PACKED, PLAIN),
    "without-offloads-and-mergeable": (dict(offloads=False, mrg_rxbuf=False), {}, PACKED),
    "one-buffer-a-frame-with-offloads": (dict(mrg_rxbuf=False), PACKED, {}),
    "split-4-queue-pairs": (dict(pairs=4), {}, {}),
    "packed-4-queue-pairs-without-offloads": (dict(pairs=4, packed=True, mtu=9000), {}, PLAIN),
    "legacy-device": ({}, dict(device="disable-modern=on,disable-legacy=off"), {}),
}


class Pair:
    """Two guests of one case on one switch."""

    def __init__(self, lab, case):
        both, first, second = CASES[case]
        self.lab = lab
        self.switch = Switch(lab, ["vm1.sock", "vm2.sock"])
        self.mtu = both.get("mtu", 1500)
        self.pairs = both.get("pairs", 1)
        self.guests = [
            Guest(lab, number + 1, path, huge=number == 0, **{**both, **own})
            for number, (path, own) in enumerate(zip(self.switch.paths, (first, second)))
        ]
        for guest in self.guests:
            guest.wait_boot()


@pytest.fixture(scope="module", params=CASES)
def pair(request):
    with Lab() as lab:
        the_pair = None
        try:
            the_pair = Pair(lab, request.param)
        except Exception:
            print(lab.story())
            raise
        yield the_pair


@pytest.fixture(autouse=True)
def totals_balance(request):
    """After every test the switch lives and its counters balance."""
    yield
    if "pair" in request.fixturenames:
        switch = request.getfixturevalue("pair").switch
        assert switch.alive(), switch.err()
        assert_balanced(switch.quiet_stats())


def start_servers(guest, *ports):
    for port in ports:
        guest.run(f"iperf3 -s -D -1 -p {port} >/dev/null 2>&1")
        wait_for(lambda: f":{port} " in guest.run("netstat -ltn"), "iperf3 server")


def iperf(source, target, *options, seconds=3, ipv6=False):
    """One iperf3 run; its end report."""
    start_servers(target, 5201)
    text = source.run(
        f"iperf3 -J -c {target.ip6 if ipv6 else target.ip} -t {seconds} {' '.join(options)}",
        timeout=seconds + 30, check=False,
    )
    assert "{" in text, text
    report = json.loads(text[text.index("{") :])
    assert "error" not in report, report["error"]
    return report["end"]


def test_ping_without_loss(pair):
    for source, target in (pair.guests, pair.guests[::-1]):
        ping(source, target, count=1)  # addresses are resolved
        ping(source, target, count=1, ipv6=True)
        assert ping(source, target) == (20, 20)
        assert ping(source, target, ipv6=True, count=10) == (10, 10)


def test_ping_of_every_size_without_loss(pair):
    one, two = pair.guests
    for size in (1, pair.mtu - 28, pair.mtu - 27, 20000):
        assert ping(one, two, count=5, size=size) == (5, 5), size
        assert ping(two, one, count=5, size=size, ipv6=True) == (5, 5), size


def test_frames_keep_the_mtu(pair):
    for guest in pair.guests:
        assert int(guest.run("cat /sys/class/net/eth0/mtu")) == pair.mtu


@pytest.mark.parametrize("direction", (1, -1), ids=("there", "back"))
@pytest.mark.parametrize("ipv6", (False, True), ids=("ipv4", "ipv6"))
def test_tcp_stream(pair, direction, ipv6):
    source, target = pair.guests[::direction]
    end = iperf(source, target, "-P", str(pair.pairs), seconds=1, ipv6=ipv6)
    received = end["sum_received"]
    assert received["bits_per_second"] > 20e6
    # What is still under way when the time is up is no loss, a buffer full at most.
    assert received["bytes"] > 0.5 * end["sum_sent"]["bytes"]


def udp_loss(pair):
    """The share of datagrams that did not arrive; each has to have its reason in the counters."""
    before = dropped(pair.switch.stats())
    end = iperf(*pair.guests, "-u", "-b", "15M", "-l", "40000", seconds=2)
    after = dropped(pair.switch.stats())
    details = (end["sum"], before, after)
    # Two emulated guests on a busy machine may be late with buffers; nothing else may cost a frame.
    late = after.pop("ring-full", 0) - before.pop("ring-full", 0)
    assert after == before, details
    assert end["sum"]["packets"] > 20, details
    assert end["sum"]["lost_packets"] <= late, details
    return end["sum"]["lost_packets"] / end["sum"]["packets"]


def test_udp_datagrams_of_many_frames(pair):
    # Room for many datagrams, so that a guest that waits for its turn loses none of its own.
    pair.guests[1].run(
        "echo 8388608 >/proc/sys/net/core/rmem_max; echo 8388608 >/proc/sys/net/core/rmem_default")
    losses = []
    while not losses or losses[-1] > 0.05:
        assert len(losses) < 4, f"each time datagrams are lost: {losses}"
        losses.append(udp_loss(pair))


@pytest.mark.parametrize("direction", (1, -1), ids=("there", "back"))
def test_file_arrives_as_it_was(pair, direction):
    source, target = pair.guests[::direction]
    source.run("dd if=/dev/urandom of=/tmp/sent bs=64k count=256 2>/dev/null", timeout=60)
    source.run("pidof httpd >/dev/null || httpd -p 8080 -h /tmp")
    target.run(f"wget -q -O /tmp/arrived http://{source.ip}:8080/sent", timeout=60)
    sums = [
        guest.run(f"sha256sum <{file}", timeout=60)
        for guest, file in ((source, "/tmp/sent"), (target, "/tmp/arrived"))
    ]
    assert sums[0] == sums[1]


CHECKSUMS = {"IcmpInCsumErrors", "TcpInCsumErrors", "UdpInCsumErrors", "Icmp6InCsumErrors", "Udp6InCsumErrors"}


def protocol_counters(guest):
    """Of IPv4, as a line of names and one of values, and of IPv6, as a name and a value each. (TCP has one set.)"""
    lines = [line.split() for line in guest.run("cat /proc/net/snmp").splitlines()]
    found = {
        names[0].rstrip(":") + name: int(value)
        for names, values in zip(lines[::2], lines[1::2]) for name, value in zip(names[1:], values[1:])
    }
    found.update((name, int(value)) for name, value in map(str.split, guest.run("cat /proc/net/snmp6").splitlines()))
    return found


def test_checksums_that_arrive_are_right(pair):
    """Nobody counts a bad checksum, and nobody lost frames to the ring or the driver."""
    for guest in pair.guests:
        found = protocol_counters(guest)
        assert {name: found[name] for name in CHECKSUMS} == dict.fromkeys(CHECKSUMS, 0)
        assert min(found[name] for name in ("TcpInSegs", "Icmp6InMsgs", "Ip6InReceives")) > 0, found
        assert guest.counter("rx_errors") == 0


def calls_made(switch):
    """Calls, calls that were left to the control thread, and warnings that eventfds are slow."""
    queues = [queue for port in switch.stats()["ports"] for queue in port["queues"]]
    calls, left = (sum(queue[name] for queue in queues) for name in ("calls", "calls_left"))
    return calls, left, switch.err().count("eventfds take long")


def test_interrupts_are_not_late(pair):
    """
    Workers call the drivers themselves: these front-ends' eventfds are not slow, however busy the machine is.
    A hypervisor that takes the CPU away makes a write look slow for some seconds, so there are four tries.
    """
    tries, before = [], (0, 0, 0)
    while not tries or tries[-1][1] >= tries[-1][0] / 10 or tries[-1][2]:
        assert len(tries) < 4, f"each time calls were late: {tries}"
        if tries:
            iperf(*pair.guests, seconds=2)
        now = calls_made(pair.switch)
        tries.append(tuple(new - old for new, old in zip(now, before)))
        before = now
        assert tries[-1][0] > 500, tries


def test_queue_pairs_are_used(pair):
    """With four pairs, frames come in on several queues and go out on several."""
    if pair.pairs == 1:
        stats = pair.switch.stats()
        assert sum(queue["frames"] > 0 for queue in queues(stats, "ingress", 0)) == 1
        return
    one, two = pair.guests
    for cpu in range(4):
        one.run(f"taskset {1 << cpu:x} ping -c 3 -i 0.02 {two.ip} >/dev/null")
    stats = pair.switch.stats()
    assert sum(queue["frames"] > 0 for queue in queues(stats, "ingress", 0)) >= 3
    assert sum(queue["frames"] > 0 for queue in queues(stats, "egress", 1)) >= 2


def test_third_guest_hears_broadcasts_and_nobody_elses_unicasts(lab):
    switch = Switch(lab, ["vm1.sock", "vm2.sock", "vm3.sock"])
    guests = [
        Guest(lab, number + 1, path, packed=number == 2) for number, path in enumerate(switch.paths)
    ]
    one, two, three = [guest.wait_boot() for guest in guests]
    ping(one, two, count=2)
    ping(three, one, count=2)
    before = [guest.counter("rx_packets") for guest in guests]
    one.run("ping -c 20 -i 0.05 -W 1 10.0.0.255 || true")
    after = [guest.counter("rx_packets") for guest in guests]
    assert after[1] - before[1] >= 20
    assert after[2] - before[2] >= 20

    before = three.counter("rx_packets")
    frames = sum(queue["frames"] for queue in queues(switch.stats(), "egress", 1))
    iperf(one, two, seconds=2)
    ping(one, two, count=20)
    moved = sum(queue["frames"] for queue in queues(switch.stats(), "egress", 1)) - frames
    heard = three.counter("rx_packets") - before
    assert moved > 200
    # Guests now and then look for neighbours by broadcast and multicast of their own.
    assert heard <= 5, f"the third guest heard {heard} of {moved} frames"
    assert_balanced(switch.quiet_stats())
    switch.stop(limit=5)


def test_guests_kick_pages(lab):
    """Doorbells: QEMU maps our pages into the guests, whose kicks nobody hears; pings arrive."""
    switch = Switch(lab, ["a.sock", "b.sock"], "--host-notifier", "--log-level", "debug")
    guests = [
        Guest(lab, number + 1, path, device="page-per-vq=on,disable-legacy=on")
        for number, path in enumerate(switch.paths)
    ]
    for guest in guests:
        guest.wait_boot()
    assert ping(guests[0], guests[1], count=20) == (20, 20)
    assert ping(guests[1], guests[0], count=5, size=1400) == (5, 5)
    assert "takes no doorbell" not in switch.err()
    assert switch.err().count("a doorbell of ring") >= 4
    assert_balanced(switch.quiet_stats())


def test_guests_that_resize_their_rings_keep_their_network(lab):
    """ethtool -G: QEMU 7.2 would give a guest the reset of a ring, but not forward it to us."""
    switch = Switch(lab, ["a.sock", "b.sock"])
    guests = [Guest(lab, i + 1, path, packed=i == 1) for i, path in enumerate(switch.paths)]
    for guest in guests:
        guest.wait_boot()
    assert ping(*guests, count=5) == (5, 5)
    for guest in guests:
        details = guest.run("ethtool -G eth0 rx 128 tx 128", check=False)
        print(f"{guest.name}: {details or 'done'}")
        assert ping(*guests, count=5) == (5, 5), details
        assert ping(*guests[::-1], count=5) == (5, 5), details
    assert_balanced(switch.quiet_stats())


def test_memory_that_is_not_shared_is_reported(lab):
    """Once, and of the guest whose memory it is."""
    switch = Switch(lab, ["private.sock", "shared.sock"])
    guests = [Guest(lab, i + 1, path, share=bool(i)) for i, path in enumerate(switch.paths)]
    for guest in guests:
        guest.wait_boot()
    wait_for(lambda: "share=on of its memory backend" in switch.err(), "warning", 20)
    guests[1].run("sleep 2")
    lines = [line for line in switch.err().splitlines() if "share=on of" in line]
    assert len(lines) == 1 and "private.sock: the driver kicks" in lines[0], lines


class Bare:
    """Two guests on a switch that started without ports. A client adds the ports while the guests wait."""

    def __init__(self, lab):
        self.lab = lab
        self.switch = Switch(lab, [], "--control", lab.dir / "control.sock")
        self.client = vswitch.Client(lab.dir / "control.sock")
        assert list(self.client.list("port.list")) == []
        self.guests = [Guest(lab, n, lab.dir / f"vm{n}.sock", packed=n == 2, reconnect=True) for n in (1, 2)]
        self.add(1)
        self.add(2)
        for guest in self.guests:
            guest.wait_boot()

    def add(self, number):
        self.client.call("port.add", name=f"vm{number}", socket=str(self.guests[number - 1].path), vlan=10)

    def set(self, number, **settings):
        self.client.call("port.set", name=f"vm{number}", **settings)

    def stats(self, number):
        return self.client.call("port.stats", name=f"vm{number}")

    def drops(self, number, reason):
        return drops_of(self.stats(number), reason)

    def received(self, number):
        """Frames and bytes that the guest was given."""
        given = [queue for queue in self.stats(number)["queues"] if queue["direction"] == "egress"]
        return [sum(queue[name] for queue in given) for name in ("frames", "bytes")]


@pytest.fixture(scope="module")
def bare():
    with Lab() as lab:
        try:
            yield Bare(lab)
        except Exception:
            print(lab.story())
            raise


@pytest.fixture(autouse=True)
def totals_of_run_time_ports_balance(request):
    """The same for ports that come and go: the totals contain those that have gone."""
    yield
    if "bare" in request.fixturenames:
        switch = request.getfixturevalue("bare").switch
        assert switch.alive(), switch.err()
        assert switch.quiet_stats()["totals"]["balanced"]


def ping_at_last(source, target):
    """Once addresses are resolved, nothing is lost."""
    wait_for(lambda: ping(source, target, count=1) == (1, 1), "answer to a ping", 20)
    assert ping(source, target, count=5) == (5, 5)


def test_a_guest_moves_to_another_vlan_and_back(bare):
    one, two = bare.guests
    ping_at_last(one, two)
    bare.set(2, vlan=20)
    before = two.counter("rx_packets"), bare.drops(1, "no-destination")
    assert ping(one, two, count=3) == (3, 0)
    assert two.counter("rx_packets") == before[0], "nothing of VLAN 10 is heard in VLAN 20"
    assert bare.drops(1, "no-destination") >= before[1] + 3
    bare.set(2, vlan=10)
    ping_at_last(one, two)
    ping_at_last(two, one)


def test_a_port_goes_and_comes_back_while_its_guest_sends(bare):
    one, two = bare.guests
    ping_at_last(one, two)
    two.run(f"ping -i 0.02 -W 1 {one.ip} >/dev/null 2>&1 & echo $! >/tmp/ping")
    bare.client.call("port.del", name="vm2")
    wait_for(lambda: two.run("cat /sys/class/net/eth0/carrier") == "0", "end of the connection", 10)
    assert ping(one, two, count=2) == (2, 0)
    bare.add(2)
    wait_for(lambda: two.run("cat /sys/class/net/eth0/carrier") == "1", "another connection", 20, 0.1)
    two.run("kill $(cat /tmp/ping)")
    ping_at_last(one, two)


@pytest.fixture
def trunk(bare):
    """The second guest has its address on a VLAN interface; its port is a trunk, with VLAN 5 without tags."""
    two = bare.guests[1]
    two.run("[ -d /proc/net/vlan ] || for module in /modules/vlan/*.ko; do insmod $module; done")
    two.run("ip link add link eth0 name eth0.10 type vlan id 10 && ip link set eth0.10 up && "
            f"ip addr del {two.ip}/24 dev eth0 && ip addr add {two.ip}/24 dev eth0.10")
    bare.set(2, vlan_mode="trunk", trunk="10", vlan=5)
    yield bare
    two.run(f"ip link del eth0.10 && ip addr add {two.ip}/24 dev eth0")
    bare.set(2, vlan_mode="access", vlan=10)


def test_a_trunk_reaches_a_guest_without_tags(trunk):
    one, two = trunk.guests
    ping_at_last(two, one)
    for size in (56, 1472):
        assert ping(two, one, count=5, size=size) == (5, 5), size
        assert ping(one, two, count=5, size=size) == (5, 5), size
    before = trunk.drops(2, "vlan")
    trunk.set(2, trunk="30")
    assert ping(two, one, count=2) == (2, 0), "VLAN 10 is not in the trunk"
    assert trunk.drops(2, "vlan") >= before + 2
    trunk.set(2, trunk="10,30")
    ping_at_last(two, one)


@pytest.mark.parametrize("direction", (1, -1), ids=("tags-are-added", "tags-are-removed"))
def test_offloaded_streams_between_a_trunk_and_a_guest_without_tags(trunk, direction):
    """Frames of many segments, whose checksums are not there yet, get and lose a tag."""
    source, target = trunk.guests[::direction]
    before = trunk.received(target.number)
    errors = sum(protocol_counters(target)[name] for name in CHECKSUMS)
    end = iperf(source, target, seconds=2)
    frames, length = (new - old for new, old in zip(trunk.received(target.number), before))
    assert end["sum_received"]["bytes"] > 500000
    assert length > 2000 * frames, "they are longer than a segment"
    assert sum(protocol_counters(target)[name] for name in CHECKSUMS) == errors

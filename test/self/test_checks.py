# SPDX-License-Identifier: BSD-3-Clause
"""The functional tests fail on the faults that they look for: they get made-up guests and figures."""

import copy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "functional"))

import migration  # noqa: E402
import test_crash  # noqa: E402
import test_guests  # noqa: E402
import test_iommu  # noqa: E402
import test_pktgen  # noqa: E402

SNMP = """Icmp: InMsgs InCsumErrors
Icmp: 5 0
Tcp: InSegs InCsumErrors
Tcp: 9 0
Udp: InDatagrams InCsumErrors
Udp: 9 0
"""
SNMP6 = """Ip6InReceives 7
Icmp6InMsgs 7
Icmp6InCsumErrors 0
Udp6InCsumErrors 0
"""


class CountingGuest:
    """A guest with these counters."""

    def __init__(self, snmp=SNMP, snmp6=SNMP6, rx_errors=0):
        self.output = {"cat /proc/net/snmp": snmp, "cat /proc/net/snmp6": snmp6}
        self.rx_errors = rx_errors

    def run(self, command):
        return self.output[command]

    def counter(self, _):
        return self.rx_errors


def check_checksums(guest):
    test_guests.test_checksums_that_arrive_are_right(SimpleNamespace(guests=[CountingGuest(), guest]))


def test_guests_without_bad_checksums_pass():
    check_checksums(CountingGuest())


@pytest.mark.parametrize("guest", [
    CountingGuest(snmp=SNMP.replace("Tcp: 9 0", "Tcp: 9 1")),
    CountingGuest(snmp6=SNMP6.replace("Icmp6InCsumErrors 0", "Icmp6InCsumErrors 1")),
    CountingGuest(snmp6=SNMP6.replace("Udp6InCsumErrors 0", "Udp6InCsumErrors 1")),
    CountingGuest(snmp6=SNMP6.replace("Ip6InReceives 7", "Ip6InReceives 0")),
    CountingGuest(rx_errors=1),
], ids=["tcp", "icmp6", "udp6", "no IPv6 at all", "frames lost to the driver"])
def test_a_guest_with_a_bad_checksum_fails(guest):
    with pytest.raises(AssertionError):
        check_checksums(guest)


def check_datagrams(monkeypatch, lost, ring_full=0, other=0):
    """UDP that loses so many of 100 datagrams each time, with these counters."""
    drops = iter(range(1000))

    def dropped(_):
        n = next(drops)
        return {"ring-full": (n + 1) // 2 * ring_full, "bad-buffer": (n + 1) // 2 * other}

    guests = [SimpleNamespace(run=lambda _: "")] * 2
    monkeypatch.setattr(test_guests, "dropped", dropped)
    monkeypatch.setattr(test_guests, "iperf", lambda *_, **__: {"sum": {"packets": 100, "lost_packets": lost}})
    test_guests.test_udp_datagrams_of_many_frames(
        SimpleNamespace(guests=guests, switch=SimpleNamespace(stats=lambda: None)))


def test_datagrams_that_all_arrive_pass(monkeypatch):
    check_datagrams(monkeypatch, lost=0)
    check_datagrams(monkeypatch, lost=5, ring_full=5)


@pytest.mark.parametrize("lost, ring_full, other", [(50, 50, 0), (3, 0, 0), (3, 0, 3)],
                         ids=["half of them", "for no reason", "for another reason"])
def test_datagrams_that_are_lost_fail(monkeypatch, lost, ring_full, other):
    with pytest.raises(AssertionError):
        check_datagrams(monkeypatch, lost, ring_full, other)


def check_iommu(monkeypatch, received):
    def run(command, **_):
        return "DMAR" if command == "dmesg" else ""

    guest = SimpleNamespace(run=run, ip="10.0.0.1")
    switch = SimpleNamespace(err=lambda: "access_platform", stats=lambda: None)
    monkeypatch.setattr(test_iommu, "ping", lambda *_, count, **__: (count, min(count, received)))
    monkeypatch.setattr(test_iommu, "dropped", lambda _: {})
    test_iommu.test_a_guest_behind_an_iommu((switch, guest, guest))


def test_pings_through_an_iommu_pass(monkeypatch):
    check_iommu(monkeypatch, received=18)


def test_half_of_the_pings_through_an_iommu_fail(monkeypatch):
    with pytest.raises(AssertionError):
        check_iommu(monkeypatch, received=10)


RESULT = {"sent": 10000, "offered": 10000, "received": 10000, "lost": 0, "late": 0, "corrupt": 0,
          "lost_requests": 0, "duplicates": 0, "reordered": 0, "completed": 0, "broken_queues": 0, "foreign": 0,
          "checked": {"latency": True}, "latency_ns": {"min": 1, "p50": 2, "p99": 3, "max": 4, "samples": 10000}}


def check_rate(monkeypatch, **figures):
    """What pktgen says after a trial in one direction."""
    output = {**copy.deepcopy(RESULT), **figures}
    output["latency_ns"]["valid"] = output["late"] <= output["sent"] / 100
    switch = SimpleNamespace(quiet_stats=lambda: None)
    monkeypatch.setattr(test_pktgen, "two_ports", lambda _: switch)
    monkeypatch.setattr(test_pktgen, "pktgen", lambda *_, **__: (None, output, None))
    monkeypatch.setattr(test_pktgen, "assert_balanced", lambda _: None)
    monkeypatch.setattr(test_pktgen, "queues", lambda *_: [{"frames": output["sent"] + 2}])
    monkeypatch.setattr(test_pktgen, "dropped", lambda _: {})
    test_pktgen.test_what_is_sent_is_what_the_switch_received(None, "one-way")


def test_a_rate_that_is_kept_passes(monkeypatch):
    check_rate(monkeypatch)
    check_rate(monkeypatch, offered=15000, late=1000)  # a machine that could not keep up


@pytest.mark.parametrize("figures", [
    {"offered": 15000}, {"offered": 15000, "late": 1}, {"offered": 9000}, {"reordered": 1}, {"received": 9999},
], ids=["too few", "too few and one late", "too many", "reordered", "one without an account"])
def test_a_rate_that_is_not_kept_fails(monkeypatch, figures):
    with pytest.raises(AssertionError):
        check_rate(monkeypatch, **figures)


class FloodingGuest:
    """A guest with this many answers to its flood."""

    ip = "10.0.0.1"

    def __init__(self, answers):
        self.answers = answers

    def wait_boot(self):
        pass

    def start(self, _):
        pass

    def finish(self, *_, **__):
        return f"400 packets transmitted, {self.answers} packets received"


class RestartedSwitch:
    pid, paths = 0, ["a", "b"]

    def __init__(self, output):
        self.output = output

    def err(self):
        return self.output

    def quiet_stats(self):
        pass


RUNNING = "running with split rings\n" * 2


def check_crash(monkeypatch, answers=400, pings=1.0, output=RUNNING, away_s=0.5):
    """The switch is away for so long, so many of 400 flood pings and this share of the others are answered."""
    now = iter(range(1000))
    monkeypatch.setattr(test_crash, "Switch", lambda *_, **__: RestartedSwitch(output))
    monkeypatch.setattr(test_crash, "restart", lambda *_: RestartedSwitch(output))
    monkeypatch.setattr(test_crash, "Guest", lambda *_, **__: FloodingGuest(answers))
    monkeypatch.setattr(test_crash, "ping", lambda *_, count, **__: (count, int(count * pings)))
    monkeypatch.setattr(test_crash, "assert_balanced", lambda _: None)
    monkeypatch.setattr(test_crash, "time",
                        SimpleNamespace(sleep=lambda _: None, monotonic=lambda: next(now) * away_s))

    def wait_for(condition, _, seconds):
        assert away_s <= seconds and condition()

    monkeypatch.setattr(test_crash, "wait_for", wait_for)
    test_crash.test_guests_outlive_the_switch(None, packed=False)


def test_guests_that_outlive_the_switch_pass(monkeypatch):
    check_crash(monkeypatch)
    check_crash(monkeypatch, answers=260)


@pytest.mark.parametrize("faults", [
    {"answers": 200}, {"pings": 0.9}, {"away_s": 10}, {"output": RUNNING[:30]},
    {"output": RUNNING + "stopped until the driver resets it"},
], ids=["half of the flood is lost", "pings are lost", "away for long", "one guest does not come back", "a queue stops"])
def test_guests_that_do_not_outlive_the_switch_fail(monkeypatch, faults):
    with pytest.raises(AssertionError):
        check_crash(monkeypatch, **faults)


class MovingGuest(migration.Traveller):
    """A guest whose console showed this."""

    def __init__(self, lab, output):
        self.name, self.transcript, self.lab = "moving", bytearray(output), lab
        lab.owned.append(self)

    def _read_rest(self):
        pass


class EmptyLab:
    def __init__(self):
        self.owned, self.renewed = [], 0

    def renew(self):
        self.owned, self.renewed = [], self.renewed + 1


def moves(consoles):
    """(whether moves with these consoles, the last of which is good, pass; how often they were tried again)"""
    lab, left = EmptyLab(), list(consoles)

    def body(the_lab):
        output = left.pop(0)
        MovingGuest(the_lab, output or b"")
        assert output is None, "silent"

    try:
        migration.move_uncorrupted(lab, body)
    except AssertionError:
        return False, lab.renewed
    return True, lab.renewed


def test_only_a_guest_that_the_emulator_corrupted_moves_again():
    corrupted = b"guest: ready\nlist_del corruption. prev->next should be ffff888\n"
    assert moves([None]) == (True, 0)
    assert moves([b"guest: ready\n"]) == (False, 0)
    assert moves([corrupted, None]) == (True, 1)
    assert moves([corrupted, b"guest: ready\n"]) == (False, 1)
    assert moves([corrupted, corrupted, corrupted]) == (False, 2)

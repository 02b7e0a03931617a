# SPDX-License-Identifier: BSD-3-Clause
"""What systemd is told, with a datagram socket in its place."""

import ctypes
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from lab import ROOT, Process, Switch, wait_for
from test_config import PKTGEN, Setting

sys.path.insert(0, str(ROOT / "python"))

import vswitch  # noqa: E402

PERIOD = 0.8  # of the watchdog; it is told four times as often
FADES = 1.2  # after this time nothing of before is on its way, even on a busy machine


class Systemd:
    """The messages that came, each as {name: value}, with the time."""

    def __init__(self, lab, abstract=False):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.address = f"@{lab.dir.name}-notify" if abstract else str(lab.dir / "notify")
        self.socket.bind(self.address.replace("@", "\0", 1))
        self.environment = {**os.environ, "NOTIFY_SOCKET": self.address}

    def receive(self, timeout=10.0):
        self.socket.settimeout(timeout)
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def until(self, name, timeout=10.0):
        """The next message with this name; all before it are dropped."""
        end = time.monotonic() + timeout
        while True:
            message = self.receive(max(end - time.monotonic(), 0.001))
            if name in message:
                return message

    def names(self, seconds):
        """The first name of each message that comes in this time."""
        end, names = time.monotonic() + seconds, []
        while (left := end - time.monotonic()) > 0:
            try:
                names.append(next(iter(self.receive(left))))
            except TimeoutError:
                break
        return names

    def count(self, name, seconds):
        """How many messages with this name come in this time."""
        end, n = time.monotonic() + seconds, 0
        while (left := end - time.monotonic()) > 0:
            try:
                n += name in self.receive(left)
            except TimeoutError:
                break
        return n


@pytest.mark.parametrize("abstract", (False, True), ids=("path", "abstract"))
def test_it_is_ready_when_the_ports_listen(lab, abstract):
    systemd = Systemd(lab, abstract)
    setting = Setting(lab)
    switch = setting.start(ports=["a.sock"], env=systemd.environment, wait=False)
    assert systemd.receive(20) == {"READY": "1"}
    for path in (*switch.paths, lab.dir / "vm1.sock", lab.dir / "vm2.sock", setting.control):
        with socket.socket(socket.AF_UNIX) as front_end:
            front_end.connect(str(path))
    assert systemd.receive() == {"STATUS": "3 ports, 0 with a running guest"}
    assert systemd.count("WATCHDOG", 0.5) == 0, "nobody asked for it"
    switch.stop()
    assert systemd.until("STOPPING") == {"STOPPING": "1"}


def test_the_status_follows_ports_and_guests(lab):
    systemd = Systemd(lab)
    setting = Setting(lab)
    setting.start(env=systemd.environment)
    ports = [word for name in ("vm1", "vm2") for word in ("--port", f"{lab.dir}/{name}.sock")]
    assert systemd.until("STATUS")["STATUS"] == "2 ports, 0 with a running guest"
    Process(lab, "pktgen", [PKTGEN, "--no-huge", *ports, "--rate", "1k", "--duration", 30])
    wait_for(lambda: systemd.until("STATUS")["STATUS"] == "2 ports, 2 with a running guest", "status", 15)
    with setting.client() as client:
        for number in range(200):
            client.call("port.add", name=f"n{number}", socket=f"{lab.dir}/n.sock")
            client.call("port.del", name=f"n{number}")
        client.call("port.del", name="vm2")
    assert systemd.until("STATUS")["STATUS"].startswith(("1 ports", "2 ports", "3 ports"))
    assert systemd.count("STATUS", 2.5) <= 3, "not for each change"


def test_a_reload_has_a_beginning_and_an_end(lab):
    systemd = Systemd(lab)
    setting = Setting(lab)
    setting.start(env=systemd.environment)
    systemd.until("READY")
    for text in (setting.ports("vm1"), "wrong"):
        setting.write(text)
        before = len(setting.switch.err())
        setting.switch.signal(signal.SIGHUP)
        begun = systemd.until("RELOADING")
        assert abs(int(begun["MONOTONIC_USEC"]) / 1e6 - time.monotonic()) < 5
        assert systemd.until("READY") == {"READY": "1"}
        wait_for(lambda: re.search("read again|stays", setting.switch.err()[before:]), "line of the log")
    setting.file.unlink()
    setting.switch.signal(signal.SIGHUP)
    assert systemd.until("RELOADING") and systemd.until("READY")


def test_reloads_that_follow_each_other_have_one_end(lab):
    systemd = Systemd(lab)
    setting = Setting(lab)
    setting.start(env=systemd.environment)
    systemd.until("READY")
    with setting.client() as watcher:
        watcher.call("subscribe", events=["port.added"])
        setting.write(setting.ports(*[f"n{number}" for number in range(1000)]))
        setting.switch.signal(signal.SIGHUP)
        watcher.receive()
        for _ in range(2):
            setting.switch.signal(signal.SIGHUP)
            time.sleep(0.01)
    wait_for(lambda: setting.switch.err().count("read again") == 2, "end of the second reload", 30)
    told = [name for name in systemd.names(1.5) if name != "STATUS"]
    assert told == ["RELOADING"] * 3 + ["READY"]


class Full:
    """The queue of a systemd that does not read, full with messages of other services."""

    def __init__(self, systemd):
        self.systemd, self.count = systemd, 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            other.connect(systemd.address.replace("@", "\0", 1))
            try:
                while True:
                    other.send(b"OTHER=1")
                    self.count += 1
            except BlockingIOError:
                pass

    def drain(self):
        for _ in range(self.count):
            assert self.systemd.receive(0) == {"OTHER": "1"}


def test_ready_and_the_status_are_told_when_systemd_reads_again(lab):
    systemd = Systemd(lab)
    full = Full(systemd)
    switch = Switch(lab, ["a.sock"], env=systemd.environment)
    time.sleep(1.5)  # more than the time between two attempts
    full.drain()
    assert systemd.receive(3) == {"READY": "1"}
    assert systemd.receive(1) == {"STATUS": "1 ports, 0 with a running guest"}
    assert systemd.names(2.5) == [], "it is told once"
    switch.stop()


def test_a_reload_that_systemd_did_not_hear_of_is_told_later(lab):
    systemd = Systemd(lab)
    setting = Setting(lab)
    setting.start(env=systemd.environment)
    assert systemd.names(1.5) == ["READY", "STATUS"]
    full = Full(systemd)
    before = time.monotonic()
    setting.reload()
    after = time.monotonic()
    full.drain()
    assert before < int(systemd.receive(3)["MONOTONIC_USEC"]) / 1e6 < after
    assert systemd.receive(1) == {"READY": "1"}
    assert systemd.names(2.5) == []


class Stopped:
    """One thread of a process, stopped by ptrace: SIGSTOP would stop all threads."""

    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17

    def __init__(self, tid):
        self.tid = tid
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def ptrace(self, request):
        if self.libc.ptrace(request, self.tid, None, None) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def __enter__(self):
        self.ptrace(self.SEIZE)
        self.ptrace(self.INTERRUPT)
        os.waitpid(self.tid, 0x40000000)  # __WALL
        return self

    def __exit__(self, *_):
        self.ptrace(self.DETACH)


def workers(switch):
    return [int(task.name) for task in Path(f"/proc/{switch.pid}/task").iterdir()
            if (task / "comm").read_text().startswith(("lcore-worker", "dpdk-worker", "rte-worker"))]


def start_watched(lab, systemd, *options, pid=None, period=PERIOD):
    more = {"WATCHDOG_USEC": str(int(period * 1e6)), **({"WATCHDOG_PID": str(pid)} if pid else {})}
    switch = Switch(lab, ["a.sock"], *options, env={**systemd.environment, **more})
    systemd.until("READY")
    return switch


@pytest.mark.parametrize("idle", ("poll", "sleep"))
def test_the_watchdog_is_told_that_it_lives(lab, idle):
    systemd = Systemd(lab)
    start_watched(lab, systemd, "--idle", idle)
    assert systemd.count("WATCHDOG", 4 * PERIOD) >= 8


def test_it_is_not_told_so_while_a_worker_stands_still(lab):
    systemd = Systemd(lab)
    switch = start_watched(lab, systemd, "--idle", "poll")
    (worker,) = workers(switch)
    systemd.until("WATCHDOG")
    with Stopped(worker):
        systemd.count("WATCHDOG", FADES)
        assert systemd.count("WATCHDOG", 2 * PERIOD) == 0
        assert switch.err().count("stands still: systemd's watchdog is not told") == 1
    assert systemd.until("WATCHDOG", 2 * PERIOD)


def test_it_is_not_told_so_while_the_control_thread_stands_still(lab):
    systemd = Systemd(lab)
    switch = start_watched(lab, systemd)
    with Stopped(switch.pid):
        systemd.count("WATCHDOG", FADES)
        assert systemd.count("WATCHDOG", 2 * PERIOD) == 0
    assert systemd.until("WATCHDOG", 2 * PERIOD)


def test_a_watchdog_for_another_process_is_not_told(lab):
    systemd = Systemd(lab)
    start_watched(lab, systemd, pid=1)
    assert systemd.count("WATCHDOG", 2 * PERIOD) == 0


def test_a_systemd_that_does_not_read_keeps_nobody_waiting(lab):
    systemd = Systemd(lab)
    switch = start_watched(lab, systemd, "--control", lab.dir / "control.sock", period=0.02)
    time.sleep(3)  # hundreds of messages; the socket takes some ten
    with vswitch.Client(lab.dir / "control.sock") as client:
        started = time.monotonic()
        client.call("version")
        assert time.monotonic() - started < 1
    switch.stop()


@pytest.mark.parametrize("address", ("/nowhere/notify", "relative", "/" + "x" * 200, ""))
def test_a_systemd_that_is_not_there_is_told_once(lab, address):
    switch = Switch(lab, ["a.sock"], env={**os.environ, "NOTIFY_SOCKET": address})
    assert switch.err().count("cannot tell systemd how it goes") == 1
    switch.stop()

# SPDX-License-Identifier: BSD-3-Clause
"""Shared by the functional tests, the quickstart and the bench: a directory, processes, the switch.

A Lab owns a temporary directory and every process that was started in it. Closing it ends the processes, by
pid, the last one first, and removes what they left behind.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VSWITCHD = os.environ.get("VSWITCHD", str(ROOT / "build/app/vswitchd/vswitchd"))


class LabError(AssertionError):
    """Something in the lab did not do what it was told."""


def wait_for(condition, what, timeout=10.0, interval=0.02):
    """Return the first true value of condition(); fail after timeout seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"no {what} after {timeout:g} s")
        time.sleep(interval)


def huge_pages_free():
    """Free 2 MB pages of this machine."""
    try:
        text = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").read_text()
    except OSError:
        return 0
    return int(text) if os.path.ismount("/dev/hugepages") else 0


def not_tested(thing, words):
    """Go on without something that this machine lacks; scripts/test tells of it, and demands some things."""
    if path := os.environ.get("VSWITCH_NOT_TESTED"):
        with open(path, "a") as file:
            file.write(f"{thing}: {words}\n")


class Process:
    """A program with its output in files, ended by pid."""

    def __init__(self, lab, name, argv, **popen):
        self.name = name
        self.argv = [str(word) for word in argv]
        self.out_path = lab.dir / f"{name}.out"
        self.err_path = lab.dir / f"{name}.err"
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            popen = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, **popen}
            self.popen = subprocess.Popen(self.argv, **popen)
        lab.own(self)

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def out(self):
        return self.out_path.read_text(errors="replace")

    def err(self):
        return self.err_path.read_text(errors="replace")

    def wait(self, timeout):
        return self.popen.wait(timeout)

    def signal(self, signum):
        self.popen.send_signal(signum)

    def close(self):
        if self.alive():
            self.popen.terminate()
            try:
                self.popen.wait(3)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()

    def story(self):
        """For whoever reads a failure: the command, its state, the ends of its outputs."""
        state = "running" if self.alive() else f"ended with {self.popen.returncode}"
        text = f"--- {self.name} ({state}): {' '.join(self.argv)}\n"
        for title, path in (("stdout", self.out_path), ("stderr", self.err_path)):
            tail = path.read_text(errors="replace")[-2000:].strip()
            if tail:
                text += f"{title}: ...\n{tail}\n"
        return text


class Lab:
    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="vswitch-lab."))
        self.owned = []

    def own(self, thing):
        self.owned.append(thing)
        return thing

    def close(self):
        while self.owned:
            self.owned.pop().close()
        # DPDK programs that were killed leave these; their prefix is the lab's name.
        for left in Path("/dev/hugepages").glob(f"{self.dir.name}-*"):
            left.unlink(missing_ok=True)
        for left in Path("/var/run/dpdk").glob(f"{self.dir.name}-*"):
            shutil.rmtree(left, ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)

    def renew(self):
        """Close it, and begin with an empty one."""
        self.close()
        self.dir = Path(tempfile.mkdtemp(prefix="vswitch-lab."))

    def story(self):
        return "\n".join(thing.story() for thing in self.owned)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def counters(stats):
    """What does not change while nothing moves: recorded events tell how long ago they were."""
    return [{**port, "queues": [{**queue, "events": None} for queue in port["queues"]]} for port in stats["ports"]]


class Switch(Process):
    """A running vswitchd and its counters."""

    def __init__(self, lab, ports, *options, name="vswitchd", eal=(), command=None, wait=True,
                 as_installed=False, **popen):
        self.paths = [lab.dir / port for port in ports]
        self.stats_path = lab.dir / f"{name}.json"
        argv = [command or VSWITCHD, *options, "--stats-json", self.stats_path]
        for path in self.paths:
            argv += ["--socket-path", path]
        if not as_installed and not huge_pages_free() and "--no-huge" not in options:
            not_tested("huge-pages", "vswitchd with huge pages")
            argv += ["--no-huge"]
        if not as_installed:
            argv += ["--", "--file-prefix", f"{lab.dir.name}-{name}", *eal]
        # The control socket is in the lab, too.
        popen["env"] = {"RUNTIME_DIRECTORY": str(lab.dir), **(popen.get("env") or os.environ)}
        super().__init__(lab, name, argv, **popen)
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout=20):
        wait_for(lambda: not self.alive() or "ready:" in self.err(), "ready switch", timeout)
        if not self.alive():
            raise LabError(f"vswitchd did not start:\n{self.err()}")

    def stats(self):
        """The counters now, as vswitchd writes them on SIGUSR1."""
        if self.alive():
            self.stats_path.unlink(missing_ok=True)
            self.signal(signal.SIGUSR1)
            wait_for(lambda: self.stats_path.exists() or not self.alive(), "counters", 5)
        return json.loads(self.stats_path.read_text())

    def quiet_stats(self, timeout=5.0):
        """The counters once nothing moves any more."""
        end = time.monotonic() + timeout
        now = self.stats()
        while True:
            before = now
            time.sleep(0.15)
            now = self.stats()
            if counters(now) == counters(before):
                return now
            if time.monotonic() > end:
                raise LabError("frames still move through the switch")

    def stop(self, signum=signal.SIGTERM, limit=1.0):
        """End it; the last counters stay readable. Returns the seconds it took."""
        started = time.monotonic()
        self.signal(signum)
        try:
            status = self.wait(10)
        except subprocess.TimeoutExpired:
            raise LabError("vswitchd does not end") from None
        took = time.monotonic() - started
        if status != 0:
            raise LabError(f"vswitchd ended with {status}:\n{self.err()[-2000:]}")
        if took > limit:
            raise LabError(f"vswitchd took {took:.2f} s to end")
        return took


def queues(stats, direction, port=None):
    """All queues of a direction, of one port or of all."""
    ports = stats["ports"] if port is None else [stats["ports"][port]]
    return [queue for p in ports for queue in p["queues"] if queue["direction"] == direction]


def dropped(stats):
    """{reason: frames} over the whole switch."""
    total = {}
    for port in stats["ports"]:
        for queue in port["queues"]:
            for reason, frames in queue["drops"].items():
                total[reason] = total.get(reason, 0) + frames
    return total


def drops_of(port, reason):
    """Frames that were dropped for a reason at any queue, in an answer of port.stats."""
    return sum(drop["frames"] for queue in port["queues"] for drop in queue["drops"] if drop["reason"] == reason)


def assert_balanced(stats):
    """Every frame that came in went out or has a reason; recomputed from the queues."""
    for queue in queues(stats, "ingress"):
        settled = queue["unicast"] + queue["flooded"] + sum(queue["drops"].values())
        assert queue["frames"] == settled, f"ingress queue loses frames: {queue}"
    sent = sum(
        queue["unicast"] + queue["flood_copies"] + queue["gso_segments"]
        for queue in queues(stats, "ingress")
    )
    arrived = sum(
        queue["frames"] + sum(queue["drops"].values()) for queue in queues(stats, "egress")
    )
    assert sent == arrived, f"{sent} copies were sent and {arrived} accounted for: {stats['ports']}"
    assert stats["totals"]["balanced"], stats["totals"]

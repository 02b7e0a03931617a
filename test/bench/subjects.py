# SPDX-License-Identifier: BSD-3-Clause
"""The subjects: vswitchd, the floors, and other switches.

Each starts with two ports and one polling core. windows() samples it while traffic flows. It returns a list
of (cycles per frame, frames per second, busy share), one per short window, so that a burst of noise spoils a
window and not the figure.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import figures
from lab import VSWITCHD, LabError, Process, Switch, wait_for
from testpmd import Testpmd

FLOOR = Path(VSWITCHD).resolve().parents[2] / "test/bench/vhost-floor"
IDLE = FLOOR.with_name("vhost-idle")
LOOKUP = FLOOR.with_name("vswitch-lookup")
WAKE = FLOOR.with_name("vswitch-wake")
OVS = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
WINDOW = 0.08
SWITCH_CPU = 1
BIG_MBUF = 65500  # what holds any frame in one piece


class Subject:
    """name, what it is for people; missing() says why it cannot run here."""

    needs = None
    window = WINDOW
    delivers = True
    other_paths = ()

    @classmethod
    def missing(cls):
        return None if cls.needs is None or shutil.which(cls.needs) else f"{cls.needs} is not installed"

    def windows(self, seconds):
        samples = []
        end = time.monotonic() + seconds
        before = self.count()
        while time.monotonic() < end:
            time.sleep(self.window)
            after = self.count()
            (b_time, b_busy, b_idle, b_frames), (time_, busy, idle, frames) = before, after
            if frames > b_frames and time_ > b_time:
                work = busy - b_busy
                samples.append((work / (frames - b_frames), (frames - b_frames) / (time_ - b_time),
                                work / max(work + idle - b_idle, 1)))
            before = after
        return samples


class CountsInFile:
    """SIGUSR1, and the counters are in a file."""

    def count(self):
        stats = self.process.stats() if hasattr(self.process, "stats") else self._read()
        workers = stats["workers"]
        return (time.monotonic(), sum(w["busy_cycles"] for w in workers),
                sum(w["idle_cycles"] for w in workers), sum(w["frames"] for w in workers))

    def _read(self):
        self.stats_path.unlink(missing_ok=True)
        self.process.signal(signal.SIGUSR1)
        wait_for(lambda: self.stats_path.exists() or not self.process.alive(), "counters", 5)
        return json.loads(self.stats_path.read_text())


class Ours(CountsInFile, Subject):
    name = figures.OURS
    command = None  # another binary than the one of this build

    def __init__(self, lab, big=False, ports=2, options=(), idle="poll"):
        self.process = Switch(
            lab, [f"{i}.sock" for i in range(ports)], "--idle", idle, "--lcores", str(SWITCH_CPU), *options,
            command=self.command
        )
        # A report of a thousand ports takes time that the generator, on the same core, does not have then.
        self.window = WINDOW * max(1, ports / 200)
        self.paths = self.process.paths[:2]
        self.other_paths = self.process.paths[2:]

    def sleeps(self):
        return sum(worker["sleeps"] for worker in self.process.stats()["workers"])


class Before(Ours):
    """Another build of vswitchd, to see what a change costs."""

    name = figures.BEFORE


class Floor(CountsInFile, Subject):
    def __init__(self, lab, big=False):
        self.paths = [lab.dir / "a.sock", lab.dir / "b.sock"]
        self.stats_path = lab.dir / "floor.json"
        self.process = Process(lab, "floor", [FLOOR, self.mode, str(SWITCH_CPU), self.stats_path, *self.paths])
        wait_for(lambda: "ready:" in self.process.err(), "the floor")


class FloorRing(Floor):
    name, mode = figures.FLOOR_RING, "ring"
    delivers = False  # what arrives is whatever the buffers held


class FloorCopy(Floor):
    name, mode = figures.FLOOR, "copy"


class RteVhost(Subject):
    """testpmd forwards between two net_vhost ports: rte_vhost, and no look-up at all. offloads: what guests
    ask for in the net header goes through as well. Between two ports of its own it does so only with
    the flags of old, with which what was received says what has to be sent."""

    name, needs = figures.RTE_VHOST, "dpdk-testpmd"

    def __init__(self, lab, big=False, offloads=False, queues=1):
        self.paths = [lab.dir / "a.sock", lab.dir / "b.sock"]
        more = f",queues={queues}" + (",tso=1,legacy-ol-flags=1" if offloads else "")
        vdevs = [f"net_vhost{i},iface={path}{more}" for i, path in enumerate(self.paths)]
        self.pmd = Testpmd(lab, vdevs, "--burst=64", f"--rxq={queues}", f"--txq={queues}", *mbuf_options(big),
                           lcores=f"0@0,1@{SWITCH_CPU}",
                           memory=700 if big else None, mbufs=5000 if big else 40000, name="vhost")
        self.pmd.run("set record-core-cycles on")
        self.pmd.run("start")
        self.begin = time.monotonic()

    def count(self):
        # Never cleared: frames between a look and its clearing would be in no window.
        text = self.pmd.run("show fwd stats all")
        now = time.monotonic()
        cycles = re.search(r"total cycles=(\d+) .* at (\d+) MHz", text)
        frames = int(re.search(r"Accumulated.*?RX-packets: (\d+)", text, re.S)[1])
        # It counts cycles that moved frames; what is left of the time it was idle.
        hz = int(cycles[2]) * 1e6 if cycles else 0
        busy = int(cycles[1]) if cycles else 0
        return now, busy, max((now - self.begin) * hz - busy, 0), frames


class RteVhostChained(RteVhost):
    """The same with the usual 2 KB mbufs, where a long frame is a chain."""

    name = figures.RTE_VHOST_CHAINED

    def __init__(self, lab, big=False, **options):
        super().__init__(lab, big=False, **options)


class Ovs(Subject):
    """OVS-DPDK's NORMAL action: a learning switch. mtu: of its ports, if frames are longer than usual."""

    name, needs = figures.OVS, OVS

    def __init__(self, lab, big=False, ports=2, mtu=None):
        self.env = {
            **os.environ, "OVS_RUNDIR": str(lab.dir), "OVS_LOGDIR": str(lab.dir), "OVS_DBDIR": str(lab.dir)
        }
        self.dir = lab.dir
        db = f"unix:{lab.dir}/db.sock"
        self._do("ovsdb-tool", "create", lab.dir / "conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
        Process(
            lab, "ovsdb-server",
            ["ovsdb-server", lab.dir / "conf.db", f"--remote=p{db}", f"--unixctl={lab.dir}/db.ctl"],
            env=self.env,
        )
        wait_for((lab.dir / "db.sock").exists, "ovsdb-server")
        self._do("ovs-vsctl", f"--db={db}", "--no-wait", "init", "--", "set", "Open_vSwitch", ".",
                 "other_config:dpdk-init=true", "other_config:dpdk-lcore-mask=0x1",
                 f"other_config:pmd-cpu-mask={1 << SWITCH_CPU:#x}", "other_config:dpdk-socket-mem=512",
                 f'other_config:dpdk-extra="--no-pci --file-prefix={lab.dir.name}-ovs"')
        self.process = Process(lab, "ovs-vswitchd", [OVS, db, f"--unixctl={lab.dir}/ovs.ctl"], env=self.env)
        names = [f"p{i}" for i in range(ports)]
        added = []
        for name in names:
            added += ["--", "add-port", "br0", name, "--", "set", "Interface", name, "type=dpdkvhostuser"]
            added += [f"mtu_request={mtu}"] if mtu else []
        self._do("ovs-vsctl", f"--db={db}", "--timeout=30", "add-br", "br0", "--", "set", "Bridge", "br0",
                 "datapath_type=netdev", *added)
        paths = [lab.dir / name for name in names]
        self.paths, self.other_paths = paths[:2], paths[2:]
        for path in paths:
            wait_for(path.exists, f"socket {path}")

    def _do(self, *argv):
        done = subprocess.run(
            [str(word) for word in argv], env=self.env, capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise LabError(f"{argv[0]}: {done.stderr.strip()}")
        return done.stdout

    def ask(self, command):
        return self._do("ovs-appctl", "-t", self.dir / "ovs.ctl", command)

    def count(self):
        text = self.ask("dpif-netdev/pmd-stats-show")
        frames = int(re.search(r"packets received: (\d+)", text)[1])
        idle = int(re.search(r"idle cycles: (\d+)", text)[1])
        busy = int(re.search(r"processing cycles: (\d+)", text)[1])
        return time.monotonic(), busy, idle, frames


def mbuf_options(big, mtu=True):
    """For 60,000 bytes in one piece. (virtio-user refuses an MTU above 9,698, and takes longer frames all the same.)"""
    size = [f"--mbuf-size={BIG_MBUF}"] if big else []
    return size + ([f"--max-pkt-len={BIG_MBUF - 1000}"] if big and mtu else [])

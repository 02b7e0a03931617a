# SPDX-License-Identifier: BSD-3-Clause
"""The generators: testpmd's virtio-user, the same for every switch, and vswitch-pktgen for the limit.

Both count the frames that they sent and received, so a figure counts delivered frames. testpmd does not check
the contents of frames; vswitch-pktgen does that at the end, see measure.py.
"""

import json
import subprocess
import time
from pathlib import Path

from lab import VSWITCHD, LabError
from subjects import mbuf_options
from testpmd import Testpmd, virtio_user

PKTGEN = Path(VSWITCHD).resolve().parents[1] / "pktgen/vswitch-pktgen"
CPU = 0
BURST, FIRST_BURSTS = 64, 6
UNDER_WAY = 2 * FIRST_BURSTS * BURST  # frames that go round in testpmd's loop
MACS = ["02:00:00:00:00:0a", "02:00:00:00:00:0b"]


class TestpmdLoop:
    """Two virtio-user ports that send back what they get, for ever: a closed loop, which loses nothing
    and runs as fast as the slower side. Touches one line of every frame."""

    name = "testpmd virtio-user"
    __test__ = False

    def __init__(self, lab, paths, case):
        big = case["size"] > 9000
        vdevs = [
            virtio_user(path, number=i, mac=MACS[i], packed=case["packed"], in_order=True, size=1024)
            for i, path in enumerate(paths)
        ]
        self.pmd = Testpmd(
            lab, vdevs, f"--burst={BURST}", *mbuf_options(big, mtu=False), f"--eth-peer=0,{MACS[1]}",
            f"--eth-peer=1,{MACS[0]}", memory=700 if big else None, mbufs=5000 if big else 40000,
            name="generator",
        )
        self.size = case["size"]
        time.sleep(1)
        self.pmd.run(f"set txpkts {self.size}")
        self.pmd.run(f"start tx_first {FIRST_BURSTS}")

    def ended(self):
        """Why it is no longer there; None as long as it is."""
        return None if self.pmd.alive() else "testpmd ended"

    def end(self):
        """What it has to say of the run: it sends no more, takes what is still under way, and counts."""
        self.pmd.run("stop")
        self.pmd.run("set fwd rxonly")
        self.pmd.run("start")
        time.sleep(0.1)
        self.pmd.run("stop")
        return loop_counts(self.pmd.counters(), self.size)

    def close(self):
        self.pmd.close()


def loop_counts(ports, size):
    """What testpmd's counters say, in vswitch-pktgen's words. It does not look into frames, but it knows
    their bytes. What is lost is lost from those that go round."""
    total = {key: sum(port[key] for port in ports) for key in ("TX-packets", "RX-packets", "RX-bytes")}
    return {"sent": total["TX-packets"], "received": total["RX-packets"],
            "wrong_bytes": total["RX-bytes"] - size * total["RX-packets"], "under_way": UNDER_WAY}


def pktgen_options(case):
    """What a case means for vswitch-pktgen."""
    argv = [] if "mix" in case else ["--size", case["size"]]
    for name in ("in_order", "packed", "mergeable", "indirect", "calls", "csum", "touch_all"):
        if case.get(name, name == "in_order"):
            argv.append("--" + name.replace("_", "-"))
    if "macs" in case:  # of both ports together
        argv += ["--macs", max(case["macs"] // 2, 1)]
    for name in ("rate", "flows", "ring-size", "test", "tso", "mix", "chain", "queues", "buffer", "pattern"):
        if name in case:
            argv += [f"--{name}", case[name]]
    return argv


class Pktgen:
    """vswitch-pktgen, as fast as it goes unless the case has a rate."""

    name = "vswitch-pktgen"

    def __init__(self, lab, paths, case, seconds=60):
        self.report = lab.dir / "pktgen.json"
        argv = ["taskset", "-c", str(CPU), PKTGEN, "--quiet", "--json", self.report, "--duration", seconds]
        for path in paths:
            argv += ["--port", path]
        argv += pktgen_options(case)
        self.process = subprocess.Popen(
            [str(word) for word in argv], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        lab.own(self)

    def ended(self):
        if self.process.poll() is None:
            return None
        return f"vswitch-pktgen ended with {self.process.returncode}: {self.process.stderr.read().strip()}"

    def end(self, wait=False):
        if not wait:
            self.process.terminate()
        _, err = self.process.communicate(timeout=600)
        if self.process.returncode not in (0, 1, 3) or not self.report.exists():
            raise LabError(f"vswitch-pktgen: {err}")
        return json.loads(self.report.read_text())

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def story(self):
        return f"--- vswitch-pktgen: {self.process.args}\n"

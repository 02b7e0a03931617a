#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The same hostile peers against OVS-DPDK, to compare with. This is not a test.

usage: ovs.py ISOLATION [PEER...]

Only OVS's sockets are used: delays, answers, and whether OVS lives. If OVS hangs or dies, it is started again
for the next peer.
"""

import os
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "functional"), str(Path(__file__).parents[1] / "bench")]
os.environ.setdefault("VSWITCHD", str(Path(sys.argv[1]).resolve().parents[2] / "app/vswitchd/vswitchd"))

from lab import Lab, LabError  # noqa: E402
from subjects import Ovs  # noqa: E402

PORTS = 6
# What it has no like of: options, logs and areas of ours.
LEFT_OUT = {"iommu_misses", "iommu_invalidations", "inband_kicks", "full_stderr"}


class SixPorts(Ovs):
    ports = [f"p{i}" for i in range(PORTS)]

    def running(self):
        return self.process.alive()


def names(isolation):
    listed = subprocess.run([isolation, "--list"], capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in listed.splitlines()]


def take_precedence():
    """As isolation itself does: what else runs here belongs to other sessions."""
    try:
        os.setsid()
        Path("/proc/self/autogroup").write_text("-15")
    except OSError:
        pass  # it leads a group already, or the kernel has no such groups


def start(lab):
    """With the priority that vswitchd has there."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, -10)
    try:
        return SixPorts(lab)
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, usual)


def run(isolation, ovs, peer):
    paths = ",".join(str(path) for path in ovs.paths)
    command = [isolation, "--sockets", paths, "--only", peer, "--tries", "1"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return [f"{peer}: nothing for a minute"], False
    lines = [line for line in done.stdout.splitlines() if line.startswith((peer, "(quiet)"))]
    bad = done.returncode != 0
    return lines or [f"{peer}: {done.stderr.strip()[-300:]}"], not bad


def main():
    isolation = sys.argv[1]
    peers = sys.argv[2:] or [name for name in names(isolation) if name not in LEFT_OUT]
    take_precedence()
    well = True
    while peers:
        with Lab() as lab:
            ovs = start(lab)
            while peers and well:
                lines, well = run(isolation, ovs, peers.pop(0))
                print("\n".join(lines), "" if ovs.running() else "OVS HAS DIED", flush=True)
            well = True


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(str(error))

# SPDX-License-Identifier: BSD-3-Clause
"""User Mode Linux is a front-end that leaves configuration space and control queue to the switch and
notifies in-band: two of them reach each other, and the switch answers their drivers' commands.
"""

import subprocess
from pathlib import Path

import pytest

from lab import Lab, Process, Switch, assert_balanced, wait_for

MODULES = ("failover", "net_failover", "virtio_net")
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc none /proc
mount -t sysfs none /sys
for module in failover net_failover virtio_net; do insmod /modules/$module.ko; done
number=$(sed 's/.*guest=\\([0-9]*\\).*/\\1/' /proc/cmdline)
# The driver tells the device of each change of these, and complains when it is refused.
ip link set eth0 up promisc on && ip addr add 10.0.0.$number/24 dev eth0
ip link set eth0 promisc off
echo "guest: ready"
[ $number = 0 ] && poweroff -f
until ping -c 1 -W 1 10.0.0.$((3 - number)) >/dev/null; do sleep 0.1; done
ping -c 10 -i 0.1 -W 2 10.0.0.$((3 - number))
dmesg | grep "virtio_net\\|eth0"
echo "guest: done"
sleep 60
"""


def make_initramfs(lab):
    """busybox, the driver, and a script."""
    root = lab.dir / "uml"
    for folder in ("bin", "modules", "proc", "sys", "dev"):
        (root / folder).mkdir(parents=True)
    (root / "bin/busybox").write_bytes(Path("/bin/busybox").read_bytes())
    (root / "init").write_text(INIT)
    for name in MODULES:
        (module,) = Path("/usr/lib/uml/modules").glob(f"*/kernel/**/{name}.ko")
        (root / f"modules/{name}.ko").write_bytes(module.read_bytes())
    for program in ("bin/busybox", "init"):
        (root / program).chmod(0o755)
    path = lab.dir / "uml.gz"
    subprocess.run(f"find . | cpio --quiet -o -H newc | gzip -1 >{path}", shell=True, check=True, cwd=root)
    return path


def start(lab, number, initramfs, *more):
    return Process(lab, f"uml{number}", [
        "linux.uml", "mem=96M", f"guest={number}", f"initrd={initramfs}", "con=null", "con0=null,fd:1",
        "panic=-1", "quiet", f"umid={lab.dir.name}-{number}", f"uml_dir={lab.dir}", *more,
    ])


def wait_done(lab, guest, initramfs):
    wait_for(lambda: "guest: done" in guest.out() or not guest.alive(), f"end of {guest.name}", 60)
    if "guest: ready" not in guest.out():
        # It knows no processor with AMX, for one: does it run at all?
        probe = start(lab, 0, initramfs)
        probe.wait(30)
        if "guest: ready" not in probe.out():
            print(probe.out()[-300:])
            pytest.skip("not tested: UML: User Mode Linux does not run on this processor")
    assert "guest: done" in guest.out(), guest.story()


@pytest.mark.parametrize("rings, features", [("split", "-ring_packed"), ("packed", "all")])
def test_two_guests_reach_each_other_and_their_commands_are_answered(rings, features):
    with Lab() as lab:
        initramfs = make_initramfs(lab)
        switch = Switch(lab, ["1.sock", "2.sock"], "--inband-notifications", "--features", features)
        guests = [
            start(lab, number, initramfs, f"virtio_uml.device={path}:1")
            for number, path in enumerate(switch.paths, 1)
        ]
        for guest in guests:
            wait_done(lab, guest, initramfs)
            assert "10 packets transmitted, 10 packets received" in guest.out(), guest.story()
            assert "eth0: Failed" not in guest.out(), guest.story()
        stats = switch.stats()
        for port in stats["ports"]:
            assert port["rings"] == rings, port
            control = port["control_queue"]
            assert control["served"] and control["pairs"] == 1, control
            assert control["commands"] >= 4 and control["refused"] == 0, control
        assert_balanced(stats)

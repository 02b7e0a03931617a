# SPDX-License-Identifier: BSD-3-Clause
"""A block device on lib/vhost, killed while a guest writes: it loses and repeats no write.

The device (test/blk) answers in any order and is killed at any moment. QEMU keeps what is in flight and gives
it to the next device. The guest compares every block that it reads with what was written last. The device's
journal has the writes that were executed and those that the guest was told of: none of the latter may be
executed again.
"""

import os
import random
import signal
import time

import pytest

from guest import Guest
from lab import ROOT, Process, wait_for

KILLS = 20
PROCESSES = 4
BLOCKS = 16
DEVICE = ROOT / "build/test/blk/vhost-blk"


def start_device(lab, socket, number):
    device = Process(lab, f"blk{number}", [DEVICE, socket, lab.dir / "disk", lab.dir / "journal"])
    wait_for(socket.exists, "the device's socket")
    return device


def check_journal(path):
    """(executed, twice): how many writes; how many of them more than once, though never after C."""
    told, executed, repeated = set(), set(), 0
    for line in path.read_text().splitlines():
        what, sector, text = line.split(" ", 2)
        write = (sector, text)
        if what == "C":
            assert write in executed, f"told of a write that was never executed: {line}"
            told.add(write)
            continue
        assert write not in told, f"executed again after the guest was told: {line}"
        repeated += write in executed
        executed.add(write)
    return len(executed), repeated


@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_killed_twenty_times_it_loses_and_repeats_nothing(lab, packed):
    socket = lab.dir / "blk.sock"
    (lab.dir / "disk").write_bytes(b"")
    os.truncate(lab.dir / "disk", PROCESSES * BLOCKS * 4096)
    device = start_device(lab, socket, 0)
    guest = Guest(lab, 1, None, cpus=2, more=(
        "-chardev", f"socket,id=c1,path={socket},reconnect=1",
        "-device", "vhost-user-blk-pci,chardev=c1,num-queues=2,queue-size=64,vectors=0,"
        f"packed={'on' if packed else 'off'}",
    ))
    guest.wait_boot()
    guest.run(f"blkcheck /dev/vda {PROCESSES} {BLOCKS} 1000000 >/tmp/out 2>&1 & true")
    dice = random.Random(packed)
    taken_up = 0
    for number in range(1, KILLS + 1):
        running = device
        wait_for(lambda: "running with" in running.err(), "the guest on the device", 30)
        before = (lab.dir / "journal").stat().st_size
        wait_for(lambda: (lab.dir / "journal").stat().st_size > before, "writes", 30)
        time.sleep(dice.uniform(0.05, 0.4))
        device.signal(signal.SIGKILL)
        device.wait(5)
        device = start_device(lab, socket, number)
        wait_for(lambda: "running with" in device.err(), "the guest again", 30)
        taken_up += device.err().count("taken up again")
    output = guest.run("touch /tmp/stop; wait; cat /tmp/out", timeout=60)
    assert "all as written" in output
    assert taken_up > KILLS / 4, "hardly anything was in flight when the device was killed"
    executed, repeated = check_journal(lab.dir / "journal")
    print(f"{executed} writes, {repeated} of them twice (cut off before the guest was told), "
          f"{taken_up} rings taken up again")
    assert executed > 100

# SPDX-License-Identifier: BSD-3-Clause
"""Guests without a network device move from one QEMU to another, to see whether the emulator spoils them.

usage: moves_alone.py [MOVES [KIB [hold]]]

No switch runs, and nothing except QEMU writes to guest memory. KIB is its size (262144 by default). With
"hold" the thread of the guest's CPU is stopped for a second while the migration copies memory, as on a machine
with too few CPUs. A guest that is corrupted (its kernel complains, it is silent, a page lacks what was written to
it) is reported and replaced. This is not a test: we cannot repair what it finds.
"""

import ctypes
import os
import re
import subprocess
import sys
import time

from guest import HERE, kernel
from lab import ROOT, Lab, LabError, wait_for
from migration import Traveller

PAGES = ROOT / "build/test/functional/pages"
SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, thread):
    if libc.ptrace(request, thread, None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def hold_cpu(guest, seconds):
    """One thread of QEMU does not run for a while, as if others had taken its CPU."""
    thread = guest.monitor("query-cpus-fast")[0]["thread-id"]
    ptrace(SEIZE, thread)
    ptrace(INTERRUPT, thread)
    os.waitpid(thread, WALL)
    time.sleep(seconds)
    ptrace(DETACH, thread)


def boot(lab, name, kib):
    guest = Traveller(lab, 2, None, name=name, memory_kib=kib)
    guest.wait_boot()
    guest.run("pages >/tmp/lost & true")
    guest.run("sleep 1; pidof pages")
    return guest


def rounds(guest):
    """How often the migration has looked for pages that were written."""
    return guest.monitor("query-migrate").get("ram", {}).get("dirty-sync-count", 0)


def move(lab, guest, name, kib, hold):
    target = Traveller(lab, 2, None, name=name, incoming=True, memory_kib=kib)
    # Never done while the guest writes.
    guest.monitor("migrate-set-parameters", max_bandwidth=400_000_000, downtime_limit=1)
    guest.start_move(target)
    wait_for(lambda: rounds(guest) >= 3, "rounds of the migration", 60, 0.002)
    if hold:
        hold_cpu(guest, 1)
    guest.monitor("migrate-set-parameters", downtime_limit=2000)
    guest.finish_move(target)
    guest.monitor("quit")
    guest.wait(10)
    guest.close()
    return target


def fault(guest):
    """What is wrong with it; "" if nothing is."""
    time.sleep(0.5)
    heard = len(guest.transcript)
    try:
        output = guest.run("cat /tmp/lost; pidof pages >/dev/null || echo the program has ended", timeout=10)
    except LabError:
        output = "it is silent"
    guest._read_rest()
    text = output + "\n" + bytes(guest.transcript[heard:]).decode(errors="replace")
    lines = re.findall(r"[^\r\n]*(?:lost writes|has ended|BUG|Oops|corruption|silent|RIP:|softirq|panic)[^\r\n]*", text)
    return "\n    ".join(dict.fromkeys(lines))


def main():
    moves = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    kib = int(sys.argv[2]) if len(sys.argv) > 2 else 256 << 10
    hold = "hold" in sys.argv[3:]
    corrupted = 0
    with Lab() as lab:
        programs = [lab.dir / "initramfs.gz", PAGES]
        subprocess.run([HERE / "guest/mkinitramfs", kernel()[1], *programs], check=True)
        guest = boot(lab, "boot0", kib)
        for number in range(1, moves + 1):
            guest = move(lab, guest, f"move{number}", kib, hold)
            wrong = fault(guest)
            print(f"move {number}: {wrong or 'good'}", flush=True)
            if wrong:
                corrupted += 1
                guest.close()
                guest = boot(lab, f"boot{number}", kib)
    print(f"{moves} moves, {corrupted} guests corrupted")


if __name__ == "__main__":
    main()

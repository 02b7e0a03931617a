# SPDX-License-Identifier: BSD-3-Clause
"""vswitchd is killed under running guests and started again: their network continues by itself.

QEMU does not know the device's position in the rings. A split ring contains it. For a packed ring QEMU repeats
an old base, and the switch uses its journal.
"""

import os
import re
import signal
import time

import pytest

from guest import Guest, ping
from lab import Switch, assert_balanced, wait_for

PATHS = ["a.sock", "b.sock"]
BACK_S = 4  # until both guests are back, on a busy machine


def restart(lab, switch, signum, name):
    os.kill(switch.pid, signum)
    wait_for(lambda: not switch.alive(), "end of vswitchd")
    return Switch(lab, PATHS, name=name)


@pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])
def test_guests_outlive_the_switch(lab, packed):
    switch = Switch(lab, PATHS, name="first")
    guests = [
        Guest(lab, number + 1, path, packed=packed, reconnect=True)
        for number, path in enumerate(switch.paths)
    ]
    for guest in guests:
        guest.wait_boot()
    assert ping(guests[0], guests[1], count=3) == (3, 3)
    for number, signum in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)):
        flood = guests[0].start(f"ping -q -i 0.01 -c 400 {guests[1].ip}")
        time.sleep(0.5)
        begin = time.monotonic()
        switch = restart(lab, switch, signum, f"again{number}")
        # QEMU looks for the switch once a second.
        wait_for(lambda: switch.err().count("running with") == 2, "both guests on the new switch", BACK_S)
        away = time.monotonic() - begin
        # What is lost of the flood is what was sent meanwhile, with a second for what may be under way.
        text = guests[0].finish(flood, timeout=60, check=False)
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) packets received", text).groups())
        assert sent == 400 and received >= sent - 100 * (away + 1), (away, text)
        assert ping(guests[0], guests[1], count=5) == ping(guests[1], guests[0], count=5) == (5, 5)
    assert ping(guests[0], guests[1], count=20, size=1400) == (20, 20)
    assert "stopped until the driver resets it" not in switch.err()
    assert_balanced(switch.quiet_stats())

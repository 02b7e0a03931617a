# SPDX-License-Identifier: BSD-3-Clause
"""A running guest moves from vswitchd to DPDK's vhost library (testpmd, net_vhost) and back.

Its features were negotiated with vswitchd --features dpdk-22.11, so both ends have them all. The peer
stays on vswitchd, of which testpmd's other port is a front-end.
"""

import pytest

from guest import Guest, ping
from lab import Lab, Switch, assert_balanced
from migration import Traveller
from testpmd import Testpmd, virtio_user

CASES = {
    "split": dict(device="disable-legacy=on"),
    "packed": dict(device="disable-legacy=on", packed=True),
}


class Ends:
    """Ours, theirs and the peer, for all cases."""

    def __init__(self, lab):
        self.lab = lab
        self.switch = Switch(lab, ["moving.sock", "theirs.sock", "peer.sock"], "--features", "dpdk-22.11")
        self.theirs = lab.dir / "their-moving.sock"
        vdevs = [f"net_vhost0,iface={self.theirs}", virtio_user(self.switch.paths[1])]
        self.testpmd = Testpmd(lab, vdevs, memory=128, mbufs=8000)
        self.testpmd.run("start")
        self.peer = Guest(lab, 1, self.switch.paths[2], name="peer").wait_boot()


@pytest.fixture(scope="module")
def ends():
    with Lab() as lab:
        try:
            the_ends = Ends(lab)
        except Exception:
            print(lab.story())
            raise
        yield the_ends


@pytest.mark.parametrize("name", CASES)
def test_guest_moves_to_dpdk_and_back(ends, name):
    ours, theirs = ends.switch.paths[0], ends.theirs
    guest = Traveller(ends.lab, 2, ours, name=f"{name}0", **CASES[name]).wait_boot()
    ping(guest, ends.peer, count=1)
    assert ping(guest, ends.peer, count=10) == (10, 10)
    for number, path in ((1, theirs), (2, ours)):
        target = Traveller(ends.lab, 2, path, name=f"{name}{number}", incoming=True, **CASES[name])
        guest.start_move(target)
        guest.finish_move(target)
        guest.monitor("quit")
        guest.wait(10)
        guest = target
        ping(guest, ends.peer, count=1)
        assert ping(guest, ends.peer, count=10) == (10, 10)
        assert ping(ends.peer, guest, count=5) == (5, 5)
    guest.monitor("quit")
    guest.wait(10)
    assert_balanced(ends.switch.quiet_stats())

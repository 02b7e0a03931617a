# SPDX-License-Identifier: BSD-3-Clause
"""Running guests move between vswitchd and DPDK's vhost library (testpmd, net_vhost).

A guest can move to a back-end that offers all features that the guest has negotiated. vswitchd with --features
dpdk-22.11 offers the features of net_vhost, so guests move there and back, wherever they started. By default
vswitchd offers more, and guests can still arrive. The peer stays on vswitchd; testpmd's other port is a
front-end of the same vswitchd.
"""

import pytest

from guest import Guest, ping
from lab import Lab, Switch, assert_balanced, queues
from migration import Traveller
from testpmd import Testpmd, virtio_user

SPLIT = dict(device="disable-legacy=on")
PACKED = dict(device="disable-legacy=on", packed=True)
# Legacy drivers take VIRTIO_NET_F_GSO, which stands for all segmentation by the host.
LEGACY = dict(device="disable-legacy=off,disable-modern=on")

JOURNEYS = {
    "split-goes-and-returns": ("dpdk-22.11", SPLIT, ["ours", "theirs", "ours"]),
    "packed-goes-and-returns": ("dpdk-22.11", PACKED, ["ours", "theirs", "ours"]),
    "legacy-comes-and-returns": ("dpdk-22.11", LEGACY, ["theirs", "ours", "theirs"]),
    "split-comes": ("all", SPLIT, ["theirs", "ours"]),
    "packed-comes": ("all", PACKED, ["theirs", "ours"]),
    "legacy-comes": ("all", LEGACY, ["theirs", "ours"]),
}


class Ends:
    """Ours, theirs and the peer, for all guests that are offered the same."""

    def __init__(self, lab, features):
        self.lab = lab
        self.switch = Switch(lab, ["moving.sock", "bridge.sock", "peer.sock"], "--features", features)
        self.path = {"ours": self.switch.paths[0], "theirs": lab.dir / "their-moving.sock"}
        vdevs = [f"net_vhost0,iface={self.path['theirs']}", virtio_user(self.switch.paths[1])]
        self.testpmd = Testpmd(lab, vdevs, memory=128, mbufs=8000)
        self.testpmd.run("start")
        self.peer = Guest(lab, 1, self.switch.paths[2], name="peer").wait_boot()


@pytest.fixture(scope="module")
def ends(request):
    with Lab() as lab:
        try:
            the_ends = Ends(lab, request.param)
        except Exception:
            print(lab.story())
            raise
        yield the_ends


def move(ends, guest, name, place, options):
    target = Traveller(ends.lab, 2, ends.path[place], name=name, incoming=True, **options)
    guest.start_move(target)
    guest.finish_move(target)
    leave(guest)
    return target


def leave(guest):
    guest.monitor("quit")
    guest.wait(10)


def assert_reached(ends, guest):
    ping(guest, ends.peer, count=1)
    assert ping(guest, ends.peer, count=10) == (10, 10)
    assert ping(ends.peer, guest, count=10) == (10, 10)


def received(switch, port):
    """(frames, bytes) that a port's guest has sent."""
    of = queues(switch.stats(), "ingress", port)
    return sum(queue["frames"] for queue in of), sum(queue["bytes"] for queue in of)


def assert_host_segments(ends, guest):
    """The guest that came with bit 6 leaves it to us to cut long frames, and they arrive."""
    features = ends.switch.stats()["ports"][0]["features"]
    assert "gso" in features and "host_tso4" not in features and "version_1" not in features
    guest.run("dd if=/dev/urandom of=/tmp/file bs=1M count=4; httpd -p 8080 -h /tmp")
    frames, size = received(ends.switch, 0)
    arrived = ends.peer.run(f"wget -q -O - http://{guest.ip}:8080/file | md5sum", timeout=60)
    assert arrived.split()[0] == guest.run("md5sum </tmp/file").split()[0]
    now_frames, now_size = received(ends.switch, 0)
    assert (now_size - size) / (now_frames - frames) > 3000


@pytest.mark.parametrize(
    "ends, name", [(features, name) for name, (features, _, _) in JOURNEYS.items()],
    indirect=["ends"], ids=JOURNEYS, scope="module")
def test_guest_moves(ends, name):
    _, options, places = JOURNEYS[name]
    guest = Traveller(ends.lab, 2, ends.path[places[0]], name=f"{name}0", **options).wait_boot()
    assert_reached(ends, guest)
    for number, place in enumerate(places[1:], 1):
        guest = move(ends, guest, f"{name}{number}", place, options)
        assert_reached(ends, guest)
        if options is LEGACY and place == "ours":
            assert_host_segments(ends, guest)
    leave(guest)
    assert_balanced(ends.switch.quiet_stats())

# SPDX-License-Identifier: BSD-3-Clause
"""A Linux guest that maps each buffer anew in its virtual IOMMU reaches a guest without an IOMMU."""

import pytest

from guest import Guest, ping
from lab import Lab, Switch, assert_balanced, dropped


@pytest.fixture(params=("split", "packed"))
def pair(request):
    with Lab() as lab:
        try:
            switch = Switch(lab, ["vm1.sock", "vm2.sock"], "--iommu")
            guests = [
                Guest(lab, n + 1, path, iommu=n == 0, packed=request.param == "packed")
                for n, path in enumerate(switch.paths)
            ]
            for guest in guests:
                guest.wait_boot(120)
            yield switch, *guests
            assert switch.alive(), switch.err()
            assert_balanced(switch.quiet_stats())
        finally:
            print(lab.story())


def test_a_guest_behind_an_iommu(pair):
    switch, one, two = pair
    assert "access_platform" in switch.err()
    assert "DMAR" in one.run("dmesg")
    before = dropped(switch.stats())
    # What comes while a buffer is not translated yet is lost; that becomes rare, and TCP copes.
    for source, target in ((one, two), (two, one)):
        ping(source, target, count=3)
        sent, received = ping(source, target, count=20, interval=0.1)
        assert received >= sent - 2, (sent, received)
    for source, target in ((one, two), (two, one)):
        source.run("dd if=/dev/urandom of=/tmp/sent bs=64k count=8 2>/dev/null", timeout=60)
        source.run("pidof httpd >/dev/null || httpd -p 8080 -h /tmp")
        target.run(f"wget -q -O /tmp/arrived http://{source.ip}:8080/sent", timeout=120)
        assert source.run("sha256sum </tmp/sent") == target.run("sha256sum </tmp/arrived")
    # A translation that outlived its mapping would show here.
    after = dropped(switch.stats())
    for reason in ("bad-offload", "bad-source", "bad-descriptors", "bad-buffer"):
        assert after.get(reason) == before.get(reason), reason

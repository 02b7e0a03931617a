# SPDX-License-Identifier: BSD-3-Clause
"""A running guest moves from one vswitchd to another and back; its TCP stream continues unchanged.

The peer stays on the first switch. A cable joins the two switches. So after the move the peer's frames reach
the guest only when the first switch has learned where the guest is now: from the announcement that the second
switch sends.
"""

import os

import pytest

from guest import ping
from lab import LabError, assert_balanced, queues, wait_for
from migration import Traveller, TwoSwitches, move_uncorrupted, records

CASES = {
    "split": dict(packed=False),
    "packed": dict(packed=True),
    # Then it is not the guest that announces itself but the front-end, through the switch.
    "split-rarp": dict(packed=False, device="guest_announce=off"),
    "packed-rarp-plain": dict(packed=True, device="guest_announce=off", offloads=False, mrg_rxbuf=False),
}

POSTCOPY = {
    "split-postcopy": dict(packed=False),
    "packed-postcopy": dict(packed=True),
}

# How often the guest moves in one boot. For a search for what happens once in hundreds of moves.
MOVES = int(os.environ.get("VSWITCH_MOVES", "2"))

# A stream that ends when it is told to: the same random bytes again and again, through a script.
PIECE_KIB = 128
SERVE = (
    "mkdir -p /tmp/cgi-bin; "
    f"dd if=/dev/urandom of=/tmp/piece bs=1k count={PIECE_KIB} 2>/dev/null; "
    "printf '#!/bin/sh\\necho; i=0; while [ ! -e /tmp/stop ]; "
    "do cat /tmp/piece; i=$((i+1)); echo $i >/tmp/pieces; done\\n' >/tmp/cgi-bin/stream; "
    "chmod +x /tmp/cgi-bin/stream; httpd -p 8080 -h /tmp"
)
# A slow reader: what the device has written lies in memory for a while before anyone looks at it, so
# that a page which was not logged shows. (A frame in flight that is corrupted would be sent again.)
FETCH = (
    "wget -q -O - http://{}:8080/cgi-bin/stream | "
    f"while dd bs={PIECE_KIB}k count=1 iflag=fullblock of=/tmp/part 2>/dev/null && [ -s /tmp/part ]; "
    "do cat /tmp/part; sleep 0.02; done | sha256sum"
)
STOP = "touch /tmp/stop"
SUM_SENT = "i=0; while [ $i -lt $(cat /tmp/pieces) ]; do cat /tmp/piece; i=$((i+1)); done | sha256sum"


def delivered(switch):
    """Frames given to the guest that moves, as far as this switch knows."""
    return sum(queue["frames"] for queue in queues(switch.stats(), "egress", 0))


def settled(switch):
    assert switch.alive(), switch.err()
    assert_balanced(switch.quiet_stats())


def move(pair, guest, switch, case, number, capabilities=()):
    """Move the guest to the other switch; (guest, switch) as they are then."""
    target_switch = pair.other(switch)
    target = Traveller(
        pair.lab, guest.number, target_switch.paths[0], name=f"moving{number}", incoming=True, **case
    )
    guest.start_move(target, capabilities)
    story = guest.finish_move(target)
    guest.monitor("quit")
    guest.wait(10)
    print(f"move {number} took {story['total-time']} ms, down {story['downtime']} ms")
    return target, target_switch


def stream_survives(lab, name):
    postcopy = name in POSTCOPY
    case = POSTCOPY[name] if postcopy else CASES[name]
    pair = TwoSwitches(lab, "--log-level", "debug", "--record-events", *(["--postcopy"] if postcopy else []))
    switch = pair.here
    guest = Traveller(lab, 2, switch.paths[0], name="moving0", **case)
    pair.peer.wait_boot()
    guest.wait_boot()
    assert ping(guest, pair.peer, count=3) == (3, 3)
    pair.peer.run(SERVE, timeout=60)

    mark = guest.start(FETCH.format(pair.peer.ip))
    wait_for(lambda: delivered(switch) > 100, "stream")
    for number in range(1, MOVES + 1):
        capabilities = ["postcopy-ram"] if postcopy else []
        guest, switch = move(pair, guest, switch, case, number, capabilities)
        before = delivered(switch)
        try:
            wait_for(lambda: delivered(switch) > before + 100, "stream after the move", 30)
        except LabError:
            print(guest.situation(), *(records(each) for each in (pair.here, pair.there)), sep="\n")
            raise
    pair.peer.run(STOP)
    received = guest.finish(mark, timeout=120).split()[0]
    assert int(pair.peer.run("cat /tmp/pieces")) > 20
    assert pair.peer.run(SUM_SENT, timeout=120 + 10 * MOVES).split()[0] == received
    assert ping(pair.peer, guest, count=5) == (5, 5)
    for each in (pair.here, pair.there):
        settled(each)
        assert ("SEND_RARP" in each.err()) == ("guest_announce=off" in case.get("device", ""))
        assert "not logged" not in each.err()
        assert ("POSTCOPY_END" in each.err()) == postcopy


@pytest.mark.parametrize("name", [*CASES, *POSTCOPY])
def test_stream_survives_moves_there_and_back(lab, name):
    move_uncorrupted(lab, stream_survives, name)

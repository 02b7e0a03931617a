# SPDX-License-Identifier: BSD-3-Clause
"""Traffic as guests send it: the rows of section "real", and who carries which of them.

ROWS is the list of all rows. The cases to measure, the goals, the tables and the drawing come from it. A row
names only what differs from the other sections, where rings are in order, have 1,024 descriptors and take a
frame in one descriptor.

A row with a rate does not show frames per second: a ring of merged buffers holds fewer frames than a ring of
frames to send, so without a rate most frames would find no buffer.
"""

from pathlib import Path
from typing import NamedTuple

from figures import FLOOR, OURS, OVS, RTE_VHOST

SECTION = "real"
SHORT_MIX = Path(__file__).with_name("imix-short.mix")
CARRIERS = (FLOOR, OURS, RTE_VHOST, OVS)

# What a Linux guest has: calls come with the event index.
LINUX = {"in_order": False, "mergeable": True, "buffer": 1518, "indirect": True, "calls": True, "ring-size": 256}
# The net header has a descriptor of its own. Receive buffers have one descriptor, as the floor needs.
CHAIN = {"in_order": False, "mergeable": True, "chain": 1}
INDIRECT = {"mergeable": True, "indirect": True}

PAIR_ONLY = "it forwards between two ports and does not switch"
ONE_PAIR = "it has one queue pair per port"
ONE_BUFFER = "it needs a receive buffer for the whole frame"
NO_OFFLOADS = "a port whose socket OVS makes itself offers neither checksums nor segmentation"
IN_PEERS = "section peers has it"


class Row(NamedTuple):
    """name: for people, and the case's name in a result; without: {subject: why it has no figure}."""

    name: str
    case: dict
    without: dict = {}

    def subjects(self):
        return [name for name in CARRIERS if name not in self.without]


def row(name, size, packed, without=None, **more):
    return Row(name, {"row": name, "size": size, "packed": packed, **more}, without or {})


def rings(packed):
    return "packed" if packed else "split"


def both(name, size, without=None, **more):
    """A row with split rings and another one with packed rings."""
    return [row(f"{name}, {rings(packed)}", size, packed, without, **more) for packed in (False, True)]


def mesh(ports):
    return row(f"mesh of {ports} ports, 64 B", 64, True, {FLOOR: PAIR_ONLY, RTE_VHOST: PAIR_ONLY}, ports=ports,
               pattern="mesh")


# The first of two sizes may cost little more than the second. They are measured side by side.
SHORT = 60, 64
GUESTS = {"vswitch-pktgen": {}, "testpmd": {"loop": True}}


def short_name(size, guests, packed):
    return f"{size} B from {guests}, {rings(packed)}"


def short_rows():
    """Peers have a figure for testpmd's 64 bytes in section peers."""
    return [row(short_name(size, guests, packed), size, packed,
                {RTE_VHOST: IN_PEERS, OVS: IN_PEERS} if case and size == SHORT[1] else None, **case)
            for guests, case in GUESTS.items() for packed in (False, True) for size in SHORT]


ROWS = [
    *both("Linux-like, 64 B", 64, **LINUX),
    *both("Linux-like, 1,518 B", 1518, **LINUX),
    *short_rows(),
    row("IMIX", 1514, True, mix="imix"),
    row("IMIX with 3 % short frames", 1514, True, mix=str(SHORT_MIX)),
    row("TSO frames one way, ACKs back", 65214, True, {OVS: NO_OFFLOADS}, mix="linux-tcp", **{"ring-size": 256}),
    row("partial checksums, 64 B", 64, True, {OVS: NO_OFFLOADS}, csum=True),
    row("partial checksums, 1,500 B", 1500, True, {OVS: NO_OFFLOADS}, csum=True),
    *both("header and frame in a chain, 64 B", 64, **CHAIN),
    *both("header and frame in an indirect table, 64 B", 64, **INDIRECT),
    mesh(4),
    mesh(16),
    row("4 queue pairs, 1,000 flows, 64 B", 64, True, {FLOOR: ONE_PAIR}, queues=4, flows=1000),
    row("1,000 addresses, 64 B", 64, True, macs=1000),
    row("9,000 B in buffers of 1,526 B", 9000, True, {FLOOR: ONE_BUFFER}, mergeable=True, buffer=1526, rate=200000),
    row("every byte touched, 1,518 B", 1518, True, touch_all=True),
    *both("calls wanted, 64 B", 64, calls=True),
]


def short_pairs():
    """[(name of the row with short frames, name of the row to compare with)]"""
    return [tuple(short_name(size, guests, packed) for size in SHORT) for guests in GUESTS for packed in (False, True)]


def absences(names):
    """Who has no figure in which of these rows, and why: a line per subject and reason."""
    found = {}
    for entry in ROWS:
        for subject, why in entry.without.items():
            if entry.name in names:
                found.setdefault((subject, why), []).append(entry.name)
    return [f"{subject} has no figure ({'; '.join(rows)}): {why}." for (subject, why), rows in found.items()]

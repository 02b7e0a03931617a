# SPDX-License-Identifier: BSD-3-Clause
"""The same byte streams to vswitchd and to DPDK's vhost library: each difference is explained, or a failure.

The explanations are the table in doc/vhost-user-differences.md. A missing explanation fails, and so does an
explanation without a difference. `test_twin.py --list` prints the table's rows as they are now.
"""

import re
import sys

import pytest

from lab import ROOT, Lab, Switch
from testpmd import Testpmd
from twin_client import (
    MEMORY, NEED_REPLY, UADDR, VERSION, Client, Step as S, addr, region, table, u64, vring,
)

DIFFERENCES = ROOT / "doc/vhost-user-differences.md"
V1 = 1 << 32
PROTOCOL = 1 << 30
MQ, LOG, RARP, ACK, MTU, CHANNEL, CONFIG, INFLIGHT, STATUS = (1 << b for b in (0, 1, 2, 3, 4, 5, 9, 12, 16))


def hello(protocol=MQ | ACK, features=V1 | PROTOCOL):
    return [
        S("SET_OWNER"), S("SET_PROTOCOL_FEATURES", u64(protocol)),
        S("SET_FEATURES", u64(features), ack=bool(protocol & ACK)),
    ]


def memory():
    return [S("SET_MEM_TABLE", table(region()), fds="m", ack=True)]


def ring(index, size=256, base=0, kick="e"):
    at = UADDR + index * 0x10000
    return [
        S("SET_VRING_NUM", vring(index, size), ack=True),
        S("SET_VRING_BASE", vring(index, base), ack=True),
        S("SET_VRING_ADDR", addr(index, at, at + 0x4000, at + 0x2000), ack=True),
        S("SET_VRING_CALL", u64(index), fds="e", ack=True),
        S("SET_VRING_KICK", u64(index), fds=kick, ack=True),
    ]


def enable(index, on=1):
    return S("SET_VRING_ENABLE", vring(index, on), ack=True)


RINGS = [*hello(), *memory(), *ring(0), *ring(1), enable(0), enable(1)]
UP = {
    "features": [S("GET_FEATURES"), S("GET_PROTOCOL_FEATURES")],
    "usual start": [*RINGS, S("GET_VRING_BASE", vring(0, 0)), S("GET_VRING_BASE", vring(1, 0))],
    "memory after rings": [*hello(), *ring(0), *ring(1), *memory(), enable(0), enable(1)],
    "base of a ring that never ran": [*hello(), S("GET_VRING_BASE", vring(1, 0))],
    "base that was told": [*hello(), *memory(), *ring(1, base=77), S("GET_VRING_BASE", vring(1, 0))],
    "base again": [*RINGS, S("GET_VRING_BASE", vring(1, 0)), S("GET_VRING_BASE", vring(1, 0))],
    "restart of a ring": [*RINGS, S("GET_VRING_BASE", vring(1, 0)), *ring(1), enable(1)],
    "two pairs": [*RINGS, *ring(2), *ring(3), enable(2), enable(3), S("GET_QUEUE_NUM")],
    "disable and enable": [*RINGS, enable(1, 0), enable(1), enable(0, 0)],
    "features twice": [*hello(), S("SET_FEATURES", u64(V1 | PROTOCOL), ack=True)],
    "features on a running device": [*RINGS, S("SET_FEATURES", u64(V1 | PROTOCOL), ack=True)],
    "features never offered": [*hello(features=PROTOCOL), S("SET_FEATURES", u64(1 << 63), ack=True)],
    "protocol features never offered": [*hello(), S("SET_PROTOCOL_FEATURES", u64(1 << 63), ack=True)],
    "memory twice": [*hello(), *memory(), *memory()],
    "memory changed under rings": [*RINGS, S("SET_MEM_TABLE", table(region(gpa=MEMORY)), fds="m", ack=True)],
    "memory of no regions": [*hello(), S("SET_MEM_TABLE", table(), ack=True)],
    "memory of nine regions": [*hello(), S("SET_MEM_TABLE", table(*[region()] * 8, count=9), fds="m" * 8, ack=True)],
    "memory without a file": [*hello(), S("SET_MEM_TABLE", table(region()), ack=True)],
    "memory with a file too many": [*hello(), S("SET_MEM_TABLE", table(region()), fds="mm", ack=True)],
    "memory beyond its file": [*hello(), S("SET_MEM_TABLE", table(region(size=MEMORY * 2)), fds="m", ack=True)],
    "memory that wraps": [*hello(), S("SET_MEM_TABLE", table(region(offset=(1 << 64) - 4096)), fds="m", ack=True)],
    "memory of size 0": [*hello(), S("SET_MEM_TABLE", table(region(size=0)), fds="m", ack=True)],
    "memory in a pipe": [*hello(), S("SET_MEM_TABLE", table(region()), fds="p", ack=True)],
    "memory regions that overlap": [*hello(), S("SET_MEM_TABLE", table(region(), region()), fds="mm", ack=True)],
    "ring of 0 entries": [*hello(), S("SET_VRING_NUM", vring(0, 0), ack=True)],
    "ring of 3 entries": [*hello(), *memory(), *ring(0, size=3)],
    "ring of 65536 entries": [*hello(), S("SET_VRING_NUM", vring(0, 65536), ack=True)],
    "ring beyond the last": [*hello(), S("SET_VRING_NUM", vring(256, 256), ack=True)],
    "ring far beyond the last": [*hello(), S("SET_VRING_NUM", vring(0xFFFFFFFF, 256), ack=True)],
    "enable beyond the last": [*hello(), enable(256)],
    "enable with 2": [*RINGS, enable(0, 2)],
    "kick beyond the last": [*hello(), S("SET_VRING_KICK", u64(255), fds="e", ack=True), S("GET_VRING_BASE", vring(255, 0))],
    "kick without a descriptor": [*hello(), *memory(), *ring(0)[:4], S("SET_VRING_KICK", u64(0), ack=True)],
    "kick with two descriptors": [*hello(), S("SET_VRING_KICK", u64(0), fds="ee", ack=True)],
    "kick that means polling": [*hello(), *memory(), *ring(0)[:4], S("SET_VRING_KICK", u64(0x100), ack=True)],
    "call that is a pipe": [*RINGS, S("SET_VRING_CALL", u64(0), fds="p", ack=True)],
    "rings outside memory": [*hello(), *memory(), S("SET_VRING_NUM", vring(0, 256), ack=True), S("SET_VRING_ADDR", addr(0, 0x1000, 0x5000, 0x3000), ack=True), S("SET_VRING_KICK", u64(0), fds="e", ack=True)],
    "ring at the end of memory": [*hello(), *memory(), S("SET_VRING_NUM", vring(0, 256), ack=True), S("SET_VRING_ADDR", addr(0, UADDR + MEMORY - 4096, UADDR + MEMORY - 64, UADDR), ack=True), S("SET_VRING_KICK", u64(0), fds="e", ack=True)],
    "log in no file": [*hello(LOG | ACK), S("SET_LOG_BASE", u64(4096) + u64(0))],
    "log": [*hello(LOG | ACK), S("SET_LOG_BASE", u64(4096) + u64(0), fds="m")],
    "log beyond its file": [*hello(LOG | ACK), S("SET_LOG_BASE", u64(4096) + u64(MEMORY), fds="m")],
    "log that wraps": [*hello(LOG | ACK), S("SET_LOG_BASE", u64(1 << 63) + u64(1 << 63), fds="m")],
    "announcement": [*hello(RARP | ACK), *RINGS[3:], S("SEND_RARP", bytes.fromhex("0200000000010000"), ack=True)],
    "mtu": [*hello(MTU | ACK), S("NET_SET_MTU", u64(9000), ack=True)],
    "mtu of 10": [*hello(MTU | ACK), S("NET_SET_MTU", u64(10), ack=True)],
    "status": [*hello(STATUS | ACK), S("SET_STATUS", u64(15), ack=True), S("GET_STATUS")],
    "status beyond a byte": [*hello(STATUS | ACK), S("SET_STATUS", u64(256), ack=True)],
    "in-flight area": [*hello(INFLIGHT | ACK), S("GET_INFLIGHT_FD", u64(0) + u64(0) + b"\2\0\0\1\0\0\0\0")],
    "in-flight area for too many": [*hello(INFLIGHT | ACK), S("GET_INFLIGHT_FD", u64(0) + u64(0) + b"\xff\xff\xff\xff\0\0\0\0")],
    "in-flight area that is too small": [*hello(INFLIGHT | ACK), S("SET_INFLIGHT_FD", u64(64) + u64(0) + b"\2\0\0\1\0\0\0\0", fds="m", ack=True)],
    "owner reset": [*RINGS, S("RESET_OWNER", ack=True), S("GET_VRING_BASE", vring(1, 0))],
    "device reset not negotiated": [*RINGS, S("RESET_DEVICE", ack=True)],
    "memory region not negotiated": [*hello(), S("ADD_MEM_REG", u64(0) + region(), fds="m", ack=True)],
    "configuration not negotiated": [*hello(), S("GET_CONFIG", bytes(12 + 8))],
    "unknown message": [*hello(), S("unknown", u64(0), request=200, ack=True)],
    "unknown message without an answer": [*hello(), S("unknown", u64(0), request=200)],
    "message 0": [*hello(), S("unknown", request=0, ack=True)],
    "version 0": [*hello(), S("GET_QUEUE_NUM", flags=0)],
    "version 2": [*hello(), S("GET_QUEUE_NUM", flags=2)],
    "marked as a reply": [*hello(), S("GET_QUEUE_NUM", flags=VERSION | 4)],
    "payload that should not be": [*hello(), S("GET_QUEUE_NUM", u64(0))],
    "payload that is missing": [*hello(), S("SET_VRING_NUM", ack=True)],
    "payload that is short": [*hello(), S("SET_VRING_ADDR", bytes(8), ack=True)],
    "payload beyond any": [*hello(), S("SET_VRING_NUM", vring(0, 256), size=1 << 30)],
    "descriptor where none belongs": [*hello(), S("SET_VRING_NUM", vring(0, 256), fds="m", ack=True)],
    "acknowledgement not negotiated": [S("SET_PROTOCOL_FEATURES", u64(MQ)), S("SET_OWNER", flags=VERSION | NEED_REPLY)],
    "acknowledgement of a GET": [*hello(), S("GET_QUEUE_NUM", flags=VERSION | NEED_REPLY)],
}


class Twins:
    """Both back-ends; the other one is started anew if a script ends it."""

    def __init__(self):
        self.lab = Lab()
        self.switch = Switch(self.lab, ["ours.sock"])
        self.ends = 0
        self.start_other()

    def start_other(self):
        self.path = self.lab.dir / f"other{self.ends}.sock"
        self.other = Testpmd(self.lab, [f"net_vhost0,iface={self.path},queues=2"], name=f"twin{self.ends}",
                             memory=128)

    def differences(self, name):
        stories = []
        for path in (self.switch.paths[0], self.path):
            client = Client(path)
            try:
                stories.append(dict(client.play(UP[name])))
            finally:
                client.close()
        if not self.other.alive():
            stories[1]["afterwards"] = "ends the process"
            self.ends += 1
            self.start_other()
        ours, theirs = stories
        steps = [*ours, *(step for step in theirs if step not in ours)]
        return {
            (name, step): (ours.get(step, "-"), theirs.get(step, "-"))
            for step in steps if ours.get(step, "-") != theirs.get(step, "-")
        }

    def close(self):
        self.lab.close()


def explained():
    """{(script, step): (ours, theirs)} of the table, whose rows say why."""
    rows = {}
    for line in DIFFERENCES.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 5 and cells[0] in UP:
            assert cells[4], f"no reason: {line}"
            rows[(cells[0], cells[1])] = (cells[2], cells[3])
    return rows


@pytest.fixture(scope="module")
def twins():
    pair = Twins()
    yield pair
    pair.close()


@pytest.mark.parametrize("name", UP)
def test_what_differs_is_explained(twins, name):
    expected = {key: value for key, value in explained().items() if key[0] == name}
    assert twins.differences(name) == expected
    assert twins.switch.alive()


def features_offered(path):
    client = Client(path)
    try:
        return dict(client.play(UP["features"]))["1 GET_FEATURES"]
    finally:
        client.close()


@pytest.mark.parametrize("name, option", {"dpdk-22.11": "", "dpdk-22.11-tso": ",tso=1"}.items())
def test_a_named_set_is_what_dpdk_offers(lab, name, option):
    theirs = lab.dir / "theirs.sock"
    Testpmd(lab, [f"net_vhost0,iface={theirs}{option}"], memory=128)
    ours = Switch(lab, ["ours.sock"], "--features", name)
    assert features_offered(ours.paths[0]) == features_offered(theirs)


if __name__ == "__main__" and "--list" in sys.argv:
    pair = Twins()
    for script in UP:
        for (_, step), (ours, theirs) in pair.differences(script).items():
            print(f"| {script} | {step} | {ours} | {theirs} | |")
    pair.close()

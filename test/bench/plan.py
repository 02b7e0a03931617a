# SPDX-License-Identifier: BSD-3-Clause
"""What is measured, and how long it takes."""

from typing import NamedTuple

import real
from figures import OURS
from generators import Pktgen, TestpmdLoop
from subjects import Before, FloorCopy, FloorRing, Ours, Ovs, RteVhost, RteVhostChained

PEERS = [FloorCopy, Ours, RteVhost, Ovs]
LIMIT = [FloorRing, FloorCopy, Ours]
# Seconds that a measurement takes besides its windows: start, first frames, end.
GENERATOR_COST = {Pktgen: 1.0, TestpmdLoop: 1.8}
CONTENT_COST = 1.2  # see measure.check_content
SIMD_COST = 2
PORTS_PER_SECOND = 4  # that a mesh connects
SUBJECT_COST = {Ovs: 3.0, RteVhost: 1.1, RteVhostChained: 1.1}
# Those that are not made of windows: in all, and for each round.
COST = {"latency": (7, 15), "loss": (60, 0), "idle": (0, 9), "lookup": (0, 1)}
QUICK_COST = {"latency": 10, "loss": 4, "idle": 3, "lookup": 1}


class Section(NamedTuple):
    """together: its rounds follow one another at once, because its cases are compared with each
    other; the others' rounds are spread over the whole time. share: of the rounds asked for."""

    name: str
    generator: type  # of cases that do not ask for testpmd's loop
    steps: list  # (case, subjects)
    together: bool = False
    share: float = 1

    def guests(self, what):
        return TestpmdLoop if what.get("loop") else self.generator

    def rounds(self, asked):
        return max(1, round(asked * self.share))

    def seconds(self, length, first=False):
        """What a round takes; in the first of them testpmd's frames are looked into."""
        def cost(what, subject):
            guests = self.guests(what)
            content = CONTENT_COST if first and guests is TestpmdLoop else 0
            return (length + GENERATOR_COST[guests] + SUBJECT_COST.get(subject, 0) + content
                    + what.get("macs", 0) / 500000 + what.get("idle", 0) / 350
                    + what.get("ports", 0) / PORTS_PER_SECOND)

        return sum(cost(what, subject) for what, subjects in self.steps for subject in subjects
                   if not subject.missing())


def case(size, packed, **more):
    return {"size": size, "packed": packed, **more}


def with_floor(cases):
    """Cases of ours alone, and the floor once, to see how quiet the machine is."""
    return [(case(64, True), [FloorCopy]), *((what, [Ours]) for what in cases)]


def with_before(sections):
    """The same with another build of vswitchd after each measurement of this one."""
    def both(subjects):
        return [s for subject in subjects for s in ([subject, Before] if subject is Ours else [subject])]

    return [section._replace(steps=[(what, both(subjects)) for what, subjects in section.steps])
            for section in sections]


def real_steps(quick):
    """In a quick run the peers show only that the first row works with them."""
    by_name = {subject.name: subject for subject in PEERS}
    return [(row.case, [by_name[name] for name in row.subjects() if name == OURS or not quick or row is real.ROWS[0]])
            for row in real.ROWS]


def plan(quick):
    """The sections that are made of windows. What is compared stands side by side."""
    sizes = [64, 512, 1518]
    lengths = [64, 1518] if quick else [64, 128, 256, 512, 1024, 1518, 4096, 9000]
    idle = [0, 100] if quick else [0, 1000, 10, 100]
    macs = [1, 16384] if quick else [1, 1000000, 1024, 16384, 262144]
    peers = [(case(s, p), PEERS) for s in sizes for p in (True, False)]
    if quick:
        peers = peers[:1]
    sections = [
        Section("peers", TestpmdLoop, peers),
        Section("limit", Pktgen, [(case(s, p), LIMIT) for p in (True, False) for s in lengths], share=0.5),
        Section("touch", Pktgen, [(case(1518, True, touch_all=True), [FloorCopy, Ours])]),
    ]
    if not quick:
        tso = [FloorCopy, Ours, RteVhost, RteVhostChained]
        # What QEMU gives a guest that is not told otherwise, and what the other sections have.
        rings = [{"ring-size": 256}, {"ring-size": 1024}]
        sections.append(Section("tso", Pktgen, [(case(60000, True, tso=1448, **ring), tso) for ring in rings]))
    sections += [
        Section("macs", Pktgen, with_floor(case(64, True, macs=m) for m in macs), together=True),
        Section("ports", Pktgen, with_floor(case(64, True, idle=n) for n in idle), together=True),
        Section(real.SECTION, Pktgen, real_steps(quick), share=0.25),
    ]
    return sections


OTHERS = ("latency", "loss", "idle", "lookup")
NAMES = [section.name for section in plan(False)] + list(OTHERS)


def duration(sections, others, options):
    """Seconds that all of it will take, more or less."""
    length = options.seconds + 0.35
    total = SIMD_COST + sum((s.rounds(options.rounds) - 1) * s.seconds(length) + s.seconds(length, first=True)
                            for s in sections)
    for name in others:
        fixed, each = (QUICK_COST[name], 0) if options.quick else COST[name]
        total += fixed + each * options.rounds
    return total

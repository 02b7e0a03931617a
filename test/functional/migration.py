# SPDX-License-Identifier: BSD-3-Clause
"""Guests that move: QEMU's monitor, a second QEMU that waits, and two switches with a cable."""

import json
import re
import socket
from pathlib import Path

from guest import Guest
from lab import VSWITCHD, LabError, Process, Switch, wait_for

CABLE = Path(VSWITCHD).resolve().parents[2] / "test/functional/cable"


class Monitor:
    """QEMU's machine protocol on a socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)

        def attempt():
            try:
                self.socket.connect(str(path))
                return True
            except OSError:
                return False

        wait_for(attempt, f"monitor at {path}")
        self.lines = self.socket.makefile("r")
        self.events = []
        self.lines.readline()  # its greeting
        self("qmp_capabilities")

    def __call__(self, command, **arguments):
        """Execute a command and return what it returns."""
        request = {"execute": command.replace("_", "-") if command != "qmp_capabilities" else command}
        if arguments:
            request["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.socket.sendall(json.dumps(request).encode())
        while True:
            line = self.lines.readline()
            if not line:
                raise LabError("QEMU closed its monitor")
            answer = json.loads(line)
            if "event" in answer:
                self.events.append(answer["event"])
            elif "error" in answer:
                raise LabError(f"QEMU refuses {command}: {answer['error']}")
            else:
                return answer["return"]

    def close(self):
        self.lines.close()
        self.socket.close()


# What a kernel or a program says that found its memory changed.
CORRUPTION = re.compile(rb"corruption|BUG:|Oops|general protection|Kernel panic|segfault|unable to handle|smashing")


def move_uncorrupted(lab, body, *args):
    """Call body(lab, ...), once more in a fresh lab if the emulator has corrupted a guest; three times in all.

    QEMU 7.2 without KVM loses writes of a guest's CPU when it moves: having looked 64 pages at a time for
    what was written, it does not tell the CPU to report the next write (mended in QEMU 9.0, "physmem: Fix
    migration dirty bitmap coherency with TCG memory access"). moves_alone.py shows it without a switch. A
    guest that is silent, or receives wrong bytes, without complaining of its memory is not tried again; a
    switch that does not log what it writes spoils a guest each time.
    """
    for left in (2, 1, 0):
        try:
            return body(lab, *args)
        except (LabError, AssertionError) as error:
            corrupted = [guest.name for guest in lab.owned if isinstance(guest, Traveller) and guest.is_corrupted()]
            if not left or not corrupted:
                raise
            print(f"the emulator corrupted the memory of {', '.join(corrupted)}; once more. What failed: {error}")
            for guest in lab.owned:
                if isinstance(guest, Traveller) and guest.is_corrupted():
                    print(f"{guest.name} said:\n{guest.complaint()}")
            lab.renew()


class Traveller(Guest):
    """A guest that can move. incoming: it does not boot but waits for one that comes."""

    def __init__(self, lab, number, path, *, name, incoming=False, more=(), **options):
        self.monitor = None
        self.incoming = lab.dir / f"{name}.incoming"
        monitor_path = lab.dir / f"{name}.monitor"
        more = [*more, "-qmp", f"unix:{monitor_path},server=on,wait=off"]
        if incoming:
            more += ["-incoming", f"unix:{self.incoming}"]
        # A kernel that clears pages when it takes them marks them itself, right before the device.
        super().__init__(lab, number, path, name=name, boot="init_on_alloc=0", more=more, **options)
        self.monitor = Monitor(monitor_path)

    def is_corrupted(self):
        self._read_rest()
        return bool(CORRUPTION.search(self.transcript))

    def complaint(self):
        """What the guest said of its memory, with the lines around it."""
        at = CORRUPTION.search(self.transcript).start()
        return bytes(self.transcript[max(at - 500, 0) : at + 4000]).decode(errors="replace").replace("\r", "")

    def situation(self):
        """What QEMU knows of its CPU, interrupts and rings. For the story of a failure."""
        device = self.monitor("x-query-virtio")[0]["path"]
        asked = [("query-status", {})]
        asked += [("human-monitor-command", {"command-line": f"info {what}"}) for what in ("registers", "pic")]
        for queue in range(2):
            asked += [(f"x-query-virtio-{kind}queue-status", {"path": device, "queue": queue})
                      for kind in ("", "vhost-")]
        story = []
        for command, arguments in asked:
            try:
                answer = str(self.monitor(command, **arguments))
                story.append(f"{command}: {answer.split('LDT=')[0]}")
            except LabError as error:
                story.append(str(error))
        return "\n".join([*story, *self.pending_notifications()])

    def pending_notifications(self):
        """The eventfds of this QEMU that somebody has written and it has not read."""
        for path in Path(f"/proc/{self.pid}/fdinfo").iterdir():
            count = re.search(r"eventfd-count:\s+([0-9a-f]+)", path.read_text())
            if count and int(count.group(1), 16):
                yield f"eventfd {path.name} of QEMU: written {int(count.group(1), 16)} times and not read"

    def start_move(self, target, capabilities=()):
        """Begin to move to target, another Traveller made with incoming=True."""
        for side in (self, target):
            side.monitor(
                "migrate-set-capabilities",
                capabilities=[{"capability": name, "state": True} for name in capabilities],
            )
        self.monitor("migrate", uri=f"unix:{target.incoming}")
        if "postcopy-ram" in capabilities:
            # Not before the channel is up; then the guest runs over there, and its memory follows.
            wait_for(lambda: self.move_status() == "active", "migration under way")
            self.monitor("migrate-start-postcopy")

    def move_status(self):
        return self.monitor("query-migrate").get("status", "none")

    def finish_move(self, target, timeout=60):
        """Wait until the guest runs there. What QEMU says of the move."""

        def ended():
            status = self.move_status()
            if status in ("failed", "cancelled"):
                raise LabError(f"the move {status}: {self.monitor('query-migrate')}")
            return status == "completed"

        wait_for(ended, "end of the move", timeout)
        wait_for(
            lambda: target.monitor("query-status")["status"] == "running", "guest that runs again", 20
        )
        return self.monitor("query-migrate")

    def close(self):
        if self.monitor:
            self.monitor.close()
        super().close()


def records(switch):
    """What a switch has recorded of its rings, a line an event. For the story of a failure."""
    story = [f"records of {switch.name}:"]
    for port in switch.stats()["ports"]:
        for queue in port["queues"]:
            title = f"port {port['index']} queue {queue['index']}"
            counts = {name: queue[name] for name in ("frames", "calls", "calls_left", "calls_suppressed", "drops")}
            story.append(f"{title}: active {queue['active']}, enabled {queue['enabled']}, {counts}")
            for event in queue.get("events", []):
                story.append(
                    f"{title}: {event['ago_us'] / 1e6:11.6f} s ago {event['event']:13} {event['value']:6} "
                    f"avail {event['avail']:5} used {event['used']:5}"
                )
    return "\n".join(story)


class TwoSwitches:
    """Two switches, a cable between them, and on the first one a guest that stays."""

    def __init__(self, lab, *options):
        self.lab = lab
        self.here = Switch(lab, ["here-moving.sock", "here-cable.sock", "peer.sock"], *options, name="here")
        self.there = Switch(lab, ["there-moving.sock", "there-cable.sock"], *options, name="there")
        self.cable = Process(lab, "cable", [CABLE, self.here.paths[1], self.there.paths[1]])
        self.peer = Guest(lab, 1, self.here.paths[2], name="peer")

    def other(self, switch):
        return self.there if switch is self.here else self.here

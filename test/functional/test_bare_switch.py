# SPDX-License-Identifier: BSD-3-Clause
"""A switch that starts without ports: they come, move between VLANs and go while DPDK's testpmd sends."""

import json
import subprocess
from pathlib import Path

from lab import VSWITCHD, Switch, drops_of, wait_for
from testpmd import Testpmd, virtio_user

CTL = Path(VSWITCHD).resolve().parents[1] / "vswitchctl/vswitchctl"
BURST = 32
MACS = {"still": "02:00:00:00:00:0a", "near": "02:00:00:00:00:0b", "moving": "02:00:00:00:00:0c"}


class Bare:
    """`vswitchd --control S` and vswitchctl."""

    def __init__(self, lab):
        self.lab = lab
        self.switch = Switch(lab, [], "--control", lab.dir / "control.sock")

    def ctl(self, *words):
        done = subprocess.run([CTL, "-j", "-s", self.lab.dir / "control.sock", *map(str, words)],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def socket(self, name):
        return self.lab.dir / f"{name}.sock"

    def add(self, name, *more):
        self.ctl("port", "add", name, "socket", self.socket(name), "vlan", 10, *more)

    def up(self):
        return sorted(port["name"] for port in self.ctl("port", "list")["entries"] if port["up"])

    def wait_up(self, *names):
        wait_for(lambda: self.up() == sorted(names), f"switch where {names} are up", 20, 0.1)

    def drops(self, name, reason):
        return drops_of(self.ctl("port", "stats", name), reason)

    def vlans_of(self, name):
        """Where an address is known: (port, VLAN)."""
        return [(entry["port"], entry["vlan"]) for entry in self.ctl("fdb", "list")["entries"]
                if entry["mac"] == MACS[name]]


def arrived(program):
    return [port["RX-packets"] for port in program.counters()]


def wait_flow(program, *ports):
    """Until many more frames have arrived at each of these ports of testpmd."""
    before = arrived(program)
    wait_for(lambda: all(arrived(program)[port] >= before[port] + 20 * BURST for port in ports),
             f"frames at ports {ports} of testpmd", 20, 0.1)


def wait_silence(program, port):
    """Until nothing arrives at this port while something arrives at port 0; returns how much has arrived."""
    for _ in range(20):
        before = arrived(program)[port]
        wait_flow(program, 0)
        if arrived(program)[port] == before:
            return before
    raise AssertionError(f"frames still arrive at port {port} of testpmd")


def link(program, port):
    """What testpmd prints: up or down."""
    text = program.run(f"show port info {port}")
    return text.split("Link status: ")[1].split()[0]


def start_frontends(bare):
    """
    One testpmd sends on `near` and on `moving`, the other one sends all of that back on `still`. The sender
    listens on the socket of `moving`, so that it meets the port again after a removal.
    """
    bare.add("still")
    bare.add("near")
    answerer = Testpmd(bare.lab, [virtio_user(bare.socket("still"), mac=MACS["still"])], f"--burst={BURST}",
                       "--port-topology=loop", "--forward-mode=macswap", name="answerer")
    sender = Testpmd(bare.lab, [
        virtio_user(bare.socket("near"), number=0, mac=MACS["near"]),
        virtio_user(bare.socket("moving"), number=1, mac=MACS["moving"], server=True, packed=True),
    ], f"--burst={BURST}", "--port-topology=loop", "--forward-mode=mac", f"--eth-peer=0,{MACS['still']}",
        f"--eth-peer=1,{MACS['still']}", name="sender", wait=False)
    wait_for(bare.socket("moving").exists, "socket of the sender", 20)
    bare.add("moving", "client")
    sender.wait_prompt(30)
    bare.wait_up(*MACS)
    answerer.run("start")
    send(sender)
    return answerer, sender


def send(sender):
    """Another burst from each port."""
    sender.run("stop")
    sender.run("start tx_first 1")


def test_ports_come_move_and_go_while_others_send(lab):
    bare = Bare(lab)
    assert bare.ctl("port", "list")["entries"] == []
    answerer, sender = start_frontends(bare)
    wait_flow(sender, 0, 1)
    assert bare.vlans_of("moving") == [("moving", 10)]

    bare.ctl("port", "set", "moving", "vlan", 20)
    before = wait_silence(sender, 1)
    dropped = bare.drops("moving", "no-destination")
    send(sender)
    wait_flow(sender, 0)
    assert arrived(sender)[1] == before
    assert bare.drops("moving", "no-destination") == dropped + BURST, "it is alone in its VLAN"
    assert bare.vlans_of("moving") == [("moving", 20)]

    bare.ctl("port", "set", "moving", "vlan", 10)
    send(sender)
    wait_flow(sender, 0, 1)
    assert bare.vlans_of("moving") == [("moving", 10)]

    assert link(sender, 1) == "up"
    bare.ctl("port", "del", "moving")
    wait_silence(sender, 1)
    wait_for(lambda: link(sender, 1) == "down", "end of the connection", 5)
    assert bare.vlans_of("moving") == [] and bare.up() == ["near", "still"]

    # testpmd resets its packed rings 1 ms after it told its thread that forwards, whether it has heard it or not.
    sender.run("stop")
    bare.add("moving", "client")
    bare.wait_up(*MACS)
    sender.run("start tx_first 1")
    wait_flow(sender, 0, 1)

    for program in (sender, answerer):
        program.run("stop")
    assert bare.switch.quiet_stats()["totals"]["balanced"]
    bare.ctl("port", "del", "near")
    wait_for(lambda: link(sender, 0) == "down", "end of the connection", 5)
    assert bare.up() == ["moving", "still"]
    sender.close()
    answerer.close()
    bare.switch.stop()

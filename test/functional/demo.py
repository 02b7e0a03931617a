# SPDX-License-Identifier: BSD-3-Clause
"""The demonstration of scripts/quickstart: guests that talk, then the number of frames per second."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from guest import Guest, ping
from lab import VSWITCHD, Lab, LabError, Switch, assert_balanced, dropped, queues
from testpmd import Testpmd, virtio_user

STARTED = time.monotonic()
CTL = Path(VSWITCHD).resolve().parents[1] / "vswitchctl/vswitchctl"


def say(text):
    print(f"   {time.monotonic() - STARTED:5.1f}s  {text}", flush=True)


def ask(lab, *commands):
    """What an operator types, and what the switch answers."""
    text = ""
    for command in commands:
        done = subprocess.run([CTL, *command.split()], capture_output=True, text=True, timeout=20,
                              env={**os.environ, "VSWITCH_CONTROL": str(lab.dir / "control.sock")})
        if done.returncode:
            raise LabError(f"vswitchctl {command}: {done.stderr}")
        text += f"$ vswitchctl {command}\n{done.stdout}\n"
    return text


def show_guests(lab):
    """Two Linux virtual machines; returns (pings, bits per second there and back, counters, what the switch says)."""
    switch = Switch(lab, ["vm1.sock", "vm2.sock"], name="vswitchd-guests")
    say(f"vswitchd listens on {switch.paths[0]} and {switch.paths[1]}")
    say("booting two Linux guests in QEMU, one on each socket (no KVM is needed, so they are slow)")
    one, two = [Guest(lab, n + 1, path, packed=n == 1) for n, path in enumerate(switch.paths)]
    for guest in (one, two):
        guest.wait_boot()
        say(f"{guest.name} is up: {guest.ip}, Linux {guest.run('uname -r')}")
    ping(one, two, count=1)
    sent, received = ping(one, two, count=20)
    say(f"{one.ip} pings {two.ip}: {sent} sent, {received} received")
    if sent != received:
        raise LabError("pings were lost")
    rates = []
    for source, target in ((one, two), (two, one)):
        target.run("iperf3 -s -D -1 >/dev/null 2>&1; sleep 0.5")
        text = source.run(f"iperf3 -J -c {target.ip} -t 3", timeout=40)
        rates.append(json.loads(text)["end"]["sum_received"]["bits_per_second"])
        say(f"iperf3 from {source.ip} to {target.ip}: {rates[-1] / 1e6:.0f} Mbit/s of TCP")
    said = ask(lab, "port list", "fdb list")
    for guest in (one, two):
        guest.close()
    stats = switch.quiet_stats()
    assert_balanced(stats)
    switch.stop(limit=5)
    return (sent, received), rates, stats, said


def show_throughput(lab, packed, seconds=4):
    """testpmd turns 64-byte frames round; returns frames a second and cycles per frame."""
    macs = ["02:00:00:00:00:0a", "02:00:00:00:00:0b"]
    name = "packed" if packed else "split"
    switch = Switch(lab, [f"{name}1.sock", f"{name}2.sock"], "--idle", "poll", name=f"vswitchd-{name}")
    vdevs = [
        virtio_user(path, number=i, mac=macs[i], packed=packed) for i, path in enumerate(switch.paths)
    ]
    generator = Testpmd(
        lab, vdevs, "--burst=32", f"--eth-peer=0,{macs[1]}", f"--eth-peer=1,{macs[0]}", name=f"pmd-{name}"
    )
    time.sleep(0.5)
    generator.run("start tx_first 4")
    time.sleep(0.5)
    before, began = switch.stats(), time.monotonic()
    time.sleep(seconds)
    after, took = switch.stats(), time.monotonic() - began
    generator.run("stop")
    generator.close()
    assert_balanced(switch.quiet_stats())
    switch.stop(limit=5)
    frames = sum(q["frames"] for q in queues(after, "egress"))
    frames -= sum(q["frames"] for q in queues(before, "egress"))
    cycles = sum(w["busy_cycles"] for w in after["workers"])
    cycles -= sum(w["busy_cycles"] for w in before["workers"])
    return frames / took, cycles / max(frames, 1)


def main():
    # A closed terminal or a Ctrl-C ends everything that was started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with Lab() as lab:
        try:
            pings, rates, stats, said = show_guests(lab)
            say("guests are done; now DPDK's testpmd as generator, 64-byte frames round and round")
            speed = {}
            for packed in (False, True):
                kind = "packed" if packed else "split"
                speed[kind] = show_throughput(lab, packed)
                say(f"{kind} rings: {speed[kind][0] / 1e6:.2f} million frames a second on one core")
        except (LabError, AssertionError) as error:
            print(lab.story(), file=sys.stderr)
            print(f"quickstart: error: {error}", file=sys.stderr)
            return 1
    frames = sum(q["frames"] for q in queues(stats, "egress"))
    lost = sum(dropped(stats).values())
    print(f"""
Summary
  ping          {pings[1]} of {pings[0]} came back
  iperf3 TCP    {rates[0] / 1e6:.0f} Mbit/s there, {rates[1] / 1e6:.0f} Mbit/s back (the guests are emulated)
  guests        {frames} frames delivered, {lost} dropped, counters balanced
  64-byte rate  split rings {speed['split'][0] / 1e6:.2f} M frames/s at {speed['split'][1]:.0f} cycles each
                packed rings {speed['packed'][0] / 1e6:.2f} M frames/s at {speed['packed'][1]:.0f} cycles each

The switch while the guests ran:

{said.rstrip()}
""")
    return 0


if __name__ == "__main__":
    sys.exit(main())

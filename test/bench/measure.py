# SPDX-License-Identifier: BSD-3-Clause
"""How each section is measured; plan.py says what is measured."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from figures import median
from generators import CPU as GENERATOR_CPU
from generators import Pktgen
from lab import Lab, LabError, Process, assert_balanced, dropped, queues, wait_for
from plan import case
from subjects import IDLE, LOOKUP, SWITCH_CPU, WAKE, FloorCopy, Ours, Ovs, RteVhost

FIRST_FRAMES = 100000
RING = 256          # of the loss section
QUIET_PORTS = 8     # nobody connects to them
WAKE_RATE = 100     # frames per second that each find the switch asleep
LATENCY_TURNS = 2   # for every round: the machine's state weighs more than anything
SPOILED = ("corrupt", "duplicates", "reordered", "broken_queues", "wrong_bytes")
DELIVERED = 0.5     # who delivers a smaller share does not do the work that is compared
QUICK_DELIVERED = 0.01  # a quick run compares nothing, and others may have the machine
CLAIM, FEW = 0.01, 2000  # so many frames more than were sent a switch may claim
MISCOUNTED = 0.9    # of what arrived a switch must have counted so much
OFFLOADS = {"tso", "csum"}
ETHERNET_HEADER, ETHERNET_MAX = 14, 1518
CONTENT_RATE, CONTENT_SECONDS = 200000, 0.3


class Spoiled(LabError):
    """Frames came out that did not go in: there is no figure for such a switch."""


def busy_share(seconds):
    """How much of all CPUs was busy over the next seconds."""
    def read():
        fields = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    before = read()
    time.sleep(seconds)
    after = read()
    return 1 - (after[1] - before[1]) / max(after[0] - before[0], 1)


def wait_idle(limit=60):
    """A machine that others use gives figures that mean nothing: wait for a quiet moment."""
    end = time.monotonic() + limit
    while time.monotonic() < end and busy_share(0.3) > 0.1:
        pass


def lost_share(result):
    """Of what was sent; in a closed loop of what goes round in it. A search loses on purpose, and says
    neither."""
    sent = result.get("sent", 0)
    return (sent - result["received"]) / result.get("under_way", sent) if sent else 0


def check(name, result):
    """What the generator counted: what was moved must have arrived, and must be what was sent."""
    spoiled = {key: result[key] for key in SPOILED if result.get(key)}
    if result.get("received", 0) > result.get("sent", 0):
        spoiled["more than was sent"] = result["received"] - result["sent"]
    if spoiled:
        raise Spoiled(f"{name} spoils frames: " + ", ".join(f"{key} {n}" for key, n in spoiled.items()))
    if lost_share(result) > 1 - DELIVERED:
        raise LabError(f"{name} lost {result['sent'] - result['received']} of "
                       f"{result.get('under_way', result['sent'])} frames")
    # Less work than the others do: there is nothing to compare then.
    if result.get("lost_requests"):
        raise LabError(f"{name} lost the net headers of {result['lost_requests']} of {result['received']} frames")


def check_claim(name, claimed, result):
    """The switch counts frames for its figure; the generator's counts must agree with it."""
    total = result.get("total", result)
    sent = total["sent"] + total.get("hellos", 0)
    if claimed > sent + max(CLAIM * sent, FEW):
        raise LabError(f"{name} says that it moved {claimed} frames, of {sent} that were sent")
    if claimed < MISCOUNTED * total["received"]:
        raise LabError(f"{name} counts only {claimed} of {total['received']} frames that it delivered")


def check_content(lab, peer, what):
    """A few frames, every byte written and checked, through the same sockets as those that were timed."""
    try:
        load = Pktgen(lab, peer.paths, {**what, "touch_all": True, "rate": CONTENT_RATE}, CONTENT_SECONDS)
        result = load.end(wait=True)
    except LabError as fault:
        raise LabError(f"what {peer.name} delivers cannot be checked: {fault}") from None
    check(peer.name, result)
    if not result["received"]:
        raise LabError(f"{peer.name} delivered nothing to be checked")


def quiet_guests(lab, paths):
    guests = Process(lab, "idle", [IDLE, *paths])
    wait_for(lambda: "ready:" in guests.err() or not guests.alive(), "idle guests", 60)
    if not guests.alive():
        raise LabError(guests.err())


def wait_traffic(load, peer, wanted):
    """Until frames come back."""
    end = time.monotonic() + 60
    before = peer.count()[3]
    while peer.count()[3] - before < wanted:
        if ended := load.ended():
            raise LabError(ended)
        if time.monotonic() > end:
            raise LabError(f"hardly a frame goes through {peer.name}")
        time.sleep(0.1)


def subject_options(subject, what):
    """How a subject is started for a case."""
    options = {"big": what["size"] > 9000}
    if what.get("macs", 1) > 65536:
        options["options"] = ("--mac-table", str(what["macs"]))
    if "idle" in what or "ports" in what:
        options["ports"] = what.get("ports", 2) + what.get("idle", 0)
    if issubclass(subject, RteVhost):
        options.update(offloads=bool(OFFLOADS & what.keys() or what.get("mix") == "linux-tcp"),
                       queues=what.get("queues", 1))
    if subject is Ovs and what["size"] > ETHERNET_MAX:
        options["mtu"] = what["size"] - ETHERNET_HEADER
    return options


def counted(result, what):
    """What is kept of the generator's counts: lost frames, bytes and calls per frame where it knows them."""
    received = max(result["received"], 1)
    found = {"lost": lost_share(result)}
    if "streams" in result:
        found["bytes"] = sum(stream["received_bytes"] for stream in result["streams"]) / received
    if what.get("calls"):
        found["calls"] = sum(port["calls"] for port in result["negotiated"]) / received
    return found


def windows(subject, generator, what, seconds, content=False):
    """Windows of one subject under one load, and what the generator counted meanwhile; content: look into
    frames as well, where the generator did not."""
    with Lab() as lab:
        try:
            peer = subject(lab, **subject_options(subject, what))
            if what.get("idle"):
                quiet_guests(lab, peer.other_paths)
            load = generator(lab, [*peer.paths, *peer.other_paths] if "ports" in what else peer.paths, what)
            # After two from every address of either port.
            wait_traffic(load, peer, FIRST_FRAMES * 64 / max(what["size"], 64) + 4 * what.get("macs", 0))
            time.sleep(0.1)
            samples = peer.windows(seconds)
            result = load.end()
            if not subject.delivers:
                return samples, {}
            check(subject.name, result)
            check_claim(subject.name, peer.count()[3], result)
            if content and generator is not Pktgen:
                load.close()
                check_content(lab, peer, what)
            return samples, counted(result, what)
        except (LabError, TypeError):
            print(lab.story(), file=sys.stderr)
            raise


def trial(subject, what, seconds):
    """What vswitch-pktgen says in the end, and what is result of the switch."""
    with Lab() as lab:
        try:
            peer = subject(lab)
            result = Pktgen(lab, peer.paths, what, seconds).end(wait=True)
            check(subject.name, result)
            return result, accounting(peer, result["total"]) if subject is Ours else None
        except LabError:
            print(lab.story(), file=sys.stderr)
            raise


def accounting(peer, total):
    """Frames that the switch's counters and the generator's do not tell alike."""
    stats = peer.process.quiet_stats()
    received = sum(queue["frames"] for queue in queues(stats, "ingress"))
    unaccounted = abs(received - total["sent"] - total["hellos"])
    unaccounted += abs(sum(dropped(stats).values()) - (total["sent"] - total["received"]))
    try:
        assert_balanced(stats)
    except AssertionError as wrong:
        print(wrong, file=sys.stderr)
        unaccounted += 1
    return {"sent": total["sent"], "dropped": dropped(stats), "unaccounted": unaccounted}


def available(*subjects):
    return [s for s in subjects if not s.missing()]


def latency(options, progress, attempt):
    """All at the same rate: a tenth of what the slower of vswitchd and rte_vhost takes."""
    mrr, runs = {}, {}
    for subject in available(Ours, RteVhost):
        result, _ = trial(subject, case(64, True, test="mrr"), 0.02 if options.quick else 0.1)
        mrr[subject.name] = result["mrr"]
    rate = int(min(mrr.values()) / 10)
    for number in range(options.rounds * (1 if options.quick else LATENCY_TURNS)):
        for subject in available(FloorCopy, Ours, RteVhost):
            wait_idle(0 if options.quick else 60)
            result, _ = attempt(subject, number, trial, subject, case(64, True, rate=rate),
                              0.5 if options.quick else 1) or (None, None)
            runs.setdefault(subject.name, []).append(result)
            if not result:
                continue
            quantiles = result["latency_ns"]
            progress(f"round {number + 1}: latency at {rate / 1e6:.2f} M/s  {subject.name:32} "
                     f"p50 {quantiles['p50'] / 1e3:.2f} us, p99 {quantiles['p99'] / 1e3:.2f} us")
    return {"rate": rate, "mrr": mrr, "runs": runs}


def one_loss(subject, quick, search=True):
    """MRR and NDR. A quick look takes no repeated trials."""
    ring = {"ring-size": RING}
    result, first = trial(subject, case(64, True, test="mrr", **ring), 0.01 if quick else 0.1)
    run = {"mrr": result["mrr_rates"]}
    if search:
        test = "rfc2544" if quick else "ndrpdr"
        result, second = trial(subject, case(64, True, test=test, **ring), 0.01 if quick else 0.05)
        found = result["throughput" if quick else "NDR"]
        run["mrr"] += result["mrr_rates"]
        run.update(ndr=found["rate"], trials=found["trials"], generator_limit=found["generator_limit"])
        if not quick:
            run["pdr"] = result["PDR"]["rate"]
        if first:
            run["accounting"] = {key: first[key] + second[key] for key in ("sent", "unaccounted")}
    return run


def loss(options, progress, attempt):
    """The switch twice, and the others beside it."""
    runs = {}
    subjects = [Ours] if options.quick else available(Ours, FloorCopy, RteVhost, Ours, FloorCopy)
    for subject in subjects:
        wait_idle(0 if options.quick else 60)
        mine = runs.setdefault(subject.name, [])
        run = attempt(subject, len(mine), one_loss, subject, options.quick, subject is not FloorCopy)
        mine.append(run)
        if not run:
            continue
        text = f"loss   {subject.name:32} MRR {median(run['mrr']) / 1e6:.2f} M/s"
        if "ndr" in run:
            text += f", NDR {run['ndr'] / 1e6:.2f} M/s"
            text += " (the generator was the limit)" if run["generator_limit"] else ""
        if "accounting" in run:
            text += f", {run['accounting']['unaccounted']} of {run['accounting']['sent']} frames that the "
            text += "counters do not explain"
        progress(text)
    return {"ring": RING, "runs": runs}


def cpu_seconds(pid):
    """Time of all threads, to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def baseline_wake(seconds):
    """What it takes to wake a thread on the switch's CPU from the generator's, as often as frames do."""
    argv = [WAKE, SWITCH_CPU, GENERATOR_CPU, WAKE_RATE, max(int(seconds * WAKE_RATE), 1)]
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def one_idle(seconds):
    """Two quiet guests and ports without any; then frames so rare that each finds it asleep, between
    two halves of the wakes that they are compared with."""
    with Lab() as lab:
        peer = Ours(lab, ports=2 + QUIET_PORTS, idle="sleep")
        quiet_guests(lab, peer.paths)
        time.sleep(0.5)
        before, begin = cpu_seconds(peer.process.pid), time.monotonic()
        time.sleep(seconds)
        share = (cpu_seconds(peer.process.pid) - before) / (time.monotonic() - begin)
        slept = peer.sleeps()
        baseline = [baseline_wake(seconds / 4)]
        load = Pktgen(lab, peer.other_paths[:2], case(64, True, rate=WAKE_RATE), seconds / 2)
        result = load.end(wait=True)
        check(peer.name, result)
        baseline.append(baseline_wake(seconds / 4))
        return {"cpu": share, "wake": result["latency_ns"], "baseline": baseline, "frames": result["sent"],
                "sleeps": peer.sleeps() - slept}


def idle(options, progress, attempt):
    runs = []
    seconds = 1 if options.quick else 5
    for number in range(options.rounds):
        run = attempt(Ours, number, one_idle, seconds)
        if run:
            runs.append(run)
            progress(f"round {number + 1}: idle   {run['cpu']:.2%} of a core, a frame wakes it and is through in "
                     f"{run['wake']['p50'] / 1e3:.1f} us; a baseline wake takes "
                     f"{run['baseline'][0]['p50'] / 1e3:.1f} and {run['baseline'][1]['p50'] / 1e3:.1f} us")
    return runs and {"ports": 2 + QUIET_PORTS, "guests": 2, "seconds": seconds, "runs": runs}


def lookup(options, progress, _):
    """The bridge alone, on the switch's core."""
    found = {}
    for number in range(options.rounds):
        done = subprocess.run(["taskset", "-c", str(SWITCH_CPU), LOOKUP], capture_output=True, text=True, check=True)
        for line in done.stdout.splitlines():
            result = json.loads(line)
            found.setdefault(str(result["macs"]), []).append(result)
        progress(f"round {number + 1}: lookup " + ", ".join(
            f"{macs}: {runs[-1]['lookup']:.1f}" for macs, runs in found.items()) + " cycles")
    return found


OTHERS = {"latency": latency, "loss": loss, "idle": idle, "lookup": lookup}

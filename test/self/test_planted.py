# SPDX-License-Identifier: BSD-3-Clause
"""Functional tests fail on a switch with a fault that they are there for, and say which.

The fault is planted in one source file. Its object is linked before the libraries of the build, so the
linker takes the functions of that file from there.
"""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SWITCH = "app/vswitchd/vswitchd"
BUILD = Path(os.environ.get("VSWITCHD", ROOT / "build" / SWITCH)).resolve().parents[2]

TURNED = "w->stats.busy_turns++;"
ARRIVED = "if (last.gone && (t->pid"
FAULTS = {
    "addresses are forgotten too early": (
        "lib/control/address_owner.c", "vp->address_owner.gone_ms = clock_ms();",
        'vp->address_owner.gone_ms = clock_ms(); forget(vp, "planted");',
        "switching", "test_frames_for_a_port_that_left_are_counted", "frames of somebody else"),
    "each port has a descriptor more": (
        "lib/control/address_owner.c", ARRIVED, "extern int eventfd(unsigned, int); eventfd(0, 0); " + ARRIVED,
        "many", "*", "a port takes more descriptors"),
    "each port has 16 KiB more": (
        "lib/control/address_owner.c", ARRIVED,
        "for (volatile char *more = malloc(16384), *at = more; at < more + 16384; at++) *at = 1; " + ARRIVED,
        "many", "*", "they take more memory"),
    "a worker looks late": (
        "lib/worker/worker.c", "rte_pause();", "nanosleep(&(struct timespec){.tv_nsec = 600000}, NULL);",
        "idle", "test_no_wake_up_is_lost_split", "a frame takes too long"),
    "a worker sometimes looks very late": (
        "lib/worker/worker.c", TURNED, TURNED + " static int k; if (++k % 40 == 0)"
        " nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);",
        "idle", "test_no_wake_up_is_lost_split", "too many frames wait for a sleep to end"),
    "a worker falls asleep without another look": (
        "lib/worker/idle.c", "waits = q->ops->kick_enable(q);", "waits = false;",
        "idle", "test_no_wake_up_is_lost_split", "a frame waits for the end of a sleep"),
    "a worker wakes all the time": (
        "lib/worker/idle.c", "#define SLEEP_MS 1000", "#define SLEEP_MS 0",
        "idle", "test_idle_ports_cost_next_to_nothing", "an idle switch is busy"),
}


def compile_command(source):
    """The words that compile it, with the folder that they are to run in."""
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        if (Path(entry["directory"]) / entry["file"]).resolve() == source:
            return shlex.split(entry["command"]), entry["directory"]
    raise AssertionError(f"{source} is not part of the build")


def replace_word(words, flag, word):
    return [word if before == flag else now for before, now in zip([None, *words], words)]


def build_faulty_switch(folder, name, old, new):
    text = (ROOT / name).read_text()
    assert text.count(old) == 1, f"'{old}' is not in {name}, or several times"
    source, thing, switch = folder / Path(name).name, folder / "faulty.o", folder / "vswitchd"
    source.write_text(text.replace(old, new))
    words, at = compile_command((ROOT / name).resolve())
    words = replace_word(replace_word(words, "-o", str(thing)), "-c", str(source))
    subprocess.run([*words, "-Wno-error", f"-I{(ROOT / name).parent}"], cwd=at, check=True)
    linked = subprocess.run(["ninja", "-C", BUILD, "-t", "commands", "-s", SWITCH], check=True,
                            capture_output=True, text=True).stdout.splitlines()[-1]
    words = replace_word(shlex.split(linked), "-o", str(switch))
    words.insert(words.index("-o") + 2, str(thing))
    subprocess.run(words, cwd=BUILD, check=True)
    return switch


def run(test, test_filter, switch):
    done = subprocess.run([BUILD / f"test/functional/test_{test}", switch, test_filter], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    print(done.stdout[-5000:])
    return done.returncode, done.stdout


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_switch_fails(tmp_path, fault):
    name, old, new, test, test_filter, message = FAULTS[fault]
    status, output = run(test, test_filter, build_faulty_switch(tmp_path, name, old, new))
    assert status != 0 and message in output


def test_a_switch_that_is_linked_like_this_without_a_fault_passes(tmp_path):
    switch = build_faulty_switch(tmp_path, "lib/control/address_owner.c", ARRIVED, ARRIVED)
    assert run("switching", "test_frames_for_a_port_that_left_are_counted", switch)[0] == 0

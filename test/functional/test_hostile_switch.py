# SPDX-License-Identifier: BSD-3-Clause
"""A control socket that gives without an end: vswitchctl and vswitch.py take a bounded part of it."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fake_switch import FakeSwitch
from lab import ROOT, VSWITCHD

sys.path.insert(0, str(ROOT / "python"))

import vswitch  # noqa: E402

CTL = Path(VSWITCHD).resolve().parents[1] / "vswitchctl/vswitchctl"
MEMORY = 256 << 20


def limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def ctl(fake, *words):
    """A fake switch does not end, so a client that takes all of it runs out of memory or time."""
    return subprocess.run([CTL, "-s", fake.path, *words], capture_output=True, text=True, timeout=20,
                          preexec_fn=limit_memory)


def refusal(fake, why, method):
    return f"vswitchctl: no answer from the switch at {fake.path}: {why}; it is not known whether it did {method}\n"


NO_END = "the list has no end, or is too long"


def standing(peer, params):
    return {"result": {"entries": [], "next": params.get("from", 0)}}


def falling(peer, params):
    return {"result": {"entries": [], "next": 5 if "from" not in params else 4}}


def leaping(peer, params):
    return {"result": {"entries": [], "next": (1 << 24) + 1}}


@pytest.mark.parametrize("part", (standing, falling, leaping))
def test_a_list_that_does_not_go_on_is_an_error(tmp_path, part):
    fake = FakeSwitch(tmp_path / "fake", port_list=part)
    for words in (["port", "list"], ["-j", "port", "list"]):
        done = ctl(fake, *words)
        assert (done.returncode, done.stderr) == (4, refusal(fake, NO_END, "port.list")), words
    assert ctl(fake, "complete", "port", "show", "").returncode == 0
    with vswitch.Client(fake.path) as client, pytest.raises(ConnectionError, match="a list without an end"):
        list(client.list("port.list"))


def test_completion_takes_only_some_of_a_long_list(tmp_path):
    """The numbers are right, but it would go on for hours."""
    def growing(peer, params):
        return {"result": {"entries": [{"name": "x" * (1 << 20)}], "next": params.get("from", 0) + 1}}

    fake = FakeSwitch(tmp_path / "fake", port_list=growing)
    assert ctl(fake, "complete", "port", "show", "").returncode == 0
    assert fake.asked.count("port.list") < 10


def endless_line(peer, params):
    while True:
        peer.sendall(b" " * (1 << 20))


def test_a_line_has_a_limit(tmp_path):
    fake = FakeSwitch(tmp_path / "fake", version=endless_line, port_list=endless_line)
    done = ctl(fake, "version")
    assert (done.returncode, done.stderr) == (4, refusal(fake, "a line is longer than 16 MiB", "version"))
    assert ctl(fake, "complete", "port", "show", "").returncode == 0
    with vswitch.Client(fake.path) as client, pytest.raises(ConnectionError, match="longer than 16777216 bytes"):
        client.call("version")


def test_a_long_line_is_taken_whole(tmp_path):
    """And lines that come together are taken one after the other."""
    text = "x" * (8 << 20)

    def answer(peer, params):
        event = json.dumps({"jsonrpc": "2.0", "method": "event", "params": {"event": "port.up"}}).encode() + b"\n"
        peer.sendall(3 * event)
        return {"result": {"version": text}}

    fake = FakeSwitch(tmp_path / "fake", version=answer)
    assert json.loads(ctl(fake, "-j", "version").stdout) == {"version": text}
    with vswitch.Client(fake.path) as client:
        assert client.call("version") == {"version": text}
        assert len(client.waiting) == 3


def test_a_line_that_is_no_json_is_an_error(tmp_path):
    def words(peer, params):
        peer.sendall(b"no JSON\n")
        return {}

    fake = FakeSwitch(tmp_path / "fake", version=words)
    assert ctl(fake, "version").stderr == refusal(fake, "what came is not JSON", "version")


def test_events_do_not_put_off_the_end_of_a_wait(tmp_path):
    def events(peer, params):
        event = json.dumps({"jsonrpc": "2.0", "method": "event", "params": {"event": "x" * 1000}}).encode() + b"\n"
        while True:
            peer.sendall(event)
            time.sleep(0.01)

    fake = FakeSwitch(tmp_path / "fake", version=events)
    started = time.monotonic()
    with vswitch.Client(fake.path, timeout=1) as client, pytest.raises(TimeoutError, match="events, and no answer"):
        client.call("version")
    assert time.monotonic() - started < 5
    started = time.monotonic()
    assert ctl(fake, "version").stderr == refusal(fake, "none came in time", "version")
    assert 9 < time.monotonic() - started < 15


def test_events_before_an_answer_have_a_limit(tmp_path):
    def events(peer, params):
        event = json.dumps({"jsonrpc": "2.0", "method": "event", "params": {"event": "x" * (4 << 20)}}).encode() + b"\n"
        while True:
            peer.sendall(event)

    fake = FakeSwitch(tmp_path / "fake", version=events)
    with vswitch.Client(fake.path, timeout=60) as client, pytest.raises(ConnectionError, match="events without an end"):
        client.call("version")

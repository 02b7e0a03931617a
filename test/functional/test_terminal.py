# SPDX-License-Identifier: BSD-3-Clause
"""What vswitchctl prints: tables that fit the terminal, texts that do it no harm, events."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from fake_switch import FakeSwitch
from lab import VSWITCHD, wait_for
from terminal import Terminal

CTL = Path(VSWITCHD).resolve().parents[1] / "vswitchctl/vswitchctl"


@pytest.fixture
def show():
    """Starts vswitchctl on a terminal, and ends it."""
    started = []

    def start(control, *words, columns=100):
        started.append(Terminal([CTL, "-s", control, *words], columns))
        return started[-1]

    yield start
    for one in started:
        one.close()


EVIL = "a\x1b[31mb\x9b5mc\x7fd\u202ee\nf"
SAFE = r"a\u001b[31mb\u009b5mc\u007fd\u202ee\u000af"


def assert_harmless(text):
    """The terminal would take nothing of it for a command, except what libedit draws."""
    for bad in ("\x1b[31m", "\x9b", "\x7f", "\u202e", "e\nf"):
        assert bad not in text


def test_no_control_character_reaches_the_terminal(show, tmp_path):
    port = {"name": EVIL, "index": 0, "up": True, "state": EVIL, "addresses": 0, "in_frames": 0, "out_frames": 0,
            "drops": 0, "features": [EVIL], EVIL: EVIL}
    fake = FakeSwitch(tmp_path / "fake", version={"result": {"version": EVIL}}, port_show={"result": port},
                      port_list={"result": {"entries": [port, {**port, "name": "harmless"}], "next": None}},
                      port_stats={"result": {"name": EVIL, "queues": [{"direction": EVIL, EVIL: 1}]}},
                      port_del={"error": {"code": 1, "message": EVIL}}, schema_get={"result": {EVIL: EVIL}})
    for words in (["version"], ["port", "list"], ["-j", "port", "list"], ["port", "show", EVIL], ["port", "stats", "x"],
                  ["-j", "port", "show", "x"], ["port", "del", "x"], ["schema", "get"], ["port", EVIL],
                  ["complete", "port", "show", ""]):
        shown = show(fake.path, *words, columns=300).end().replace("\r\n", "\n")
        assert_harmless(shown)
        safe = SAFE.replace(r"\u000a", r"\n") if "-j" in words or "schema" in words else SAFE
        assert "complete" in words or safe in shown.replace(r"\u001B", r"\u001b"), words
    assert json.loads(subprocess.run([CTL, "-s", fake.path, "-j", "port", "show", "x"], capture_output=True,
                                     timeout=10).stdout) == port
    for count, words in enumerate((["monitor"], ["-j", "monitor"]), 1):
        watch = show(fake.path, *words, columns=300)
        wait_for(lambda count=count: fake.answered.count("subscribe") == count, "subscription")
        fake.event(event=EVIL, port=EVIL, time=1)
        assert_harmless(watch.expect(r"u00[^\n]*u00[^\n]*\n")[0])


def test_the_monitor_tells_what_was_lost_and_how_it_ended(tmp_path):
    for option, out, err in (
        ((), "port.up port vm\n", ""),
        (("-j",), '{"event":"port.up","time":1,"port":"vm"}\n', "vswitchctl: overrun: 7 events were lost"),
    ):
        fake = FakeSwitch(tmp_path / f"fake{len(option)}")
        watch = subprocess.Popen([CTL, "-s", fake.path, *option, "monitor", "events", "port.up"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: "subscribe" in fake.answered, "subscription")
        fake.event(event="port.up", time=1, port="vm")
        fake.event(event="overrun", time=2, lost=7)
        assert watch.stdout.readline().endswith(out)
        rest = watch.stdout.readline()
        fake.close()
        said = watch.stderr.read()
        assert watch.wait(10) == 3
        if option:
            assert json.loads(rest) == {"event": "overrun", "time": 2, "lost": 7}
        else:
            assert re.fullmatch(r"[\d:.]+ overrun: 7 events were lost, [^\n]*\n", rest)
        assert said.startswith(err)
        assert said.splitlines()[-1] == f"vswitchctl: the switch at {fake.path} has gone: the connection has ended"
        assert len(said.splitlines()) == 1 + len(option)


LONG = [{"name": f"/run/vswitch/{'n' * 100}{number}.sock", "index": number, "up": True, "state": "waits for " + "s" * 80,
         "addresses": 1000000 + number, "in_frames": 2**62, "out_frames": 7, "drops": 0} for number in range(3)]


@pytest.mark.parametrize("columns", (40, 80, 100, 200, 400))
def test_tables_fit_the_terminal(show, tmp_path, columns):
    more = [{**port, "name": "ü" * 90, "index": 100000} for port in LONG]
    fake = FakeSwitch(tmp_path / "fake", port_list={"result": {"entries": LONG + more, "next": None}})
    lines = show(fake.path, "port", "list", columns=columns).end().splitlines()
    assert max(map(len, lines)) <= columns
    assert sum(str(2**62) in line for line in lines) == 6  # numbers are not cut
    if columns >= 100:
        assert len({len(line) for line in lines}) <= 2 and lines[0].split()[0] == "NAME"
        assert sum(line.rstrip().count("0.sock") for line in lines) == 1  # the end of a path tells more
    else:
        assert [line.split()[0] for line in lines if line][:3] == ["name", "index", "up"]
    assert ("n" * 100 in "".join(lines)) == (columns == 400)


def test_nothing_is_cut_without_a_terminal(tmp_path):
    fake = FakeSwitch(tmp_path / "fake", port_list={"result": {"entries": LONG, "next": None}})
    done = subprocess.run([CTL, "-s", fake.path, "port", "list"], capture_output=True, text=True, timeout=10,
                          env={"COLUMNS": "40"})
    assert all(port["name"] in done.stdout and port["state"] in done.stdout for port in LONG)

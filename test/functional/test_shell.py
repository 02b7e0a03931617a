# SPDX-License-Identifier: BSD-3-Clause
"""The shell of vswitchctl, on a terminal: completion, history, ctrl-C, a switch that goes and comes."""

import json
import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from fake_switch import FakeSwitch
from lab import ROOT, VSWITCHD, Lab, Switch, wait_for
from terminal import Terminal
from test_ctl import load_reference_doc

CTL = Path(VSWITCHD).resolve().parents[1] / "vswitchctl/vswitchctl"
PROMPT = "vswitchctl> "
TAB, CTRL_C, CTRL_D, CTRL_Z, UP = "\t", "\x03", "\x04", "\x1a", "\x1b[A"


@pytest.fixture(scope="module")
def switch():
    with Lab() as lab:
        switch = Switch(lab, [], "--control", lab.dir / "control.sock")
        switch.control = lab.dir / "control.sock"
        for number, name in enumerate(("vm-alpha", "vm-beta", "two words")):
            add = [CTL, "-s", switch.control, "port", "add", name, "socket", lab.dir / f"{number}.sock"]
            subprocess.run(add, check=True, capture_output=True, timeout=10)
        yield switch


@pytest.fixture
def shells(tmp_path):
    """Starts shells, and ends them."""
    started = []

    def start(control, *words, **more):
        (tmp_path / "home").mkdir(exist_ok=True)
        started.append(Terminal([CTL, "-s", control, *words], **{"HOME": str(tmp_path / "home"), **more}))
        return started[-1]

    yield start
    for shell in started:
        shell.close()


def history(tmp_path):
    return tmp_path / "home/.local/state/vswitchctl/history"


def test_a_shell_answers_until_it_ends(switch, shells):
    shell = shells(switch.control)
    shell.expect(r"version +\d.*help.*" + PROMPT)
    shell.type("port list\n")
    shell.expect("NAME +INDEX.*vm-alpha.*vm-beta.*" + PROMPT)
    shell.type("-j vswitchctl version\n")
    shell.expect(PROMPT)
    shell.type("vswitchctl -j port show 'two words'   # a comment\n")
    assert json.loads(shell.expect("({.*}).*" + PROMPT)[1])["name"] == "two words"
    shell.type("help\n")
    assert "vswitchctl help" not in shell.expect("Commands:.*exit +Leave.*" + PROMPT)[0]
    shell.type("exit\n")
    shell.end()
    assert shell.status == 0
    for ending in (CTRL_D, "  exit \n", "quit\n"):
        other = shells(switch.control)
        other.expect(PROMPT)
        other.type(ending)
        other.end()
        assert other.status == 0


def test_errors_have_a_caret(switch, shells):
    shell = shells(switch.control)
    shell.expect(PROMPT)
    shell.type("fdb list limit 3\n")
    shown = shell.expect(r"vswitchctl: (fdb list limit 3)\r\n( +)\^\r\nexpected: ([^\r]*)\r\n")
    assert (len(shown[2]), shown[3]) == (len("vswitchctl: fdb list limit "), "a number from 16 to 4096")
    shell.expect(PROMPT)
    shell.type("port show 'vm\n")
    shell.expect("a ' is missing at the end.*" + PROMPT)
    shell.type("port show nowhere\n")
    shell.expect('"nowhere" is not a port.*' + PROMPT)


def test_completion_of_commands_and_live_names(switch, shells):
    shell = shells(switch.control)
    shell.expect(PROMPT)
    shell.type("po" + TAB + "sh" + TAB + "vm-a" + TAB + "\n")
    shell.expect(r"name +vm-alpha\r\n.*" + PROMPT)
    shell.type("port show vm" + TAB + TAB)
    shell.expect("vm-alpha +vm-beta")
    shell.type("b" + TAB + "\n")
    shell.expect(r"name +vm-beta\r\n.*" + PROMPT)
    shell.type("port show t" + TAB + "\n")
    shell.expect(r"name +two words\r\n.*" + PROMPT)
    shell.type("port " + TAB)
    shell.expect(r"add +Add a port.*list +List all ports")
    shell.type("add x queue-p" + TAB + TAB)
    shell.expect("queue pairs to offer.*: a number from 1 to 128")
    shell.type(CTRL_C)
    shell.expect(PROMPT)
    shell.type("log set level w" + TAB + "\n" + "switch show\n")
    shell.expect(r"log_level +warning\r\n")
    shell.expect(PROMPT)
    shell.type("log set level info\n")
    shell.expect(PROMPT)


def test_names_that_are_added_are_completed_at_once(switch, shells):
    shell = shells(switch.control)
    shell.expect(PROMPT)
    shell.type(f"port add fresh socket {switch.control.parent}/fresh.sock\n")
    shell.expect("name +fresh.*" + PROMPT)
    shell.type("port del fr" + TAB + "\n")
    shell.expect(PROMPT)
    shell.type("port show fresh\n")
    shell.expect("is not a port")


def test_files_are_completed(switch, shells, tmp_path):
    (tmp_path / "ports of [lab].yaml").write_text("ports: []\n")
    shell = shells(switch.control)
    shell.expect(PROMPT)
    shell.type(f"config apply {tmp_path}/po" + TAB + "dry_run\n")
    shell.expect("del +port +vm-alpha.*" + PROMPT)


def test_the_history_is_kept_for_its_owner(switch, shells, tmp_path):
    shell = shells(switch.control)
    shell.expect(PROMPT)
    shell.type("worker list\n")
    shell.expect("INDEX.*" + PROMPT)
    shell.type("exit\n")
    shell.end()
    assert stat.S_IMODE(history(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(history(tmp_path).parent.stat().st_mode) == 0o700
    shell = shells(switch.control)
    shell.expect(PROMPT)
    shell.type(UP + UP)
    shell.expect("worker list")
    shell.type("\n")
    shell.expect("INDEX.*" + PROMPT)
    shell.type("x" * 3000 + "\n")
    shell.expect("expected: .*" + PROMPT)
    for number in range(3):
        shell.type(f"version {'y' * 900}{number}\n")
        shell.expect("expected: .*" + PROMPT)
    text = history(tmp_path).read_text()
    assert "xxxx" not in text and "yyyy0" in text
    shell.close()
    with history(tmp_path).open("a") as file:
        file.writelines(f"help {number}\n" for number in range(3000))
    shell = shells(switch.control)
    shell.expect(PROMPT)
    shell.type("version\n")
    shell.expect(PROMPT)
    lines = history(tmp_path).read_text().splitlines()
    assert len(lines) < 1010 and lines[-1].startswith("version")
    assert os.listdir(history(tmp_path).parent) == ["history"]


def test_there_is_no_history_without_a_home_of_ones_own(switch, shells, tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    if os.geteuid() == 0:
        os.chown(foreign, 65534, 65534)
    for home in ("", "relative", str(tmp_path / "absent"), str(foreign) if os.geteuid() == 0 else ""):
        shell = shells(switch.control, HOME=home)
        shell.expect(PROMPT)
        shell.type("worker list\n")
        shell.expect("INDEX.*" + PROMPT)
        shell.type(UP + "\n")
        shell.expect("INDEX.*" + PROMPT)
    assert sorted(os.listdir(tmp_path)) == ["foreign", "home"]
    assert os.listdir(foreign) == os.listdir(tmp_path / "home") == []


def come_and_go(switch, name):
    """A port, which is seen by a monitor only after its subscription."""
    subprocess.run([CTL, "-s", switch.control, "port", "add", name, "exist_ok", "socket",
                    switch.control.parent / name], check=True, capture_output=True, timeout=10)
    subprocess.run([CTL, "-s", switch.control, "port", "del", name], check=True, timeout=10)
    return True


def test_ctrl_c_during_monitor_returns_to_the_prompt(switch, shells):
    shell = shells(switch.control)
    shell.expect(PROMPT)
    for name in ("m1", "m2"):
        shell.type("monitor\n")
        event = rf"\d\d:\d\d:\d\d\.\d{{3}} port.added port {name}\r\n"
        wait_for(lambda name=name, event=event: come_and_go(switch, name) and shell.shows(event), "event", 30)
        shell.expect(event)
        shell.type(CTRL_C)
        shell.expect(PROMPT)
    shell.type("port sh" + CTRL_C)
    shell.expect(PROMPT)
    shell.type("version\n")
    shell.expect(r"version +\d.*" + PROMPT)


def test_it_can_be_stopped_and_continued(switch, shells, tmp_path):
    """The shell that started it has changed the terminal meanwhile."""
    bash = Terminal(["bash", "--norc", "-i"], HOME=str(tmp_path), PS1="bash> ")
    try:
        bash.expect("bash> ")
        bash.type(f"{CTL} -s {switch.control}\n")
        bash.expect(PROMPT)
        bash.type("port sh" + TAB)
        bash.expect("ow ")  # so the input was read, which ctrl-Z would throw away
        bash.type(CTRL_Z)
        bash.expect("Stopped.*bash> ")
        bash.type("fg\n")
        bash.expect(PROMPT + "port show ")
        bash.type("vm-a" + TAB)
        bash.expect("lpha ")  # without a line's end
        bash.type("\n")
        bash.expect(r"name +vm-alpha\r\n.*" + PROMPT)
        bash.type("exit\n")
        bash.expect("bash> ")
    finally:
        bash.close()


def test_ctrl_c_ends_a_wait_for_an_answer(shells, tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "silent"))
    listener.listen()
    shell = shells(tmp_path / "silent")
    peer, _ = listener.accept()
    peer.recv(1000)
    shell.type(CTRL_C)
    shell.expect(r"interrupted; it is not known whether it did version\r\n.*" + PROMPT, 5)
    listener.close()


def test_a_lost_switch_is_one_line_and_the_next_command_connects(shells, tmp_path):
    fake = FakeSwitch(tmp_path / "fake", version={"result": {"version": "1st"}})
    shell = shells(fake.path)
    shell.expect("version +1st.*" + PROMPT)
    fake.hang_up()
    shell.type("version\n")
    shown = shell.expect("(vswitchctl: [^\r]*)\r\nversion +1st.*" + PROMPT)
    assert shown[1] == "vswitchctl: the switch had closed the connection; this is a new one"
    fake.close()
    fake.path.unlink()
    for _ in range(2):
        shell.type("version\n")
        shown = shell.expect("vswitchctl: .*?" + PROMPT)
        assert shown[0] == f"vswitchctl: no switch at {fake.path}: No such file or directory\r\n{PROMPT}"
    again = FakeSwitch(tmp_path / "fake", version={"result": {"version": "2nd"}})
    shell.type("version\n")
    assert "vswitchctl: " not in shell.expect("version +2nd.*?" + PROMPT)[0]
    shell.type("monitor\n")
    wait_for(lambda: "subscribe" in again.answered, "subscription")
    again.close()
    shown = shell.expect("vswitchctl: .*?" + PROMPT)
    assert shown[0] == f"vswitchctl: the switch at {fake.path} has gone: the connection has ended\r\n{PROMPT}"


def test_names_with_control_characters_are_not_offered(shells, tmp_path):
    names = ["a\x1b[31m", "a\u009b5m", "a\nb", "harmless"]
    entries = [{"name": name} for name in names]
    fake = FakeSwitch(tmp_path / "fake", port_list={"result": {"entries": entries, "next": None}})
    shell = shells(fake.path)
    shell.expect(PROMPT)
    shell.type("port show " + TAB)
    shown = shell.expect("harmless ")[0]
    assert not any(name in shown for name in names[:3])
    shell.type("\n")
    wait_for(lambda: "port.show" in fake.asked, "request")


def test_without_a_terminal_there_is_help(switch):
    done = subprocess.run([CTL, "-s", switch.control], capture_output=True, text=True, timeout=10, input="port list\n")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "usage: vswitchctl [-j] [-s SOCKET] [COMMAND]")


def test_a_build_without_libedit_says_so(tmp_path):
    shell = Terminal([load_reference_doc(ROOT).build(tmp_path)])
    assert shell.end().endswith("\r\nThis vswitchctl was built without libedit, so it has no shell.\r\n")
    assert shell.status == 0

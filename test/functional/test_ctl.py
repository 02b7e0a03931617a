# SPDX-License-Identifier: BSD-3-Clause
"""vswitchctl beside a running switch: tables, JSON, carets, statuses, completion."""

import json
import os
import re
import shutil
import socket
import subprocess
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from lab import ROOT, VSWITCHD, Lab, Switch

CTL = Path(VSWITCHD).resolve().parents[1] / "vswitchctl/vswitchctl"


@pytest.fixture(scope="module")
def switch():
    with Lab() as lab:
        yield Switch(lab, ["a.sock", "b.sock"], "--control", lab.dir / "control.sock")


def ctl(switch, *words, path=None):
    path = path or switch.paths[0].parent / "control.sock"
    return subprocess.run([CTL, "-s", path, *map(str, words)], capture_output=True, text=True, timeout=20)


def test_the_command_line_prints_tables(switch):
    done = ctl(switch, "port", "list")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["NAME", "INDEX", "UP"]
    assert [line.split()[0] for line in lines[1:]] == [str(path) for path in switch.paths]
    assert ctl(switch, "po", "li").stdout == done.stdout
    assert json.loads(ctl(switch, "-j", "port", "list").stdout)["entries"][0]["index"] == 0
    shown = ctl(switch, "switch", "show").stdout
    assert re.search(r"^ports +2$", shown, re.M)


@pytest.mark.parametrize("words, column, expected", (
    ("port lsit", 5, "one of add, del, set, list, show, stats; did you mean list?"),
    ("fdb list limit 3", 15, "a number from 16 to 4096"),
    ("fdb list prt x", 9, "did you mean port?"),
    ("port show", 10, "name of the port"),
    ("log set level lod", 14, "one of error, warning, info, debug"),
    ("prt", 0, "did you mean port?"),
    ("port s", 5, "expected: one of set, show, stats"),
    ("port add vm queue_pairs", 24, "a number from 1 to 128"),
    ("config apply", 13, "the configuration: a file in YAML or JSON"),
    ("monitor events port.pu", 15, "port.up"),
    ("shut", 0, "expected: shutdown, in full"),
    ("port add vm", 12, "expected: socket, then a path"),
    ("prt --help", 0, "did you mean port?"),
))
def test_a_caret_is_under_the_wrong_word(switch, words, column, expected):
    done = ctl(switch, *words.split())
    first, caret, last = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert first == f"vswitchctl: {words}"
    assert caret == " " * (len("vswitchctl: ") + column) + "^"
    assert last == expected if expected.startswith("expected: ") else expected in last and last.startswith("expected: ")


def test_refused_and_absent(switch):
    done = ctl(switch, "port", "show", "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'vswitchctl: port.show: name: "nowhere" is not a port; port.list names all ports\n'
    absent = switch.paths[0].parent / "absent"
    done = ctl(switch, "port", "list", path=absent)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"vswitchctl: no switch at {absent}: No such file or directory\n"


def start_without_answer(tmp_path, name, backlog, *words):
    """vswitchctl beside a socket that answers nothing."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / name))
    listener.listen(backlog)
    if backlog == 0:
        socket.socket(socket.AF_UNIX).connect(str(tmp_path / name))
    process = subprocess.Popen([CTL, "-s", tmp_path / name, *words], stderr=subprocess.PIPE, text=True)
    return listener, process


def test_no_answer(tmp_path):
    silent, waits = start_without_answer(tmp_path, "silent", 8, "port", "del", "vm")
    full, queues = start_without_answer(tmp_path, "full", 0, "port", "del", "vm")
    ends, asks = start_without_answer(tmp_path, "ends", 8, "port", "del", "vm")
    with ends.accept()[0] as peer:
        peer.recv(1000)
        peer.send(b'{"jsonrpc": "2.0"')
    unknown = "it is not known whether it did port.del\n"
    for process, expected in (
        (waits, f"no answer from the switch at {tmp_path}/silent: none came in time; {unknown}"),
        (queues, f"the switch at {tmp_path}/full does not answer\n"),
        (asks, f"no answer from the switch at {tmp_path}/ends: the connection has ended; {unknown}"),
    ):
        assert process.communicate(timeout=30)[1] == f"vswitchctl: {expected}"
        assert process.returncode == 4
    for listener in (silent, full, ends):
        listener.close()


def test_configuration_files(switch, tmp_path):
    file = tmp_path / "vswitchd.yaml"
    file.write_text(f"ports:\n  - name: vm7\n    socket: {switch.paths[0].parent}/vm7.sock\n")
    assert "add" in ctl(switch, "config", "diff", file).stdout
    assert ctl(switch, "config", "apply", file, "dry-run").returncode == 0
    assert ctl(switch, "config", "apply", file).returncode == 0
    assert ctl(switch, "port", "show", "vm7").returncode == 0
    file.write_text("ports: []\n")
    assert ctl(switch, "config", "apply", file).returncode == 0
    file.write_text("ports:\n  - name: vm7\n    sokcet: /x\n")
    done = ctl(switch, "config", "apply", file)
    assert (done.returncode, done.stderr) == (
        2, f'vswitchctl: {file}:3:5: port has no "sokcet"; did you mean socket?\n')
    done = ctl(switch, "config", "apply", tmp_path / "absent")
    assert (done.returncode, done.stderr) == (2, f"vswitchctl: {tmp_path}/absent: No such file or directory\n")
    assert ctl(switch, "config", "diff").returncode == 2


def test_what_a_new_user_tries(switch):
    """--help behind a command, help for an abbreviation, units; and the configuration is a file that can be applied."""
    usage = "usage: vswitchctl port del NAME [missing_ok]"
    for words in ("help port del", "help po de", "port del --help", "po de -h"):
        done = ctl(switch, *words.split())
        assert (done.returncode, done.stdout.splitlines()[0]) == (0, usage)
    assert "Commands:\n  port add NAME socket PATH [...]" in ctl(switch, "port", "--help").stdout
    assert re.search(r"busy +part of .*, in thousandths\n", ctl(switch, "help", "worker", "list").stdout)
    monitor = ctl(switch, "help", "monitor").stdout
    assert monitor.startswith("usage: vswitchctl monitor [events WORD,...]\n") and " port.added, port.removed," in monitor
    assert max(map(len, monitor.splitlines())) <= 100
    assert "NAME  name of the port\n" in ctl(switch, "help", "port", "add").stdout.replace(" " * 12, "")
    overview = ctl(switch, "help").stdout.splitlines()
    assert max(map(len, overview)) <= 100
    file = switch.paths[0].parent / "running.yaml"
    file.write_text(ctl(switch, "config", "get").stdout)
    done = ctl(switch, "config", "apply", file)
    assert (done.returncode, done.stderr) == (0, "")


def test_completion(switch):
    done = ctl(switch, "complete", "--", "port", "show", "")
    assert done.stdout.splitlines() == [str(path) for path in switch.paths]
    done = subprocess.run(["bash", "-c", 'source <("$0" completion bash); COMP_WORDS=(vswitchctl fdb l); COMP_CWORD=2;'
                           ' PATH="$(dirname "$0"):$PATH"; _vswitchctl; echo "${COMPREPLY[@]}"', CTL],
                          capture_output=True, text=True, timeout=20)
    assert done.stdout == "list\n"
    assert ctl(switch, "complete", "--", "-j", "-s", switch.paths[0].parent / "control.sock", "port", "show",
               "").stdout.splitlines() == [str(path) for path in switch.paths]
    assert ctl(switch, "complete", "monitor", "events", "port.up,port.a").stdout == "port.up,port.added\n"
    assert "list" in ctl(switch, "complete", "help", "fdb", "").stdout.splitlines()


def test_bash_gets_names_that_it_cannot_run(switch):
    name = "$(touch /tmp/evil) *"
    assert ctl(switch, "port", "add", name, "socket", switch.paths[0].parent / "evil.sock").returncode == 0
    done = subprocess.run(["bash", "-c", 'source <("$0" completion bash); COMP_WORDS=(vswitchctl port show \'$(to\'); '
                           'COMP_CWORD=3; PATH="$(dirname "$0"):$PATH"; _vswitchctl; printf "%s\n" "${COMPREPLY[@]}"; '
                           'eval "printf %s ${COMPREPLY[0]}"', CTL], capture_output=True, text=True, timeout=20,
                          env={**os.environ, "VSWITCH_CONTROL": str(switch.paths[0].parent / "control.sock")})
    assert done.stdout.splitlines()[1:] == [name]
    assert ctl(switch, "port", "del", name).returncode == 0


def test_reference_and_manual_are_what_the_tables_say():
    assert subprocess.run([ROOT / "scripts/reference-doc", "--check"], timeout=60).returncode == 0


def load_reference_doc(root):
    """scripts/reference-doc as a module: it can build vswitchctl."""
    loader = SourceFileLoader("reference_doc", str(root / "scripts/reference-doc"))
    document = ModuleType(loader.name)
    document.__file__ = loader.path
    loader.exec_module(document)
    return document


def test_help_uses_no_memory_of_functions_that_have_returned(tmp_path):
    program = load_reference_doc(ROOT).build(tmp_path, "-fsanitize=address")
    done = subprocess.run([program, "help", "fd"], capture_output=True, text=True, timeout=20,
                          env={**os.environ, "ASAN_OPTIONS": "detect_stack_use_after_return=1"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "  fdb list [...]" in done.stdout


DUMMY = '    {.name = "dummy", .type = SCHEMA_UINT, .min = 3, .max = 7, .about = "field of a test"},\n'


def add_row(table, before, row):
    """Put a row behind the only place in a table that has this text."""
    head, begin, tail = table.read_text().partition(before)
    assert begin and before not in tail
    table.write_text(head + begin + row + tail)


def test_a_new_field_is_everywhere(tmp_path):
    """One row of the table is all that a field takes, of a method and of an object."""
    for part in ("app/vswitchctl", "lib/base", "lib/manage", "scripts", "doc"):
        shutil.copytree(ROOT / part, tmp_path / part)
    check = [tmp_path / "scripts/reference-doc", "--check"]
    assert subprocess.run(check, timeout=60).returncode == 0
    add_row(tmp_path / "lib/manage/schema_methods.c", "fdb_list_params[] = {\n", DUMMY)
    add_row(tmp_path / "lib/manage/schema_table.c", "port_fields[] = {\n    PORT_NAME,\n", DUMMY)
    stale = subprocess.run(check, timeout=60, capture_output=True, text=True)
    assert stale.returncode == 1
    assert "doc/reference.md is out of date" in stale.stdout and "doc/vswitchctl.8 is out of date" in stale.stdout
    document = load_reference_doc(tmp_path)
    program = document.build(tmp_path)

    def run(*words):
        return subprocess.run([program, "-s", tmp_path / "absent", *words], capture_output=True, text=True, timeout=20)

    schema = json.loads(run("describe").stdout)
    reference, manual = list(document.markdown(schema)), "\n".join(document.manual(schema))
    assert reference.count("| `dummy` | 3 to 7 |  | field of a test |") == 4  # three methods and the object
    for method, words in (("fdb.list", []), ("port.add", ["vm", "socket", "/vm"])):
        assert re.search(r"\[dummy NUMBER\].*dummy +field of a test\n +\(a number from 3 to 7\)",
                         run("help", *method.split(".")).stdout, re.S)
        assert "dummy" in run("complete", "--", *method.split("."), *words, "").stdout.split()
        field = schema["methods"][method]["params"]["properties"]["dummy"]
        assert (field["minimum"], field["maximum"], field["description"]) == (3, 7, "field of a test")
        refused = run(*method.split("."), *words, "dummy", "8")
        assert (refused.returncode, refused.stderr.splitlines()[-1]) == (2, "expected: a number from 3 to 7")
        assert run(*method.split("."), *words, "dummy", "7").returncode == 3
    assert manual.count("\n\\fBdummy\\fR\nfield of a test.\n") == 3
    file = tmp_path / "ports.yaml"
    for value, status, said in (("7", 3, "no switch at"), ("8", 2, f"{file}:4:12: dummy: .* is not a number from 3 to 7")):
        file.write_text(f"ports:\n  - name: vm\n    socket: /vm\n    dummy: {value}\n")
        done = run("config", "apply", file)
        assert done.returncode == status and re.search(said, done.stderr), done.stderr

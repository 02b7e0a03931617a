# SPDX-License-Identifier: BSD-3-Clause
"""The file of --config: at the start, read again on SIGHUP, written by config.save, and 200 ways to be wrong."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab import ROOT, VSWITCHD, Lab, Process, Switch, dropped, wait_for
from raw_client import answer_of, ask

sys.path.insert(0, str(ROOT / "python"))

import vswitch  # noqa: E402

PKTGEN = Path(VSWITCHD).resolve().parents[1] / "pktgen/vswitch-pktgen"


class Setting:
    """A directory with a file, and perhaps a switch that has read it."""

    def __init__(self, lab, text=None):
        self.lab = lab
        self.control = lab.dir / "control.sock"
        self.file = lab.dir / "vswitchd.yaml"
        self.write(text if text is not None else self.ports("vm1", "vm2"))

    def ports(self, *names, more=""):
        return "ports:\n" + "".join(f"  - name: {name}\n    socket: {self.lab.dir}/{name}.sock\n{more}" for name in names)

    def write(self, text):
        """As an editor does: a new file takes the place of the old one."""
        new = self.file.with_suffix(".new")
        new.write_bytes(text.encode() if isinstance(text, str) else text)
        new.rename(self.file)

    def start(self, *options, ports=(), **more):
        self.switch = Switch(self.lab, ports, "--control", self.control, "--config", self.file, *options, **more)
        return self.switch

    def client(self):
        return vswitch.Client(self.control)

    def names(self):
        with self.client() as client:
            return [port["name"] for port in client.list("port.list")]

    def reload(self):
        """Returns the lines of the log that it causes; the last one tells how it went."""
        before = len(self.switch.err())
        self.switch.signal(signal.SIGHUP)
        wait_for(lambda: re.search("read again|configuration stays", self.switch.err()[before:]), "line of the log")
        return [line for line in self.switch.err()[before:].splitlines() if "control socket" not in line]


@pytest.fixture
def setting(lab):
    return Setting(lab)


def test_the_ports_of_the_file_are_there_at_the_start(setting):
    setting.write(setting.ports("vm1") + f"  - {{name: vm2, socket: {setting.lab.dir}/vm2.sock, queue_pairs: 3}}\n")
    switch = setting.start(ports=["a.sock"])
    assert "ready: 3 ports" in switch.err()
    assert setting.names() == [str(switch.paths[0]), "vm1", "vm2"]
    assert stat.S_ISSOCK((setting.lab.dir / "vm2.sock").stat().st_mode)
    with setting.client() as client:
        assert client.call("port.show", name="vm2")["queue_pairs"] == 3


def test_a_file_in_json_and_a_relative_path(setting):
    setting.file = setting.lab.dir / "vswitchd.json"
    setting.write(json.dumps({"ports": [{"name": "vm1", "socket": f"{setting.lab.dir}/vm1.sock", "client": False}]}, indent="\t"))
    switch = Switch(setting.lab, [], "--control", "control.sock", "--config", "vswitchd.json", cwd=setting.lab.dir)
    assert "ready: 1 ports" in switch.err()
    switch.signal(signal.SIGHUP)
    wait_for(lambda: f"{setting.file}: read again: nothing differs" in switch.err(), "line of the log")


def test_a_switch_without_a_control_socket_reads_its_file_again(setting):
    switch = setting.switch = Switch(setting.lab, [], "--config", setting.file, env={**os.environ, "RUNTIME_DIRECTORY": "/nowhere"})
    assert "no control socket" in switch.err()
    setting.write(setting.ports("vm1", "vm3"))
    assert setting.reload()[-1].endswith("read again: 2 ports have changed")
    assert (setting.lab.dir / "vm3.sock").exists() and not (setting.lab.dir / "vm2.sock").exists()


def test_reading_it_again_carries_out_the_difference(setting):
    switch = setting.start(ports=["a.sock"])
    given = str(switch.paths[0])
    with setting.client() as client:
        first = client.call("port.show", name="vm1")["index"]
        setting.write(setting.ports("vm1", "vm3"))
        lines = setting.reload()
        assert lines[-1] == f"vswitchd: info: {setting.file}: read again: 2 ports have changed"
        assert sorted(setting.names()) == sorted([given, "vm1", "vm3"])
        assert client.call("port.show", name="vm1")["index"] == first
        assert setting.reload() == [f"vswitchd: info: {setting.file}: read again: nothing differs"]
        setting.write("ports: []\n")
        setting.reload()
        assert setting.names() == [given], "ports of the command line stay"


def test_clients_are_told_that_a_configuration_was_applied(setting):
    setting.write(setting.ports("vm1"))
    setting.start()

    def told(watcher):
        event = watcher.receive()["params"]
        return event["event"], event["ports"], event["bridges"]

    with setting.client() as client, setting.client() as watcher:
        watcher.call("subscribe", events=["config.applied"])
        watcher.socket.settimeout(10)
        config = client.call("config.get")
        wanted = {**config, "bridges": [{"name": "red"}], "ports": [*config["ports"], {"name": "vm2"}]}
        wanted["ports"][-1]["socket"] = f"{setting.lab.dir}/vm2.sock"
        client.call("config.apply", config=wanted, dry_run=True)
        with pytest.raises(vswitch.Error):
            client.call("config.apply", config={"ports": [{"name": "x", "socket": "/nowhere/x.sock"}]})
        client.call("config.diff", config=wanted)
        client.call("config.apply", config=wanted)
        assert told(watcher) == ("config.applied", 1, 1), "the others have changed nothing"
        setting.switch.signal(signal.SIGHUP)
        assert told(watcher) == ("config.applied", 1, 1)
        client.call("config.apply", config=config)
        assert told(watcher) == ("config.applied", 0, 0)


def test_a_wrong_file_changes_nothing_and_is_told_in_one_line(setting):
    setting.start()
    for text, line in (
        (setting.ports("vm1", "vm3") + "    sokcet: x\n", f'{setting.file}:6:5: port has no "sokcet"; did you mean socket?'),
        (setting.ports("vm3").replace(f"{setting.lab.dir}/", "/nowhere/"), f"{setting.file}:3:13: /nowhere/vm3.sock: cannot"),
        (setting.ports("vm3", "vm3"), f'{setting.file}:4:11: name: "vm3" is not there once'),
    ):
        setting.write(text)
        (told,) = setting.reload()
        assert told.startswith(f"vswitchd: error: {line}") and told.endswith("; the running configuration stays")
        assert setting.names() == ["vm1", "vm2"]
    setting.file.unlink()
    assert setting.reload() == [f"vswitchd: error: {setting.file}: No such file or directory; the running configuration stays"]
    setting.write(setting.ports("vm2"))
    setting.reload()
    assert setting.names() == ["vm2"]


def test_sighup_without_a_file_is_ignored(lab):
    switch = Switch(lab, ["a.sock"])
    before = switch.err()
    switch.signal(signal.SIGHUP)
    time.sleep(0.5)
    assert switch.alive() and switch.err() == before


@pytest.mark.alone
def test_ports_that_stay_lose_no_frame(setting):
    setting.start()
    ports = [word for name in ("vm1", "vm2") for word in ("--port", f"{setting.lab.dir}/{name}.sock")]
    guests = Process(setting.lab, "pktgen", [PKTGEN, "--no-huge", *ports, "--rate", "4k", "--ring-size", 4096, "--duration", 6,
                                        "--json", setting.lab.dir / "result.json"])
    with setting.client() as client, setting.client() as watcher:
        wait_for(lambda: client.call("switch.show")["ports_up"] == 2, "guests", 15)
        watcher.call("subscribe", events=["port.down", "port.removed"])
        reloads = 0
        while guests.alive() and reloads < 12:
            setting.write(setting.ports("vm1", "vm2", *[f"n{reloads}_{number}" for number in range(20)]))
            assert setting.reload()[-1].endswith("have changed")
            reloads += 1
        assert guests.alive() and reloads == 12, "all while frames flow"
        guests.wait(30)  # its status also judges how evenly it could send
        stats = setting.switch.quiet_stats()
        removed = [watcher.receive()["params"] for _ in range(11 * 20)]
    assert {event["event"] for event in removed} == {"port.removed"}
    assert not {"vm1", "vm2"} & {event["port"] for event in removed}
    assert dropped({"ports": [port for port in stats["ports"] if port["name"] in ("vm1", "vm2")]}) == {}
    result = json.loads((setting.lab.dir / "result.json").read_text())
    assert result["received"] == result["sent"] > 10000 and result["lost"] == 0


def test_other_changes_wait_for_a_file_that_is_being_applied(setting):
    """And are carried out in order; what only reads does not wait."""
    setting.start()
    names = [f"n{number}" for number in range(1000)]  # takes long, even if this test gets no CPU for a while
    setting.write(setting.ports(*names))
    with setting.client() as client, setting.client() as watcher:
        watcher.call("subscribe", events=["port.added"])
        setting.switch.signal(signal.SIGHUP)
        assert watcher.receive()["params"]["port"] == "n0"
        late, asked = [f"late{number}" for number in range(10)], [
            ask(setting.control, "port.set", name=names[-1], isolated=True),
            ask(setting.control, "fdb.add", mac="52:54:00:00:00:01", port=names[-1]),
            ask(setting.control, "bridge.set", name="default", drop_unknown=False),
        ]
        for name in late:
            asked.append(ask(setting.control, "port.add", name=name, socket=f"{setting.lab.dir}/{name}.sock"))
            time.sleep(0.002)
        added = [watcher.receive()["params"]["port"] for _ in [*names[1:], *late]]
    assert added[:len(names) - 1] == names[1:] and sorted(added[len(names) - 1:]) == late
    assert sorted(setting.names()) == sorted(names + late)
    assert all("result" in answer_of(raw) for raw in asked)


SLOW_DISK = """
#include <sys/stat.h>
#include <unistd.h>
int fsync(int fd)
{
	struct stat st;
	while (stat("GO", &st) < 0)
		usleep(10000);
	return 0;
}
"""


def start_with_slow_disk(setting, *options):
    """A switch whose files are not written before the file that is returned exists."""
    source, library, go = (setting.lab.dir / name for name in ("slow.c", "slow.so", "go"))
    source.write_text(SLOW_DISK.replace("GO", str(go)))
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    setting.start("--no-sandbox", *options, env={**os.environ, "LD_PRELOAD": str(library)})
    return go


def test_only_the_file_waits_for_a_slow_disk(setting):
    go = start_with_slow_disk(setting)
    saves = [ask(setting.control, "config.save"), ask(setting.control, "config.save")]
    time.sleep(0.3)
    before = len(setting.switch.err())
    setting.switch.signal(signal.SIGHUP)
    with setting.client() as client:
        client.call("port.add", name="vm3", socket=f"{setting.lab.dir}/vm3.sock")
        config = client.call("config.get")
        config["ports"].append({"name": "vm4", "socket": f"{setting.lab.dir}/vm4.sock"})
        assert [entry["name"] for entry in client.call("config.apply", config=config)["entries"]] == ["vm4"]
        client.call("port.del", name="vm2")
    assert setting.names() == ["vm1", "vm3", "vm4"]
    assert "read again" not in setting.switch.err()[before:]
    for save in saves:
        save.setblocking(False)
        with pytest.raises(BlockingIOError):
            save.recv(1)
        save.settimeout(10)
    go.touch()
    assert [answer_of(save)["result"] for save in saves] == [{}, {}]
    wait_for(lambda: "read again" in setting.switch.err()[before:], "line of the log")


@pytest.mark.parametrize("slow_disk", (False, True))
def test_a_switch_ends_while_requests_wait(setting, slow_disk):
    if slow_disk:
        start_with_slow_disk(setting)
        ask(setting.control, "config.save")
    else:
        setting.start()
    ports = [{"name": f"n{number}", "socket": f"{setting.lab.dir}/n{number}.sock"} for number in range(1000)]
    asked = [ask(setting.control, "config.apply", config={"ports": ports}), ask(setting.control, "config.save"),
             ask(setting.control, "port.del", name="vm1")]
    time.sleep(0.2)
    setting.switch.signal(signal.SIGTERM)
    assert setting.switch.wait(10) == 0
    assert len(asked) == 3


def test_save_restart_and_get_is_the_identity(setting):
    setting.write(setting.ports("vm1", more="    # a comment\n    queue_pairs: 2\n"))
    setting.file.chmod(0o640)
    switch = setting.start(ports=["a.sock"])
    strange = "no: \"a\" #\\ \u00e4\u2028\U0001f600"
    with setting.client() as client:
        client.call("port.add", name=strange, socket=f"{setting.lab.dir}/strange.sock", offer="dpdk-22.11", client=True,
                    max_mtu=1500, iommu=True, guest_memory="any")
        client.call("port.add", name="true", socket=f"{setting.lab.dir}/010.sock")
        before = client.call("config.get")
        assert client.call("config.save") == {}
        assert stat.S_IMODE(setting.file.stat().st_mode) == 0o640
        assert client.call("config.save") == {}, "and again"
    assert setting.reload()[-1].endswith("nothing differs")
    switch.stop()
    setting.start(ports=["a.sock"])
    with setting.client() as client:
        assert sorted(client.call("config.get")["ports"], key=str) == sorted(before["ports"], key=str)
        assert {"name": strange, "socket": f"{setting.lab.dir}/strange.sock"}.items() <= client.call(
            "port.show", name=strange).items()
    assert [path.name for path in setting.lab.dir.glob("vswitchd.yaml*")] == ["vswitchd.yaml"], "nothing is left behind"


SLOW = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
int fsync(int fd) { (void)fd; if (write(2, "slow fsync\\n", 11)) sleep(60); return 0; }
int open64(const char *path, int flags, ...)
{
	int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
	va_list args;
	va_start(args, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	if ((flags & O_TMPFILE) == O_TMPFILE && getenv("NO_TMPFILE")) { errno = EOPNOTSUPP; return -1; }
	return real(path, flags, mode);
}
int open(const char *path, int flags, ...)
{
	va_list args;
	va_start(args, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	return open64(path, flags, mode);
}
"""


def has_files_without_a_name(directory):
    try:
        os.close(os.open(directory, os.O_TMPFILE | os.O_WRONLY))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("unnamed", (True, False), ids=("unnamed", "named"))
def test_a_switch_that_ends_while_it_saves_keeps_the_file(setting, unnamed):
    library = setting.lab.dir / "slow.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-xc", "-", "-o", library], input=SLOW, text=True, check=True)
    before, saving = setting.file.read_text(), f"{setting.file.name}.saving"
    environment = {**os.environ, "LD_PRELOAD": str(library), **({} if unnamed else {"NO_TMPFILE": "1"})}
    switch = setting.start("--no-sandbox", env=environment)
    with setting.client() as client:
        client.send(client.request("config.save", {}))
        wait_for(lambda: "slow fsync" in switch.err(), "fsync")
        left = not unnamed or not has_files_without_a_name(setting.lab.dir)
        files = [setting.file.name, *([saving] if left else [])]
        assert sorted(path.name for path in setting.lab.dir.glob("vswitchd.yaml*")) == files
        switch.signal(signal.SIGKILL)
        wait_for(lambda: not switch.alive(), "end")
    assert setting.file.read_text() == before
    assert sorted(path.name for path in setting.lab.dir.glob("vswitchd.yaml*")) == files
    setting.lab.renew()


@pytest.mark.parametrize("left", ("nothing", "a file that was left"))
def test_a_save_leaves_nothing_behind(setting, left):
    setting.start()
    saving = Path(f"{setting.file}.saving")
    if left != "nothing":
        saving.write_text("half of a fi")
    with setting.client() as client:
        assert client.call("config.save") == {}
    assert not saving.exists() and "half" not in setting.file.read_text()
    assert setting.reload()[-1].endswith("nothing differs")


def test_save_without_a_file_or_beside_one_that_must_stay(lab):
    control = lab.dir / "control.sock"
    Switch(lab, ["a.sock"], "--control", control)
    with vswitch.Client(control) as client, pytest.raises(vswitch.Error, match="without --config") as caught:
        client.call("config.save")
    assert caught.value.code == -32003
    lab.renew()
    setting = Setting(lab)
    setting.start()
    aside = lab.dir / "real.yaml"
    setting.file.rename(aside)
    setting.file.symlink_to(aside)
    text = aside.read_text()
    with setting.client() as client:
        with pytest.raises(vswitch.Error, match="it is a link"):
            client.call("config.save")
        assert setting.file.is_symlink() and aside.read_text() == text
        setting.file.unlink()
        setting.file.mkdir()
        with pytest.raises(vswitch.Error, match="not a regular file"):
            client.call("config.save")
        assert "vm1" in setting.names(), "and it goes on"


def test_a_file_that_cannot_be_read_again_is_told_at_the_start(setting):
    """It needs root, and so does the sandbox to have something to give up."""
    os.chown(setting.file, 65534, 65534)
    setting.file.chmod(0o600)
    switch = setting.start()
    assert switch.err().count(f"{setting.file}: SIGHUP will not be able to read it again: Permission denied") == 1
    assert setting.reload()[-1].endswith("Permission denied; the running configuration stays")
    assert setting.names() == ["vm1", "vm2"]


# Two lines of the file are in front of the first port.
VALID = """# Two machines
ports:
  - name: vm1
    socket: {dir}/vm1.sock
    queue_pairs: 4
    max_mtu: 9000
    offer: all,-ring_packed
    iommu: false
    guest_memory: shared
  - name: vm2
    socket: {dir}/vm2.sock
    client: no
    inband: "off"
"""


def mutations(text):
    """(what, wrong text, the lines in which the fault may be found, words of the message)."""
    lines = text.splitlines()

    def replaced(number, *new):
        return "\n".join([*lines[:number], *new, *lines[number + 1:]]) + "\n"

    for number, line in enumerate(lines):
        match = re.match(r"([ -]+)([a-z_]+): (.*)$", line)
        if not match:
            continue
        indent, key, value = match.groups()
        at = {number + 1}
        near = {*at, number, number + 2}
        plain = indent.replace("-", " ")
        # Names.
        yield f"{key} doubled letter", replaced(number, f"{indent}{key}{key[-1]}: {value}"), at, f"did you mean {key}"
        yield f"{key} short", replaced(number, f"{indent}{key[:-1]}: {value}"), at, f"did you mean {key}"
        yield f"{key} swapped", replaced(number, f"{indent}{key[1]}{key[0]}{key[2:]}: {value}"), at, f"did you mean {key}"
        yield f"{key} strange", replaced(number, f"{indent}x{number}zzzzzzzz: {value}"), at, "port has no"
        yield f"{key} twice", replaced(number, line, f"{plain}{key}: {value}"), {number + 2}, f"{key} is there twice"
        yield f"{key} read only", replaced(number, line, f"{plain}index: 3"), {number + 2}, 'port has no "index"'
        # Types.
        yield f"{key} list", replaced(number, f"{indent}{key}: [1]"), at, f"{key}: here must be"
        yield f"{key} object", replaced(number, f"{indent}{key}: {{a: b}}"), at, f"{key}: here must be"
        yield f"{key} control", replaced(number, f'{indent}{key}: "a\\tb"'), at, key
        # What YAML has and we do not.
        yield f"{key} anchor", replaced(number, f"{indent}{key}: &here {value}"), at, "anchors"
        yield f"{key} alias", replaced(number, f"{indent}{key}: *here"), at, "anchors"
        yield f"{key} tag", replaced(number, f"{indent}{key}: !!str {value}"), at, "anchors"
        yield f"{key} merge", replaced(number, line, f"{plain}<<: {{}}"), {number + 2}, "port has no"
        # Indentation, quotes, brackets, bytes.
        yield f"{key} to the left", replaced(number, line[1:]), near, ""
        yield f"{key} to the right", replaced(number, " " + line), near, ""
        yield f"{key} tab", replaced(number, "\t" + line.lstrip()), at, "not with tabs"
        yield f"{key} quote", replaced(number, f'{indent}{key}: "{value.strip(chr(34))}'), range(at.copy().pop(), 20), ""
        yield f"{key} bracket", replaced(number, f"{indent}{key}: [{value}"), range(at.copy().pop(), 20), ""
        yield f"{key} byte", replaced(number, line + "\x00"), at, ""
        yield f"{key} no colon", replaced(number, f"{indent}{key} {value}"), near, ""
        if key in ("queue_pairs", "max_mtu"):
            for wrong in ("0", "-1", "1.5", "many", "65536", "0x10", "99999999999999999999", "~", "1e3", '""'):
                yield f"{key} {wrong}", replaced(number, f"{indent}{key}: {wrong}"), at, "is not a number"
        if key in ("iommu", "client", "inband"):
            for wrong in ("maybe", "1", "True", "~"):
                yield f"{key} {wrong}", replaced(number, f"{indent}{key}: {wrong}"), at, "is not true or false"
    yield "word", text.replace(": shared", ": share"), {9}, "is not one of shared, any"
    yield "relative", text.replace("/vm1.sock", "vm1.sock").replace("socket: /", "socket: ", 1), {4}, "begins with /"
    yield "top name", text.replace("ports:", "port:"), {2}, "did you mean ports"
    yield "top value", "ports: 3\n", {1}, "must be a list"
    yield "top list", "- name: vm1\n", {1}, "names with values"
    yield "top text", "vm1\n", {1}, "names with values"
    yield "twice", text + "ports: []\n", {14}, "ports is there twice"
    yield "two documents", text + "---\nports: []\n", {14}, "second document"
    yield "part", "ports: [vm1]\n", {1}, "ports: here must be"
    yield "deep", "ports: " + "[" * 5000, {1}, ""
    yield "deep object", "ports: [" + "{name: " * 2000, {1}, ""
    yield "large", text + "#" * (1 << 20), {1}, "more than 1048576 bytes"
    yield "directive", "%TAG ! tag:x,2000:\n---\n" + text.replace("name: vm1", "name: !x vm1"), range(1, 20), ""
    yield "bytes", b"ports:\n  - name: vm\xff\n", {2}, "UTF-8"
    yield "utf-16", "ports:\n".encode("utf-16"), range(1, 20), ""


def late_mutations(text):
    """What only the comparison with the switch can find."""
    yield "no name", text.replace("- name: vm2\n    socket", "- socket"), {10}, "name is missing"
    yield "no socket", re.sub("    socket: .*vm2.sock\n", "", text), {10}, "socket is missing"
    yield "same name", text.replace("vm2\n", "vm1\n"), {10}, "is not there once"
    yield "same socket", text.replace("vm2.sock", "vm1.sock"), {11}, "the port vm1 of the configuration has it"
    yield "feature", text.replace("-ring_packed", "-packed"), {7}, 'there is no feature "packed"'
    yield "directory", text.replace("/vm2.sock", "/no/where/vm2.sock"), {11}, "there is no directory"
    yield "long path", text.replace("/vm2.sock", "/" + "x" * 120), {11}, "too long"
    yield "control socket", text.replace("/vm2.sock", "/control.sock"), {11}, "listens there itself"


def assert_told(setting, lines, what, where, words):
    """Exactly one line, which names the file, a line and a column."""
    assert len(lines) == 1, (what, lines)
    match = re.fullmatch(rf"vswitchd: error: {re.escape(str(setting.file))}:(\d+):(\d+): (.+)", lines[0])
    assert match, (what, lines)
    assert int(match[1]) in where and int(match[2]) > 0, (what, lines)
    assert words in match[3], (what, lines)


def write_exactly(setting, text):
    setting.file.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_the_file_that_is_mutated_is_right(setting):
    setting.write(VALID.format(dir=setting.lab.dir))
    setting.start()
    assert setting.names() == ["vm1", "vm2"]


def test_two_hundred_wrong_files_end_the_start_with_one_line(setting):
    seen = set()
    for what, text, where, words in mutations(VALID.format(dir=setting.lab.dir)):
        write_exactly(setting, text)
        done = subprocess.run([VSWITCHD, "--no-huge", "--config", setting.file], capture_output=True, text=True, timeout=20)
        assert (done.returncode, done.stdout) == (1, ""), (what, done.stderr)
        assert_told(setting, done.stderr.splitlines(), what, where, words)
        seen.add(what)
    assert len(seen) >= 200


def test_wrong_files_that_only_the_switch_finds(setting):
    for what, text, where, words in late_mutations(VALID.format(dir=setting.lab.dir)):
        write_exactly(setting, text)
        done = subprocess.run([VSWITCHD, "--no-huge", "--control", setting.control, "--config", setting.file],
                              capture_output=True, text=True, timeout=20)
        assert (done.returncode, done.stdout) == (1, ""), (what, done.stderr)
        assert_told(setting, done.stderr.splitlines(), what, where, words)
        assert not list(setting.lab.dir.glob("*.sock")), "no socket is left behind"


def test_none_of_the_wrong_files_changes_a_running_switch(setting):
    text = VALID.format(dir=setting.lab.dir)
    setting.write(text)
    setting.start()
    with setting.client() as client:
        before = client.call("config.get")
        for what, wrong, where, words in [*mutations(text), *late_mutations(text)]:
            write_exactly(setting, wrong)
            # A port that had to be replaced has been removed, and has come back.
            lines = [line for line in setting.reload() if "the port is removed" not in line]
            lines = [line.removesuffix("; the running configuration stays") for line in lines]
            assert_told(setting, lines, what, where, words)
        assert client.call("config.get") == before


@pytest.mark.parametrize("kind", ("directory", "pipe", "device", "absent", "unreadable"))
def test_what_is_no_file(setting, kind):
    setting.file.unlink()
    if kind == "directory":
        setting.file.mkdir()
    elif kind == "pipe":
        os.mkfifo(setting.file)
    elif kind == "device":
        setting.file = Path("/dev/null")
    done = subprocess.run([VSWITCHD, "--config", setting.file if kind != "unreadable" else "/proc/self/mem"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert ("No such file" if kind == "absent" else "Input/output error" if kind == "unreadable" else "regular") in done.stderr

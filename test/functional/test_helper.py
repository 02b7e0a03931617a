# SPDX-License-Identifier: BSD-3-Clause
"""The helper process inside its sandbox: sockets in directories that the switch may not enter. Needs root."""

import os
import pwd
import signal
import socket
import stat
import sys
import time
from pathlib import Path

import pytest

from lab import ROOT, Lab, Switch, wait_for

sys.path.insert(0, str(ROOT / "python"))

import vswitch  # noqa: E402

NOBODY = pwd.getpwnam("nobody").pw_uid


class Setting:
    """A switch, and a directory of another user in which it may add sockets."""

    def __init__(self, lab, *options):
        self.dir = lab.dir / "others"
        self.dir.mkdir(mode=0o700)
        os.chown(self.dir, NOBODY, NOBODY)
        self.control = lab.dir / "control.sock"
        self.switch = Switch(
            lab, ["a.sock", "others/first.sock"], "--control", self.control, "--socket-directory", self.dir,
            "--config", self.file(), *options,
        )

    def file(self, name=None, path=None):
        """Clients may not use other directories at all; the file may ask the helper for them."""
        file = self.control.with_name("vswitchd.yaml")
        file.write_text(f"ports: [{{name: {name}, socket: {path}}}]\n" if name else "")
        return file

    def children(self):
        text = Path(f"/proc/{self.switch.pid}/task/{self.switch.pid}/children").read_text()
        return {Path(f"/proc/{pid}/comm").read_text().strip(): int(pid) for pid in text.split()}

    def add(self, name="new", path=None, **more):
        with vswitch.Client(self.control) as client:
            return client.call("port.add", name=name, socket=str(path or self.dir / f"{name}.sock"), **more)

    def remove(self, name="new"):
        with vswitch.Client(self.control) as client:
            client.call("port.del", name=name)


@pytest.fixture
def lab():
    with Lab() as lab:
        yield lab


@pytest.fixture
def setting(lab):
    return Setting(lab)


def test_it_adds_and_removes_sockets_in_a_directory_of_another_user(setting):
    for _ in range(2):
        setting.add()
        assert stat.S_ISSOCK((setting.dir / "new.sock").stat().st_mode)
        setting.remove()
        assert not (setting.dir / "new.sock").exists()


def test_it_gives_a_socket_the_owner_and_mode_of_the_command_line(lab):
    setting = Setting(lab, "--socket-owner", "nobody", "--socket-mode", "0604")
    setting.add()
    found = (setting.dir / "new.sock").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (NOBODY, 0o604)


def test_it_removes_the_socket_of_a_port_from_the_start(setting):
    setting.remove(str(setting.dir / "first.sock"))
    assert not (setting.dir / "first.sock").exists()


def test_it_replaces_a_stale_socket_and_the_switch_tells_it(setting):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(setting.dir / "new.sock"))
    setting.add()
    wait_for(lambda: f"{setting.dir}/new.sock: removed a stale socket" in setting.switch.err(), "line in the log")


def test_it_leaves_sockets_that_are_in_use_and_other_files(setting):
    (setting.dir / "file").write_text("")
    with pytest.raises(vswitch.Error, match=f"{setting.dir}/file: .*not a socket"):
        setting.add(path=setting.dir / "file")
    with socket.socket(socket.AF_UNIX) as used:
        used.bind(str(setting.dir / "new.sock"))
        used.listen()
        with pytest.raises(vswitch.Error, match="another process is listening"):
            setting.add()
    assert {"file", "new.sock"} < {path.name for path in setting.dir.iterdir()}


def test_a_client_added_later_reaches_a_socket_of_another_user(setting):
    with socket.socket(socket.AF_UNIX) as front_end:
        front_end.bind(str(setting.dir / "new.sock"))
        front_end.listen()
        front_end.settimeout(5)
        setting.add(client=True)
        front_end.accept()[0].close()
    assert "vswitchd-help" in setting.children()


def test_at_the_end_it_removes_what_it_made(setting):
    setting.add()
    setting.switch.signal(signal.SIGKILL)
    wait_for(lambda: not (setting.dir / "new.sock").exists(), "removal of the socket")


def test_a_helper_that_hangs_delays_one_request(setting):
    for i in range(5):
        setting.add(f"p{i}")
    helper = setting.children()["vswitchd-help"]
    os.kill(helper, signal.SIGSTOP)
    start = time.monotonic()
    for i in range(5):
        setting.remove(f"p{i}")
    with pytest.raises(vswitch.Error, match="it does not answer"):
        setting.add()
    assert time.monotonic() - start < 2
    os.kill(helper, signal.SIGCONT)
    wait_for(lambda: not list(setting.dir.glob("p?.sock")), "removal of the sockets")
    setting.add()


def test_its_death_is_told_at_once_and_leaves_no_zombie(setting):
    os.kill(setting.children()["vswitchd-help"], signal.SIGKILL)
    wait_for(lambda: "the helper process, vswitchd-help, has ended" in setting.switch.err(), "line in the log")
    wait_for(lambda: "vswitchd-help" not in setting.children(), "end of the zombie")
    with pytest.raises(vswitch.Error, match="Permission denied"):
        setting.add()


def make_deep(top, levels):
    """Directories whose path is longer than any call takes. Returns a descriptor of the last one."""
    fd = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d" * 250, dir_fd=fd)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    return fd


def test_links_to_a_directory_whose_path_is_too_long_do_not_end_it(setting):
    middle = "/".join(["d" * 250] * 12)
    os.close(make_deep(setting.dir, 20))
    top = os.open(setting.dir / middle, os.O_RDONLY)
    os.symlink("/".join(["d" * 250] * 8), "next", dir_fd=top)
    os.close(top)
    (setting.dir / "deep").symlink_to(f"{middle}/next")
    setting.file("new", setting.dir / "deep/new.sock")
    setting.switch.signal(signal.SIGHUP)
    line = f"1:{len('ports: [{name: new, socket: .')}: {setting.dir}/deep/new.sock: the switch may not use this directory"
    wait_for(lambda: line in setting.switch.err(), "line in the log")
    setting.add()
    assert "vswitchd-help" in setting.children()
    assert "has ended" not in setting.switch.err()

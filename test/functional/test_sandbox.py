# SPDX-License-Identifier: BSD-3-Clause
"""What vswitchd gives up after set-up, and what happens to code that needs more."""

import ctypes
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from lab import VSWITCHD, Lab, Switch, wait_for

FORBIDDEN = """
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
static void call(int sig) { (void)sig; ATTEMPT; }
__attribute__((constructor)) static void prepare(void) { signal(SIGUSR2, call); }
"""


@pytest.fixture
def lab():
    with Lab() as lab:
        yield lab


def threads(pid):
    """{name: {field: value}} of all threads' status."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        found[fields["Name"] + task.name] = fields
    return found


def capabilities(fields):
    return {name: int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")}


def test_every_thread_is_in_the_sandbox(lab):
    switch = Switch(lab, ["a.sock", "b.sock"])
    found = threads(switch.pid)
    assert len(found) >= 3, "control thread, worker, interrupts"
    for name, fields in found.items():
        assert fields["NoNewPrivs"] == "1", name
        assert fields["Seccomp"] == "2", name
        assert set(capabilities(fields).values()) == {0}, name


def test_a_client_keeps_what_it_takes_to_reach_sockets_of_others(lab):
    switch = Switch(lab, ["a.sock"], "--client")
    dac_override = 1 << 1
    for name, fields in threads(switch.pid).items():
        control = name.startswith(("vswitchd", "errand"))
        assert capabilities(fields)["CapEff"] == (dac_override if control else 0), name


def test_no_sandbox_keeps_everything(lab):
    switch = Switch(lab, ["a.sock"], "--no-sandbox")
    for name, fields in threads(switch.pid).items():
        assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("0", "0"), name


CHROOT = 'syscall(SYS_chroot, "/")'
EXECUTABLE = {
    "mmap": "mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)",
    "mprotect": "mprotect(mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096, PROT_READ | PROT_EXEC)",
}


def preload(lab, attempt=CHROOT):
    """A library that tries something in whichever thread gets SIGUSR2."""
    source, library = lab.dir / "forbidden.c", lab.dir / "forbidden.so"
    source.write_text(FORBIDDEN.replace("ATTEMPT", attempt))
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    return {**os.environ, "LD_PRELOAD": str(library)}


def start(lab, *arguments, program=VSWITCHD, **more):
    child = subprocess.Popen(
        [program, "--no-huge", "--socket-path", lab.dir / "x.sock", *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more
    )
    line = ""
    while "ready" not in line:
        line = child.stderr.readline()
        assert line, "vswitchd did not start"
    return child


def test_a_call_that_nobody_asked_for_ends_the_process_with_its_name(lab):
    child = start(lab, env=preload(lab))
    child.send_signal(signal.SIGUSR2)
    _, errors = child.communicate(timeout=10)
    assert child.returncode == -signal.SIGSYS
    assert "the sandbox stopped the system call 'chroot'" in errors
    assert "--no-sandbox" in errors


@pytest.mark.parametrize("call", EXECUTABLE)
@pytest.mark.parametrize("thread", ("vswitchd", "rte-worker", "eal-intr"))
def test_no_thread_maps_executable_memory(lab, call, thread):
    child = start(lab, env=preload(lab, EXECUTABLE[call]))
    task = next(
        task.name for task in Path(f"/proc/{child.pid}/task").iterdir()
        if (task / "comm").read_text().startswith(thread)
    )
    tgkill = ctypes.CDLL(None, use_errno=True).syscall
    assert tgkill(234, child.pid, int(task), int(signal.SIGUSR2)) == 0, os.strerror(ctypes.get_errno())
    _, errors = child.communicate(timeout=10)
    assert child.returncode == -signal.SIGSYS
    assert f"the sandbox stopped the system call '{call}'" in errors


def test_threads_are_allowed_and_processes_are_not(lab):
    child = start(lab, env=preload(lab, "syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)"))
    child.send_signal(signal.SIGUSR2)
    _, errors = child.communicate(timeout=10)
    assert child.returncode == -signal.SIGSYS
    assert "the sandbox stopped the system call 'clone'" in errors


def children(pid):
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def child(pid, name):
    (found,) = [n for n in children(pid) if Path(f"/proc/{n}/comm").read_text() == name + "\n"]
    return found


def test_the_helper_keeps_only_what_sockets_of_others_need(lab):
    switch = Switch(lab, ["a.sock"])
    for fields in threads(child(switch.pid, "vswitchd-help")).values():
        assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
        chown, dac_override, fowner = 1 << 0, 1 << 1, 1 << 3
        assert capabilities(fields)["CapEff"] == chown | dac_override | fowner
    helper = child(switch.pid, "vswitchd-help")
    assert [os.readlink(fd).split(":")[0] for fd in Path(f"/proc/{helper}/fd").iterdir()].count("socket") == 1
    switch.stop()
    wait_for(lambda: not Path(f"/proc/{helper}").exists(), "end of the helper")


def test_the_process_that_closes_descriptors_is_in_the_sandbox(lab):
    switch = Switch(lab, ["a.sock"])
    closer = child(switch.pid, "vswitchd-close")
    for fields in threads(closer).values():
        assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
        assert set(capabilities(fields).values()) == {0}


def test_the_death_of_the_process_that_closes_descriptors_is_told_and_survived(lab):
    switch = Switch(lab, ["a.sock"])
    closer = child(switch.pid, "vswitchd-close")
    helpers = children(closer)
    os.kill(closer, signal.SIGKILL)
    wait_for(lambda: "descriptors, vswitchd-close, has ended" in switch.err(), "line in the log")
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as front_end:
            front_end.connect(str(lab.dir / "a.sock"))
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in helpers), "end of its children")
    assert len(switch.stats()["ports"]) == 1
    assert switch.err().count("the process that closes descriptors") == 1
    switch.stop()
    assert not (lab.dir / "a.sock").exists()


def test_without_the_sandbox_the_same_call_goes_through(lab):
    child = start(lab, "--no-sandbox", env=preload(lab))
    child.send_signal(signal.SIGUSR2)
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=10)
    assert child.returncode == 0


def test_an_unprivileged_user_can_run_it(lab):
    nobody = pwd.getpwnam("nobody")
    os.chown(lab.dir, nobody.pw_uid, nobody.pw_gid)
    os.chmod(lab.dir, 0o755)
    program = shutil.copy(VSWITCHD, lab.dir)  # where it is built may be closed to others
    child = start(lab, program=program, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], cwd="/")
    wait_for((lab.dir / "x.sock").exists, "socket")
    assert (lab.dir / "x.sock").stat().st_uid == nobody.pw_uid
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=10)
    assert child.returncode == 0


def test_an_unprivileged_user_can_run_a_client(lab):
    nobody = pwd.getpwnam("nobody")
    os.chown(lab.dir, nobody.pw_uid, nobody.pw_gid)
    os.chmod(lab.dir, 0o755)
    program = shutil.copy(VSWITCHD, lab.dir)
    switch = Switch(lab, ["a.sock"], "--client", command=program, user=nobody.pw_uid, group=nobody.pw_gid,
                    extra_groups=[], cwd="/")
    for name, fields in threads(switch.pid).items():
        assert set(capabilities(fields).values()) == {0}, name


def test_workers_may_less_than_the_control_thread():
    """The lists come from the sources; a worker needs no files, sockets or processes."""
    header = Path(VSWITCHD).parent / "syscalls.h"
    text = header.read_text()
    lists = {
        name: set(re.findall(r"X\((\w+)\)", body))
        for name, body in re.findall(r"#define SYSCALLS_(\w+)\(X\)(.*?)\n\n", text, re.S)
    }
    assert lists["WORKER"] and lists["CONTROL"]
    assert len(lists["WORKER"]) < len(lists["CONTROL"]) / 2
    for call in "openat socket connect accept4 sendmsg recvmsg execve clone clone3 ptrace".split():
        assert call not in lists["WORKER"]
    for call in "execve fork ptrace bpf mount setuid chroot".split():
        assert call not in lists["CONTROL"]
        assert call not in lists["CLOSER"]

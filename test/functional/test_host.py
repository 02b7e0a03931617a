# SPDX-License-Identifier: BSD-3-Clause
"""vswitchd on real hosts: huge pages that others use, signals that are not for it."""

import mmap
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from lab import VSWITCHD, Process, Switch, wait_for

PKTGEN = Path(VSWITCHD).resolve().parents[1] / "pktgen/vswitch-pktgen"

HUGE = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
HUGE_BYTES = 2 << 20
MAP_HUGETLB = 0x40000


def pages(name):
    return int((HUGE / f"{name}_hugepages").read_text())


def start_as_installed(lab, *options, **more):
    """vswitchd as a person starts it, without the choices the lab makes."""
    return Switch(lab, [], "--socket-path", str(lab.dir / "a.sock"), *options, as_installed=True, **more)


def warnings(switch):
    return [line for line in switch.err().splitlines() if "warning" in line]


@pytest.fixture
def reserved_pages():
    """All free pages are promised to a process that has not touched them: a VM with hugetlb=on."""
    count = pages("free") - pages("resv")
    if count < 2:
        pytest.fail("no huge pages on this machine: scripts/setup reserves them")
    held = mmap.mmap(-1, count * HUGE_BYTES, flags=mmap.MAP_SHARED | MAP_HUGETLB)
    assert pages("free") == pages("resv") >= count
    yield count
    held.close()


def test_pages_that_others_have_reserved_are_not_ours(lab, reserved_pages):
    switch = start_as_installed(lab)
    (line,) = warnings(switch)
    assert f"no huge page is free on this machine: other programs have reserved all {reserved_pages} unused" in line
    assert f"echo {pages('nr') + 64} > /proc/sys/vm/nr_hugepages" in line
    assert pages("free") == pages("resv") >= reserved_pages
    switch.stop()


REFUSE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/mman.h>
void *mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    void *(*real)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap64");

    errno = ENOMEM;
    return flags & MAP_HUGETLB ? MAP_FAILED : real(at, len, prot, flags, fd, offset);
}
int memfd_create(const char *name, unsigned flags)
{
    int (*real)(const char *, unsigned) = dlsym(RTLD_NEXT, "memfd_create");

    errno = ENOMEM;
    return flags & MFD_HUGETLB ? -1 : real(name, flags);
}
"""


def test_pages_that_seem_free_and_are_refused(lab):
    """As with a limit of the control group, or when somebody else is faster."""
    if pages("free") - pages("resv") < 2:
        pytest.fail("no huge pages on this machine: scripts/setup reserves them")
    source, library = lab.dir / "refuse.c", lab.dir / "refuse.so"
    source.write_text(REFUSE)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    cpus = os.sched_getaffinity(0)
    switch = start_as_installed(lab, env={**os.environ, "LD_PRELOAD": str(library)})
    (line,) = warnings(switch)
    assert "huge pages are free on this machine but cannot be allocated" in line
    assert switch.stats()["workers"][0]["cpu"] == max(cpus), "the same CPUs as at the first try"
    children = Path(f"/proc/{switch.pid}/task/{switch.pid}/children").read_text().split()
    names = sorted(Path(f"/proc/{pid}/comm").read_text().strip() for pid in children)
    assert names == ["vswitchd-close", "vswitchd-help"], "one of each, those of the first try have ended"
    switch.stop()


STRANGERS = ("HUP", "PIPE", "ALRM", "USR2", "VTALRM", "PROF", "IO", "PWR")


def test_signals_that_mean_nothing_do_nothing(lab):
    switch = Switch(lab, ["a.sock"])
    before = switch.err()
    for name in STRANGERS:
        switch.signal(getattr(signal, f"SIG{name}"))
    assert switch.stats()["ports"][0]["path"] == str(switch.paths[0])
    assert switch.err() == before
    switch.stop()
    assert not switch.paths[0].exists()


@pytest.mark.parametrize("kind, why", (
    ("nowhere/counters.json", "No such file or directory"),
    ("folder", "it is not a regular file"),
    ("link", "it is not a regular file"),
))
def test_counters_that_cannot_be_written_are_found_at_the_start(lab, kind, why):
    (lab.dir / "folder").mkdir()
    victim = lab.dir / "victim"
    victim.write_text("precious")
    (lab.dir / "link").symlink_to(victim)
    path = lab.dir / kind
    done = subprocess.run(
        [VSWITCHD, "--no-huge", "--socket-path", lab.dir / "a.sock", "--stats-json", path],
        capture_output=True, text=True, timeout=20,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"vswitchd: error: cannot write counters to {path}: {why}\n"
    assert not (lab.dir / "a.sock").exists()
    assert victim.read_text() == "precious"


def test_counters_go_through_no_link(lab):
    """Somebody who may write to the same directory puts links where a file is expected."""
    victim = lab.dir / "victim"
    victim.write_text("precious")
    switch = Switch(lab, ["a.sock"])
    for name in ("vswitchd.json", "vswitchd.json.new", "vswitchd.json.tmp"):
        (lab.dir / name).unlink(missing_ok=True)
        (lab.dir / name).symlink_to(victim)
    switch.signal(signal.SIGUSR1)
    wait_for(lambda: not switch.stats_path.is_symlink(), "counters")
    assert switch.stats()["version"]
    assert victim.read_text() == "precious"
    switch.stop()
    assert not list(lab.dir.glob("vswitchd.json.??????")), "no temporary file stays"


def test_a_table_that_nobody_reads_holds_nobody_up(lab):
    read, write = os.pipe()
    try:
        os.set_blocking(write, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(write, bytes(4096))
        os.set_blocking(write, True)
        switch = Switch(lab, ["a.sock"], stdout=write)
        with socket.socket(socket.AF_UNIX) as front_end:
            front_end.connect(str(switch.paths[0]))
            front_end.settimeout(2)
            switch.signal(signal.SIGUSR1)
            for _ in range(10):
                front_end.sendall((1).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes(4))
                assert len(front_end.recv(20)) == 20
        wait_for(lambda: "nobody reads standard output" in switch.err(), "line about it")
        switch.stop()
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("macs, layout", ((3, "split"), (3, "packed"), (9000, "split")))
def test_the_report_answers_the_newcomers_questions(lab, macs, layout):
    switch = Switch(lab, ["a.sock", "b.sock"])
    arguments = ["--no-huge", "--macs", macs, "--flows", macs, "--ring-size", 512, "--queues", 2, "--rate", "50k"]
    ports = [word for path in switch.paths for word in ("--port", path)]
    generator = Process(
        lab, "pktgen", [PKTGEN, *ports, *arguments, "--duration", 20, *(["--packed"] if layout == "packed" else [])]
    )
    wait_for(lambda: all(port["address_count"] >= macs for port in switch.stats()["ports"]), "addresses", 15, 0.3)
    started = time.monotonic()
    stats = switch.stats()
    assert time.monotonic() - started < 1
    assert stats["version"] == "0.1.0"
    for port in stats["ports"]:
        assert port["frontend"]["pid"] == generator.pid and 0 <= port["frontend"]["connected_s"] < 20
        assert port["rings"] == layout
        assert ("ring_packed" in port["features"]) == (layout == "packed")
        assert "version_1" in port["features"]
        assert port["memory"]["bytes"] > 1 << 16 and port["memory"]["page_size"] == os.sysconf("SC_PAGESIZE")
        assert {queue["size"] for queue in port["queues"]} == {512}
        assert all(queue["active"] and queue["enabled"] for queue in port["queues"])
        assert len(port["addresses"]) == min(macs, 4096) and port["address_count"] == macs
        assert all(re.fullmatch("(..:){5}..", mac) and 0 <= age <= 340 for mac, age in port["addresses"].items())
    text = switch.out()[switch.out().rindex("vswitchd 0.1.0"):]
    assert f"process {generator.pid}, connected for " in text
    assert f"{layout} rings of 512, 2 of 2 queue pairs enabled" in text
    assert (f"and {macs - 24} more" in text) == (macs > 24)
    generator.close()
    wait_for(lambda: not any(port["connected"] for port in switch.stats()["ports"]), "both to go")
    assert not any("frontend" in port for port in switch.stats()["ports"])
    switch.stop(limit=5)

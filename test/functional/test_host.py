# SPDX-License-Identifier: BSD-3-Clause
"""vswitchd on hosts as they are: huge pages that others hold, signals meant for somebody else."""

import mmap
import os
import signal
import subprocess
from pathlib import Path

import pytest

from lab import Switch

HUGE = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
HUGE_BYTES = 2 << 20
MAP_HUGETLB = 0x40000


def pages(name):
    return int((HUGE / f"{name}_hugepages").read_text())


def start_plain(lab, *options, **more):
    """vswitchd as a person starts it, without the choices the lab makes."""
    return Switch(lab, [], "--socket-path", str(lab.dir / "a.sock"), *options, plain=True, **more)


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
    switch = start_plain(lab)
    (line,) = warnings(switch)
    assert f"no huge page is free on this machine, for others have reserved the {reserved_pages}" in line
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
    switch = start_plain(lab, env={**os.environ, "LD_PRELOAD": str(library)})
    (line,) = warnings(switch)
    assert "huge pages are free on this machine but cannot be had" in line
    assert switch.stats()["workers"][0]["cpu"] == max(cpus), "the same CPUs as at the first try"
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

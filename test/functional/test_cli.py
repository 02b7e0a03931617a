# SPDX-License-Identifier: BSD-3-Clause
"""The command line of vswitchd: the exact result of right and wrong arguments."""

import grp
import json
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from lab import ROOT, VSWITCHD, Switch, wait_for

GET_FEATURES = (1).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes(4)
HUGE_PAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")


def run(*arguments, timeout=20, **more):
    return subprocess.run(
        [VSWITCHD, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, **more
    )


def assert_refused(done, line, status=1):
    """Exactly this one line on stderr, nothing on stdout, and the status of its kind."""
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"vswitchd: error: {line}\n")


def assert_cannot_listen(path, why):
    assert_refused(run("--no-huge", "--socket-path", path), f"{path}: cannot listen: {why}")


def test_print_capabilities():
    done = run("--print-capabilities")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == '{"type":"net"}\n'
    assert json.loads(done.stdout) == {"type": "net"}


@pytest.mark.parametrize("others", (
    ["--no-such-option"], ["stray"], ["--workers", "many"], ["--socket-path", "a.sock"], ["--help"],
    ["--socket-path"],
), ids="_".join)
def test_print_capabilities_beside_anything(tmp_path, others):
    for arguments in ([*others, "--print-capabilities"], ["--print-capabilities", *others]):
        done = run(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, '{"type":"net"}\n', "")
    assert list(tmp_path.iterdir()) == []


def test_version():
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    name, version = done.stdout.split()
    assert name == "vswitchd" and version[0].isdigit()


def test_help_and_the_manual_name_the_same_options():
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    helped = set(re.findall(r"^  --([a-z-]+) ", done.stdout, re.M))
    table = [line for line in (ROOT / "doc/operating.md").read_text().splitlines() if line.startswith("| `--")]
    described = {name for line in table for name in re.findall(r"`--([a-z-]+)", line.split(" | ")[0])}
    assert {"socket-path", "help", "version"} <= helped
    assert helped - described == {"help", "version"} and described <= helped


def test_the_manual_describes_the_events_of_a_ring():
    header = (ROOT / "lib/virtio/vring_events.h").read_text().replace("\\\n", "")
    events = re.findall(r'X\(\w+, \w+,\s+"([a-z-]+)",\s+"([^"]+)"\)', header)
    assert len(events) == header.count("CHANGES, \"") + header.count("TRAFFIC, \"") > 10
    described = re.findall(r"^\| `([a-z-]+)` \| [^|]+ \| ([^|]+) \|$", (ROOT / "doc/operating.md").read_text(), re.M)
    assert [row for row in described if row[0] in dict(events)] == events


PORT = ["--socket-path", "a.sock"]

# What is asked, and the one line that answers.
BAD_ARGUMENTS = [
    ([], "no port is given: name at least one with --socket-path PATH"),
    (["--no-such-option"], "--no-such-option: no such option; see vswitchd --help"),
    (["-x"], "-x: no such option; see vswitchd --help"),
    (["--socket-path"], "--socket-path: an argument is missing; see vswitchd --help"),
    (["--socket-path", ""], "--socket-path: '' is not a path"),
    (PORT * 2, "--socket-path: a.sock is given twice"),
    (["--fd", "stdin"], "--fd: 'stdin' is not the number of an open stream socket"),
    (["--fd", "77"], "--fd: '77' is not the number of an open stream socket"),
    (["--fd", "0"], "--fd: '0' is not the number of an open stream socket"),
    (["a.sock"], "'a.sock' is not an option; EAL options follow a --"),
    ([*PORT, "stray"], "'stray' is not an option; EAL options follow a --"),
    ([*PORT, "--workers", "0"], "--workers: '0' is not a number from 1 to 127"),
    ([*PORT, "--workers", "many"], "--workers: 'many' is not a number from 1 to 127"),
    ([*PORT, "--workers", "128"], "--workers: '128' is not a number from 1 to 127"),
    ([*PORT, "--workers", "2", "--lcores", "0"],
     "--workers 2 and --lcores with 1 CPUs: give one of them"),
    ([*PORT, "--lcores", "1-"], "--lcores: '1-' is not a list of CPUs such as 1,3-5"),
    ([*PORT, "--lcores", "900"],
     "--lcores: '900' is not a list of CPUs this process may run on"),
    ([*PORT, "--socket-mode", "0999"],
     "--socket-mode: '0999' is not an octal file mode such as 0660"),
    ([*PORT, "--socket-owner", "nobody-here"],
     "--socket-owner: 'nobody-here' is not a user of this machine"),
    ([*PORT, "--socket-directory", "/nowhere/at/all"],
     "--socket-directory: '/nowhere/at/all' is not a directory"),
    ([*PORT, "--socket-directory", "/etc/passwd"],
     "--socket-directory: '/etc/passwd' is not a directory"),
    ([*PORT, "--socket-group", "nobody-here"],
     "--socket-group: 'nobody-here' is not a group of this machine"),
    ([*PORT, "--log-level", "loud"],
     "--log-level: 'loud' is not one of error, warning, info, debug"),
    ([*PORT, "--balance", "yes"], "--balance: 'yes' is not one of off, dry-run, on, rotate"),
    (
        [*PORT, "--balance-interval", "0"],
        "--balance-interval: '0' is not a number of milliseconds, 1 to 3600000",
    ),
    (
        [*PORT, "--balance-threshold", "101"],
        "--balance-threshold: '101' is not a percentage, 1 to 100",
    ),
    ([*PORT, "--forget-after", "-1"], "--forget-after: '-1' is not a number of seconds, 0 to 1000000"),
    (
        [*PORT, "--features", "all,-packed"],
        "--features: '-packed' is none of: all dpdk-22.11 dpdk-22.11-tso csum guest_csum mtu gso "
        "guest_tso4 guest_tso6 guest_ecn guest_ufo host_tso4 host_tso6 host_ecn host_ufo mrg_rxbuf "
        "status ctrl_vq ctrl_rx guest_announce mq any_layout indirect_desc event_idx version_1 "
        "ring_packed in_order ring_reset guest_uso4 guest_uso6 host_uso",
    ),
    ([*PORT, "--queue-pairs", "0"], "--queue-pairs: '0' is not a number from 1 to 128"),
    ([*PORT, "--queue-pairs", "129"], "--queue-pairs: '129' is not a number from 1 to 128"),
    ([*PORT, "--mac-table", "0"], "--mac-table: '0' is not a number from 1 to 16777216"),
    ([*PORT, "--idle", "nap"], "--idle: 'nap' is not 'sleep' or 'poll'"),
    ([*PORT, "--no-huge=yes"], "--no-huge takes no argument"),
]


@pytest.mark.parametrize(
    "arguments, line", BAD_ARGUMENTS,
    ids=["_".join(arguments) or "none" for arguments, _ in BAD_ARGUMENTS],
)
def test_bad_arguments_are_named(tmp_path, arguments, line):
    assert_refused(run(*arguments, cwd=tmp_path, stdin=subprocess.DEVNULL), line, status=2)
    assert list(tmp_path.iterdir()) == []


def test_more_workers_than_processors(tmp_path):
    allowed = len(os.sched_getaffinity(0))
    if allowed >= 127:
        pytest.fail("this machine has too many processors for a number that is too great")
    assert_refused(
        run(*PORT, "--workers", allowed + 1, cwd=tmp_path),
        f"--workers {allowed + 1}: this process may use only {allowed} CPUs", status=2,
    )


def test_more_ports_than_there_can_be(tmp_path):
    paths = [word for number in range(1025) for word in ("--socket-path", f"{number}.sock")]
    assert_refused(run(*paths, cwd=tmp_path), "more than 1024 ports", status=2)
    assert list(tmp_path.iterdir()) == []


def test_live_socket_is_left_alone(lab):
    switch = Switch(lab, ["a.sock"])
    path = switch.paths[0]
    assert_cannot_listen(path, "another process is listening there")
    assert stat.S_ISSOCK(path.stat().st_mode)
    with socket.socket(socket.AF_UNIX) as front_end:
        front_end.connect(str(path))
    switch.stop()


def test_stale_socket_is_replaced(lab):
    path = lab.dir / "a.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
        stale.listen()
    switch = Switch(lab, ["a.sock"])
    with socket.socket(socket.AF_UNIX) as front_end:
        front_end.connect(str(path))
    switch.stop()


def test_killed_switch_leaves_what_the_next_one_replaces(lab):
    first = Switch(lab, ["a.sock"], name="first")
    first.signal(signal.SIGKILL)
    first.wait(5)
    assert first.paths[0].exists()
    Switch(lab, ["a.sock"], name="second").stop()


def test_other_file_at_the_path_is_not_deleted(lab):
    path = lab.dir / "precious"
    path.write_text("data")
    assert_cannot_listen(path, "there is a file that is not a socket")
    assert path.read_text() == "data"


def test_directory_that_is_not_there(lab):
    path = lab.dir / "nowhere" / "a.sock"
    assert_cannot_listen(path, f"there is no directory {path.parent}")
    below_run = Path(f"/run/{lab.dir.name}") / "deep" / "a.sock"
    assert_cannot_listen(below_run, f"there is no directory {below_run.parent}")
    assert not below_run.parent.parent.exists()


def test_directory_below_run_is_made(lab):
    """/run is empty after each boot: the first command of the README works all the same."""
    directory = Path("/run") / lab.dir.name
    try:
        switch = Switch(lab, [directory / "a.sock", directory / "b.sock"])
        assert stat.S_IMODE(directory.stat().st_mode) == 0o755
        assert switch.err().count(f"made the directory {directory}") == 1
        switch.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def as_nobody(lab):
    """Root may everything. So: a directory of somebody else's, and vswitchd run by that one."""
    nobody = pwd.getpwnam("nobody")
    os.chmod(lab.dir, 0o755)
    program = lab.dir / "vswitchd"
    program.write_bytes(Path(VSWITCHD).read_bytes())
    program.chmod(0o755)
    home = lab.dir / "home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    return home, lambda *arguments: subprocess.run(
        [program, "--no-huge", *arguments, "--", "--no-shconf"],
        capture_output=True, text=True, timeout=20, user=nobody.pw_uid, group=nobody.pw_gid,
        extra_groups=[], env={"XDG_RUNTIME_DIR": str(home), "PATH": os.environ["PATH"]},
    )


def test_directory_that_may_not_be_written(lab):
    _, run_it = as_nobody(lab)
    locked = lab.dir / "locked"
    locked.mkdir(mode=0o700)
    path = locked / "a.sock"
    assert_refused(run_it("--socket-path", path), f"{path}: cannot listen: Permission denied")
    below_run = Path("/run") / lab.dir.name / "a.sock"
    assert_refused(
        run_it("--socket-path", below_run),
        f"{below_run}: cannot listen: there is no directory {below_run.parent}, "
        "and it cannot be made: Permission denied",
    )


def test_owner_or_group_that_may_not_be_given(lab):
    home, run_it = as_nobody(lab)
    path = home / "a.sock"
    users = grp.getgrnam("users").gr_gid
    assert_refused(
        run_it("--socket-path", path, "--socket-group", "users"),
        f"{path}: cannot change the socket's group to {users}: Operation not permitted; "
        "the user that starts the switch must be in that group, or root",
    )
    assert_refused(
        run_it("--socket-path", path, "--socket-owner", "root", "--socket-group", "users"),
        f"{path}: cannot change the socket's owner and group to 0:{users}: Operation not permitted; "
        "only root can",
    )
    assert not path.exists()


def test_path_that_is_too_long(lab):
    path = lab.dir / ("a" * 120)
    assert_cannot_listen(path, "the path is too long for a socket")


@pytest.mark.parametrize("eal", (["--no-such-option"], ["-l", "77"]), ids="_".join)
def test_bad_eal_arguments_are_one_line(lab, eal):
    path = lab.dir / "a.sock"
    done = run("--no-huge", "--socket-path", path, "--", *eal)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("vswitchd: error: "), done.stderr
    assert done.stdout == "", "DPDK's own usage is not ours"
    assert not path.exists()


def test_all_or_nothing(lab):
    """When the second socket cannot be made, the first does not stay."""
    good, bad = lab.dir / "a.sock", lab.dir / "nowhere" / "b.sock"
    assert_refused(
        run("--no-huge", "--socket-path", good, "--socket-path", bad),
        f"{bad}: cannot listen: there is no directory {bad.parent}",
    )
    assert not good.exists()


def test_mode_owner_and_group_of_the_socket(lab):
    switch = Switch(
        lab, ["a.sock"], "--socket-mode", "0620", "--socket-owner", "nobody", "--socket-group", "users"
    )
    status = switch.paths[0].stat()
    assert stat.S_IMODE(status.st_mode) == 0o620
    assert status.st_uid == pwd.getpwnam("nobody").pw_uid
    assert status.st_gid == grp.getgrnam("users").gr_gid
    switch.stop()


def test_fd_is_a_port(lab):
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        switch = Switch(lab, [], "--fd", str(theirs.fileno()), pass_fds=[theirs.fileno()])
        theirs.close()
        # VHOST_USER_GET_FEATURES, answered with the flag of a reply and 8 bytes.
        ours.sendall(GET_FEATURES)
        ours.settimeout(5)
        reply = ours.recv(20)
        assert reply[:12] == bytes((1, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0))
        features = int.from_bytes(reply[12:], "little")
        assert features & 1 << 32, "VERSION_1 is offered"
        assert len(switch.stats()["ports"]) == 1
        switch.stop()


@pytest.mark.alone
@pytest.mark.parametrize("signum", (signal.SIGTERM, signal.SIGINT), ids=("SIGTERM", "SIGINT"))
def test_signal_ends_it_within_a_second(lab, signum):
    switch = Switch(lab, ["a.sock", "b.sock"])
    assert all(path.exists() for path in switch.paths)
    switch.stop(signum, limit=1.0)
    assert not any(path.exists() for path in switch.paths)


@pytest.mark.alone
def test_signal_ends_it_with_a_front_end_connected(lab):
    switch = Switch(lab, ["a.sock", "b.sock"])
    with socket.socket(socket.AF_UNIX) as front_end:
        front_end.connect(str(switch.paths[0]))
        wait_for(lambda: switch.stats()["ports"][0]["connected"], "connection")
        switch.stop()
    assert not any(path.exists() for path in switch.paths)


def test_it_says_who_keeps_another_front_end_waiting(lab):
    switch = Switch(lab, ["a.sock"])
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        first.connect(str(switch.paths[0]))
        first.sendall(GET_FEATURES)
        second.connect(str(switch.paths[0]))
        line = f"{switch.paths[0]}: another front-end waits until the one of process {os.getpid()} has gone"
        wait_for(lambda: line in switch.err(), "line about the second front-end", 5)
        first.close()
        second.sendall(GET_FEATURES)
        second.settimeout(5)
        assert len(second.recv(20)) == 20
    switch.stop()


def test_sigusr1_prints_the_ports(lab):
    switch = Switch(lab, ["a.sock", "b.sock"])
    switch.signal(signal.SIGUSR1)
    wait_for(lambda: str(switch.paths[1]) in switch.out(), "table")
    version, heading, first, second, worker = [
        line for line in switch.out().splitlines() if "no front-end is connected" not in line
    ]
    assert version == run("--version").stdout.strip()
    assert switch.out().count("down: no front-end is connected") == 2
    for word in ("port", "ingress", "egress", "bytes", "dropped"):
        assert word in heading
    assert first.split()[0] == "0" and first.endswith(str(switch.paths[0]))
    assert second.split()[0] == "1" and second.endswith(str(switch.paths[1]))
    switch.stop()
    assert switch.out().count(heading) == 2, "and once more at the end"
    assert worker.startswith("worker on CPU ") and worker.endswith(" busy")


@pytest.fixture
def no_huge_pages():
    """The machine without huge pages, for a while."""
    before = HUGE_PAGES.read_text()
    HUGE_PAGES.write_text("0")
    yield
    HUGE_PAGES.write_text(before)


def start_as_installed(lab, *options):
    """vswitchd as a person starts it, without the choices the lab makes."""
    path = lab.dir / "a.sock"
    return Switch(lab, [], "--socket-path", str(path), *options, as_installed=True)


@pytest.mark.alone
def test_without_huge_pages_it_warns_and_runs(lab, no_huge_pages):
    switch = start_as_installed(lab)
    warnings = [line for line in switch.err().splitlines() if "warning" in line]
    assert len(warnings) == 1 and "huge page" in warnings[0], switch.err()
    switch.stop()


def test_no_huge_is_quiet(lab):
    switch = start_as_installed(lab, "--no-huge")
    assert "warning" not in switch.err()
    switch.stop()


@pytest.mark.alone
def test_with_huge_pages_it_is_quiet_and_leaves_no_file(lab):
    if int(HUGE_PAGES.read_text()) < 64:
        pytest.fail("no huge pages on this machine: scripts/setup reserves them")
    before = set(os.listdir("/dev/hugepages"))
    switch = start_as_installed(lab)
    assert "warning" not in switch.err()
    switch.stop()
    assert set(os.listdir("/dev/hugepages")) <= before


def test_the_eals_limit_of_vector_width_is_kept(lab):
    limited = Switch(lab, ["a.sock"], "--log-level", "debug", name="limited", eal=["--force-max-simd-bitwidth=128"])
    assert "frames are moved with x86-64-v2" in limited.err()
    flags = Path("/proc/cpuinfo").read_text().split()
    half = Switch(lab, ["c.sock"], "--log-level", "debug", name="half", eal=["--force-max-simd-bitwidth=256"])
    assert f"frames are moved with {'AVX2' if 'avx2' in flags else 'x86-64-v2'}" in half.err()
    free = Switch(lab, ["b.sock"], "--log-level", "debug", name="free")
    has = all(flag in flags for flag in ("avx512f", "avx512bw", "avx512vl"))
    assert ("frames are moved with AVX-512" in free.err()) == has

# SPDX-License-Identifier: BSD-3-Clause
"""scripts/test reports failures, in throwaway projects with tests that hang, crash, skip or are missing."""

import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

# What is made up here must not be noted as failed or as not tested.
os.environ.pop("VSWITCH_NOT_TESTED", None)
os.environ.pop("VSWITCH_FAILED", None)

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A child that cannot be ended with SIGTERM, in this process group or in a session of its own. */
static void stay(int apart)
{
    if (fork())
        return;
    signal(SIGTERM, SIG_IGN);
    if (apart)
        setsid();
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "pass";

    if (!strcmp(what, "family")) {
        stay(0);
        stay(1);
    }
    if (!strcmp(what, "hang") || !strcmp(what, "family"))
        for (;;)
            pause();
    if (!strcmp(what, "crash"))
        raise(SIGSEGV);
    if (!strcmp(what, "skip"))
        puts("not tested: moon: only at night");
    if (!strcmp(what, "cmocka-skip"))
        puts("[  SKIPPED ] a_test");
    if (!strcmp(what, "fail"))
        for (int i = 1; i <= 20; i++)
            fprintf(stderr, "word %d of a failure\n", i);
    return !strcmp(what, "fail") ? 1 : !strcmp(what, "skip") ? 77 : 0;
}
"""
# The last one removes a program that was there when Meson looked for it.
MESON = """
project('throwaway', 'c')
program = executable('test_it', 'test/test_it.c')
foreach what : {tests}
    test(what, program, args: what, suite: 'unit', timeout: 1)
endforeach
if {missing}
    test('missing', find_program('gone.sh'), suite: 'unit')
    custom_target('gone', output: 'gone', build_by_default: true,
        command: ['sh', '-c', 'rm -f @SOURCE_ROOT@/gone.sh; touch @OUTPUT@'])
endif
"""

CONFTEST = """
def pytest_configure(config):
    config.addinivalue_line("markers", "alone: runs alone")
"""


def write(path, text, executable=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if executable:
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


class Project:
    """A directory in which scripts/test runs."""

    def __init__(self, folder, tests=("pass",), missing=False):
        self.folder = folder
        for name in ("test", "contain", "count-results"):
            write(folder / "scripts" / name, "")
            shutil.copy2(ROOT / "scripts" / name, folder / "scripts" / name)
        self.script("setup", "exit 0")
        self.script("lint", "exit 0")
        write(folder / "gone.sh", "#!/bin/sh\n", executable=True)
        write(folder / "meson_options.txt", "option('tests', type: 'feature')\n")
        write(folder / "meson.build", MESON.format(tests=list(tests), missing=str(missing).lower()))
        write(folder / "test/test_it.c", PROGRAM)
        write(folder / "test/functional/conftest.py", CONFTEST)
        # Every file that scripts/test gives to pytest.
        for name in re.findall(r"(?:self|functional)/test_\w+", (ROOT / "scripts/test").read_text()):
            self.pytest(name, "def test_it(): pass")

    def script(self, name, text):
        write(self.folder / "scripts" / name, f"#!/bin/sh\n{text}\n", executable=True)

    def pytest(self, name, text):
        write(self.folder / f"test/{name}.py", text + "\n")

    def run(self, *arguments, **env):
        """(status, what it printed, (passed, failed, skipped)) of scripts/test."""
        done = subprocess.run([self.folder / "scripts/test", *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=100, check=False,
                              env={**os.environ, "TMPDIR": str(self.folder), **env})
        print(done.stdout)
        assert self.running() == [], "nothing of it goes on"
        counts = [int(word) for word in done.stdout.splitlines()[-1].split() if word.isdigit()]
        return done.returncode, done.stdout, tuple(counts)

    def running(self):
        return running(self.folder)


def running(folder):
    """The processes that run a program in this folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/exe"):
        with contextlib.suppress(OSError):
            if Path(os.readlink(link)).is_relative_to(folder):
                found.append(link.parent.name)
    return found


def stubborn(folder):
    """A shell command that runs two programs in this folder, which nothing but SIGKILL ends."""
    shutil.copy2(shutil.which("sleep"), folder / "sleep")
    return f"trap '' TERM INT HUP; {folder}/sleep 1000 & {folder}/sleep 1000"


@pytest.fixture
def project(tmp_path):
    return lambda *tests, **more: Project(tmp_path, tests or ("pass",), **more)


# The build and the look at the sources are steps, too.
STEPS = 2


def test_what_passes_passes_until_a_source_disappears(project):
    made = project("pass")
    status, output, counts = made.run("unit", "lint", "migration")
    assert (status, counts) == (0, (STEPS + 1 + 1 + 2, 0, 0))
    assert "environment: nothing was left out" in output
    (made.folder / "test/functional/test_migration.py").unlink()
    status, output, counts = made.run("migration")
    assert (status, counts) == (1, (1 + 1, 2, 0)), "the look at the sources, and pytest"
    assert "test_migration.py does not exist" in output
    (made.folder / "test/test_it.c").unlink()
    assert made.run("unit")[::2] == (1, (0, 1, 0)), "it cannot be built"


def test_what_does_not_pass_fails(project):
    status, output, counts = project("pass", "fail", "hang", "crash", "skip", "cmocka-skip", missing=True).run("unit")
    assert (status, counts) == (1, (STEPS + 1, 4, 2))
    for name in ("fail", "hang", "crash", "missing"):
        assert f"FAILED: {name} " in output
    assert output.partition("s  done\n")[2].count("FAILED: ") == 4, "the end names what failed"
    for name in ("skip", "cmocka-skip"):
        assert f"skipped: {name} " in output
    assert "environment: not tested: moon: only at night; other: cmocka-skip" in output


def test_the_end_shows_what_failed_tests_said(project):
    """A log may be cut, and its end is what is kept."""
    made = project("fail")
    made.script("lint", "echo a size is wrong; exit 1")
    made.pytest("functional/test_migration", "def test_it():\n    guest = 3\n    assert guest == 4, 'one is silent'")
    status, output, counts = made.run("unit", "lint", "migration")
    assert (status, counts) == (1, (STEPS + 1, 3, 0))
    end = output.partition("s  done\n")[2]
    words = [f"    | word {n} of a failure" for n in (1, 2, 3, 4, 5, 6, 15, 16, 17, 18, 19, 20)]
    assert "\n".join([*words[:6], "    | ...", *words[6:]]) in end
    assert "    | a size is wrong\n" in end
    assert "    | >       assert guest == 4, 'one is silent'\n    | E       AssertionError: one is silent\n" in end
    assert "    | test/functional/test_migration.py:3: AssertionError\n" in end


def test_a_test_that_hangs_is_fault_enough(project):
    assert project("hang").run("unit")[::2] == (1, (STEPS, 1, 0))


def test_nothing_is_left_of_a_test_that_hangs(project):
    """The runner that ends it asks its process group only, and does not look whether all have gone."""
    status, output, counts = project("family").run("unit")
    assert (status, counts) == (1, (STEPS, 1, 0))
    assert output.count("killing what was left") == 2


def hanging_tests(project):
    return project("family"), 3


def hanging_build(project):
    """The build is a function of scripts/test."""
    made = project()
    write(made.folder / "bin/ninja", "#!/bin/sh\n"
          f'[ "$1" = --version ] && exec {shutil.which("ninja")} --version\n{stubborn(made.folder)}\n', True)
    return made, 2


@pytest.mark.parametrize("end", [
    lambda runner: os.kill(runner.pid, signal.SIGTERM),
    lambda runner: os.killpg(runner.pid, signal.SIGKILL),
], ids=["is ended", "is killed with its process group"])
@pytest.mark.parametrize("make", [hanging_tests, hanging_build])
def test_nothing_is_left_of_a_run_that(project, make, end):
    made, programs = make(project)
    env = {**os.environ, "TMPDIR": str(made.folder), "PATH": f"{made.folder}/bin:{os.environ['PATH']}"}
    with subprocess.Popen([made.folder / "scripts/test", "unit"], start_new_session=True, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, env=env) as runner:
        wait_until(lambda: len(made.running()) == programs, 60)
        end(runner)
    wait_until(lambda: not made.running(), 20)


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


CONTAIN = ROOT / "scripts/contain"


@pytest.mark.parametrize("command, status", [("{}", 128 + signal.SIGTERM), ("({}) & exit 3", 3)],
                         ids=["runs", "has ended"])
def test_nothing_is_left_if_signals_come_while_it_cleans_up(tmp_path, command, status):
    with open(tmp_path / "said", "w", encoding="utf-8") as said, \
            subprocess.Popen([CONTAIN, "sh", "-c", command.format(stubborn(tmp_path))], stderr=said) as contain:
        wait_until(lambda: len(running(tmp_path)) == 2, 20)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            contain.send_signal(number)
            time.sleep(0.1)
    assert contain.returncode == status
    assert not running(tmp_path)
    assert (tmp_path / "said").read_text().count("killing what was left") >= 2


def test_nothing_is_left_if_nobody_reads_its_messages(tmp_path):
    with subprocess.Popen([CONTAIN, "sh", "-c", stubborn(tmp_path)], stderr=subprocess.PIPE) as contain:
        wait_until(lambda: len(running(tmp_path)) == 2, 20)
        contain.stderr.close()
        contain.terminate()
    assert contain.returncode == 128 + signal.SIGTERM
    assert not running(tmp_path)


@pytest.mark.parametrize("wait", ["true", "sleep 0.02", "sleep 0.1", "until [ -e {} ]; do sleep 0.02; done"],
                         ids=["at once", "soon", "later", "after its command has begun"])
def test_nothing_is_left_of_a_caller_that_dies(tmp_path, wait):
    ran = tmp_path / "ran"
    caller = f'{CONTAIN} --parent $$ sh -c "$1" & {wait.format(ran)}; kill -KILL $$'
    command = f"touch {ran}; {stubborn(tmp_path)}"
    subprocess.run(["sh", "-c", caller, "caller", command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=False, timeout=60)
    wait_until(lambda: not mentioned(tmp_path), 20)


def mentioned(folder):
    """The processes with the name of this folder in their command lines."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(folder) in entry.read_text(errors="replace"):
                found.append(entry.parent.name)
    return found


def test_functions_that_a_step_runs_are_exported():
    """A step runs in another shell."""
    text = (ROOT / "scripts/test").read_text()
    functions = set(re.findall(r"^(\w+)\(\) ?{", text, re.M))
    run = set(re.findall(r'\bstep "[^"]*" (\w+)', text.replace("\\\n", " "))) & functions
    assert run and run <= set(re.search(r"^export -f (.*)$", text, re.M)[1].split())


def test_every_runner_counts(project):
    """pytest that ends badly after good results, peers that do, a step, sources that nobody runs."""
    made = project()
    made.script("lint", "echo no good; exit 1")
    made.pytest("functional/test_migration", "import os, atexit\natexit.register(os._exit, 3)\ndef test_it(): pass")
    made.pytest("functional/test_dpdk_migration", "import os\ndef test_it(): os._exit(0)")
    write(made.folder / "build/test/isolation/isolation", f"#!/bin/sh\necho '{PEERS}'\nexit 9\n", True)
    write(made.folder / "test/unit/test_other.c", "int main(void) { return 0; }\n")
    made.pytest("functional/test_new", "def test_it(): pass")
    status, output, counts = made.run("lint", "isolation", "migration")
    assert (status, counts) == (1, (1 + 8 + 1, 1 + 1 + 1 + 2, 2)), "build, peers, pytest; sources, lint, peers, pytest"
    assert "test_other.c is not run" in output and "test_new.py is not run" in output and "no good" in output
    assert output.partition("s  done\n")[2].count("FAILED: ") == 5


def test_what_measures_no_time_runs_first_and_what_does_runs_alone(project):
    made = project()
    timeless, timed = ["blk", "uml"], ["guests", "iommu", "crash"]
    for name in timeless + timed:
        made.pytest(f"functional/test_{name}", DIARY.format(name=name, diary=made.folder / "diary"))
    assert made.run("guests", "crash")[::2] == (0, (STEPS + 5, 0, 0))
    lines = (made.folder / "diary").read_text().splitlines()
    assert sorted(lines[:2]) == ["begin blk", "begin uml"], "beside each other"
    assert sorted(lines[2:4]) == ["end blk", "end uml"]
    assert lines[4:] == [f"{word} {name}" for name in timed for word in ("begin", "end")]


KINDS = """
import pytest
def note(word):
    open("{diary}", "a").write(word + " ")
@pytest.mark.alone
def test_this(): note("{name}-alone")
def test_that(): note("{name}-beside")
"""


def test_each_case_of_a_file_with_both_kinds_runs_once(project):
    """And a file that lacks one of them, or has a mark that nobody knows, fails."""
    made = project()
    text = (ROOT / "scripts/test").read_text()
    files = re.search(r"\[cli\]=\"(.*?)\"", text, re.S)[1].split()
    names = re.search(r"^for name in ([^;]*); do\n    timeless\[functional/test_\$name\]=some$", text, re.M)[1].split()
    assert len(names) > 1 and {f"functional/test_{name}" for name in names} <= set(files)
    some = [f"functional/test_{name}" for name in names[:2]]
    for name in set(files) - set(some):  # the others take time
        (made.folder / f"test/{name}.py").unlink()
        text = re.sub(rf"{name}\b", "", text)
    (made.folder / "scripts/test").write_text(text)
    for name in some:
        made.pytest(name, KINDS.format(name=name, diary=made.folder / "diary"))
    assert made.run("cli")[::2] == (0, (STEPS + 2 * len(some), 0, 0))
    words = (made.folder / "diary").read_text().split()
    assert sorted(words[:len(some)]) == sorted(f"{name}-beside" for name in some)
    assert sorted(words[len(some):]) == sorted(f"{name}-alone" for name in some)
    made.pytest(some[0], "def test_it(): pass")
    made.pytest(some[1], "import pytest\n@pytest.mark.alnoe\ndef test_it(): pass")
    assert made.run("cli")[::2] == (1, (STEPS + 2 * len(some) - 3, 3, 0)), "of the second one nothing runs, twice"


DIARY = """
import os, time
def note(word):
    fd = os.open("{diary}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, (word + " {name}\\n").encode())
def test_it():
    note("begin")
    if "{name}" in ("blk", "uml"):  # each waits for the other one
        for _ in range(1000):
            if open("{diary}").read().count("begin") == 2:
                break
            time.sleep(0.02)
    note("end")
"""


def test_what_has_to_be_tested_is_demanded(project):
    made = project("skip")
    for may_lack, failures in (("sun,moon", 0), ("sun", 1)):
        status, output, counts = made.run("--may-lack", may_lack, "unit")
        assert (status, counts) == (failures, (STEPS, failures, 1))
        assert ("has to be tested here: moon: only at night" in output) == bool(failures)


def test_a_part_that_does_not_exist_is_refused(project):
    status, output, _ = project().run("unit", "functionall")
    assert status == 2
    assert "no part 'functionall'" in output and "functional isolation cli" in output
    assert "==" not in output, "nothing was begun"


PEERS = "10 peers run, 0 missed a limit, 2 open, 1 tried more than once"


def count(*arguments):
    done = subprocess.run([ROOT / "scripts/count-results", *map(str, arguments)], stdout=subprocess.PIPE, text=True,
                          check=True)
    return tuple(map(int, done.stdout.split()))


@pytest.mark.parametrize("output, status, counts", [
    (PEERS, 0, (8, 0, 2)),
    (PEERS.replace("0 missed", "3 missed"), 1, (5, 3, 2)),
    (PEERS, 1, (8, 1, 2)),
    (PEERS + "\nand more", 0, (0, 1, 0)),
    (PEERS + "\ncontain: killing what was left: 1 a", 0, (8, 0, 2)),
    ("", 0, (0, 1, 0)),
])
def test_hostile_peers_are_believed_only_at_the_end(tmp_path, output, status, counts):
    write(tmp_path / "output", f"a table\nnot tested: FUSE: fuse_call\n{output}\n")
    assert count("isolation", tmp_path / "output", status) == counts


PASS, FAIL, SKIP = (f'<testcase name="a">{inside}</testcase>' for inside in (
    "", '<failure message="x"/>', '<skipped message="not tested: moon: too far"/>'))


@pytest.mark.parametrize("cases, status, counts", [
    (PASS + PASS + SKIP, 0, (2, 0, 1)),
    (PASS + FAIL, 1, (1, 1, 0)),
    (PASS + '<testcase><error message="x"/></testcase>', 1, (1, 1, 0)),
    (PASS, 1, (1, 1, 0)),
    ("", 5, (0, 1, 0)),
    ("", 0, (0, 1, 0)),
    (None, 0, (0, 1, 0)),
], ids=["passes", "fails", "has-an-error", "ends-badly", "ran-nothing", "printed-nothing", "wrote-nothing"])
def test_pytest_is_believed_only_with_results(tmp_path, cases, status, counts):
    if cases is not None:
        write(tmp_path / "junit.xml", f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    assert count("pytest", tmp_path / "junit.xml", status) == counts


@pytest.mark.parametrize("results, status, counts", [
    ({"one": "OK", "two": "OK"}, 0, (2, 0, 0)),
    ({"one": "OK", "two": "TIMEOUT"}, 0, (1, 1, 0)),
    ({"one": "OK", "two": "INTERRUPT"}, 0, (1, 1, 0)),
    ({"one": "OK", "two": "SKIP"}, 0, (1, 0, 1)),
    ({"one": "OK", "two": "OK"}, 1, (2, 1, 0)),
    ({"one": "OK"}, 0, (1, 1, 0)),
    ({}, 0, (0, 2, 0)),
    (None, 0, (0, 2, 0)),
], ids=["passes", "hangs", "is-ended", "skips", "ends-badly", "forgets-one", "ran-nothing", "wrote-nothing"])
def test_meson_is_believed_only_with_results(tmp_path, results, status, counts):
    known = [{"name": name, "suite": ["project:unit"]} for name in ("one", "two")]
    write(tmp_path / "meson-info/intro-tests.json", json.dumps(known + [{"name": "else", "suite": ["project:race"]}]))
    if results is not None:
        lines = [json.dumps({"name": f"project:unit / {name}", "result": result, "stdout": ""}) + "\n"
                 for name, result in results.items()]
        write(tmp_path / "meson-logs/testlog.json", "".join(lines))
    assert count("meson", tmp_path, "unit", status) == counts


def test_what_the_tests_of_a_suite_need_is_built(tmp_path):
    """What they run, what they are given, and no program of another suite; a suite without programs fails."""
    write(tmp_path / "meson-info/meson-info.json", json.dumps({"directories": {"build": str(tmp_path)}}))
    write(tmp_path / "meson-info/intro-targets.json", json.dumps(
        [{"id": f"{name}@exe", "filename": [str(tmp_path / "test" / name)]} for name in ("one", "given", "two", "other")]))
    write(tmp_path / "meson-info/intro-tests.json", json.dumps(
        [{"suite": ["project:unit"], "depends": ["one@exe", "given@exe"]},
         {"suite": ["project:unit", "project:race"], "depends": ["two@exe"]},
         {"suite": ["project:else"], "depends": ["other@exe"]}]))
    for suite, programs in (("unit", ["given", "one", "two"]), ("race", ["two"]), ("nothing", [])):
        done = subprocess.run([ROOT / "scripts/count-results", "programs", tmp_path, suite], stdout=subprocess.PIPE,
                              text=True, check=False)
        assert (done.returncode, done.stdout.split()) == (0 if programs else 1, [f"test/{name}" for name in programs])


def test_a_suite_without_tests_fails(tmp_path):
    write(tmp_path / "meson-info/intro-tests.json", "[]")
    assert count("meson", tmp_path, "unit", 0) == (0, 1, 0)

# SPDX-License-Identifier: BSD-3-Clause
"""scripts/mutate judges correctly, in a throwaway project; and its table fits the sources."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MESON = """
project('throwaway', 'c')
tested = static_library('tested', 'lib/virtio/tested.c')
test('tested', executable('test_tested', 'test/test_tested.c', link_with: tested), suite: 'unit', timeout: 5)
"""
OPTIONS = "option('tests', type: 'feature', value: 'auto')\n"
SOURCE = """
int at_most(int a, int b);
int unused(int a);

int at_most(int a, int b)
{
    while (a > b + 1)
        a--;
    return a < b
        ? a : b;
}

int unused(int a)
{
    return a + 1;
}
"""
TEST = """
int at_most(int a, int b);

int main(void)
{
    return at_most(5, 3) == 3 && at_most(2, 3) == 2 ? 0 : 1;
}
"""

class Project:
    def __init__(self, folder):
        self.folder = folder
        files = {"meson.build": MESON, "meson_options.txt": OPTIONS, "lib/virtio/tested.c": SOURCE,
                 "test/test_tested.c": TEST}
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        (folder / "scripts").mkdir()
        (folder / "test/mutate").mkdir()
        shutil.copy2(ROOT / "scripts/mutate", folder / "scripts/mutate")
        subprocess.run(["git", "init", "-q", folder], check=True)

    def mutate(self, table, *options):
        """(exit status, output)"""
        (self.folder / "test/mutate/mutations").write_text(table)
        done = subprocess.run([self.folder / "scripts/mutate", *options], check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)
        print(done.stdout)
        return done.returncode, done.stdout


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def entry(name, old, new, reason=""):
    return f"lib/virtio/tested.c\n{name}\n- {old}\n+ {new}\n" + (f"= {reason}\n" if reason else "")


TURNED = entry("turned", "return a < b ? a : b;", "return a > b ? a : b;")


def test_each_verdict(project):
    status, output = project.mutate(
        TURNED + entry("hangs", "a--;", "continue;") + entry("unseen", "return a + 1;", "return a + 2;") +
        entry("same", "return a < b", "return !(a >= b)") + entry("broken", "return a + 1;", "return a +;") +
        entry("known", "return a + 1;", "return a + 3;", "nobody calls it") +
        entry("refuted", "return a < b", "return a != b", "it is known to be the same"))
    assert status == 1
    for name, verdict in {"turned": "killed by tested (status 1)", "hangs": "killed by tested (it hangs)",
                          "unseen": "SURVIVED", "same": "same machine code", "broken": "DOES NOT BUILD",
                          "known": "changes nothing", "refuted": "KILLED, THOUGH IT HAS A REASON"}.items():
        assert f"lib/virtio/tested.c: {name}: {verdict}" in output
    assert "nobody calls it" in output
    assert output.endswith("score: 2 of 3 killed\n")
    assert (project.folder / "lib/virtio/tested.c").read_text() == SOURCE


def test_a_good_score(project):
    assert project.mutate(TURNED)[0] == 0


@pytest.mark.parametrize("table, complaint", [
    (entry("rotten", "return a <= b", "return b"), "'return a <= b' is 0 times in lib/virtio/tested.c"),
    (entry("unclear", "return a", "return b"), "'return a' is 2 times in lib/virtio/tested.c"),
    (TURNED + TURNED, "turned is there 2 times"),
    ("turned\n- a\n+ b\n", "a file is missing"),
])
def test_a_table_that_does_not_fit_is_an_error(project, table, complaint):
    for options in ((), ("--list",)):
        status, output = project.mutate(table, *options)
        assert status == 1 and complaint in output


def test_tests_that_fail_by_themselves_kill_nothing(project):
    (project.folder / "test/test_tested.c").write_text("int main(void) { return 1; }\n")
    status, output = project.mutate(TURNED)
    assert status == 1 and "fails without a mutation" in output


def test_the_table_fits_the_sources():
    done = subprocess.run([ROOT / "scripts/mutate", "--list"], check=True, stdout=subprocess.PIPE, text=True)
    assert len(done.stdout.splitlines()) >= 100

# SPDX-License-Identifier: BSD-3-Clause
"""scripts/lint needs its tools: if a tool is missing, a check fails."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONG = "/* SPDX-License-Identifier: BSD-3-Clause */\nvoid f(void)\n{\n" + "\t;\n" * 130 + "}\n"


@pytest.fixture
def lint(tmp_path):
    """Run scripts/lint on one source with these tools left out; {check: its verdict}."""
    def run(source, *without, compiled=True):
        project, programs = tmp_path / "project", tmp_path / "bin"
        (project / "scripts").mkdir(parents=True)
        for name in ("scripts/lint", "scripts/tidy", ".clang-format", ".clang-tidy"):
            shutil.copy2(ROOT / name, project / name)
        (project / "file.c").write_text(source)
        if compiled:
            (project / "build").mkdir()
            (project / "build/compile_commands.json").write_text(json.dumps([
                {"directory": str(project / "build"), "file": "../file.c", "command": "gcc -c ../file.c"}]))
        subprocess.run(["git", "init", "-q", project], check=True)
        programs.mkdir()
        for program in Path("/usr/bin").iterdir():
            if not program.name.startswith(without or "/"):
                (programs / program.name).symlink_to(program)
        done = subprocess.run([project / "scripts/lint"], env={"PATH": str(programs)}, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        print(done.stdout)
        return {line[8:]: line.split()[0] for line in done.stdout.splitlines() if line.startswith(("ok", "FAILED"))}

    return run


SIZES = "files up to 1500 lines, functions up to 120"


def test_a_short_function_passes(lint):
    verdicts = lint(LONG.replace("\t;\n" * 20, ""))
    assert verdicts[SIZES] == verdicts["clang-format"] == verdicts["shellcheck"] == "ok"


def test_a_long_function_is_found(lint):
    assert lint(LONG)[SIZES] == "FAILED"


@pytest.mark.parametrize("tool, check", [
    ("ctags", SIZES), ("clang-format", "clang-format"), ("clang-tidy", "clang-tidy"), ("shellcheck", "shellcheck"),
    ("codespell", "codespell"),
])
def test_a_tool_that_is_missing_is_no_success(lint, tool, check):
    assert lint(LONG.replace("\t;\n" * 20, ""), tool, "exuberant", "universal")[check] == "FAILED"


SOUND = """/* SPDX-License-Identifier: BSD-3-Clause */
#define TWICE(x) (2 * (x))

int f(const int *p);

int f(const int *p)
{
	return p ? TWICE(*p) : 0;
}
"""


def test_clang_tidy_finds_nothing_in_a_sound_file(lint):
    assert lint(SOUND)["clang-tidy"] == "ok"


@pytest.mark.parametrize("right, wrong", [
    ("p ? TWICE(*p) : 0", "p ? 0 : *p"),
    ("(2 * (x))", "(2 * x)"),
    ("return p ?", "return !strerror(1) ? 1 : p ?"),
    ("return p ?", "return missing.header ? 1 : p ?"),
], ids=["a null pointer is read", "a macro without parentheses", "a function that threads share", "no C at all"])
def test_clang_tidy_finds_a_fault(lint, right, wrong):
    source = SOUND.replace(right, wrong).replace("#define", "#include <string.h>\n\n#define")
    assert lint(source)["clang-tidy"] == "FAILED"


def test_a_source_that_is_not_compiled_is_no_success_of_clang_tidy(lint):
    assert lint(SOUND, compiled=False)["clang-tidy"] == "FAILED"

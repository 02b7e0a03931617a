# SPDX-License-Identifier: BSD-3-Clause
"""scripts/lint needs its tools: if a tool is missing, a check fails."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPDX = "/* SPDX-License-Identifier: BSD-3-Clause */\n"


def source(*lengths):
    """A file of functions. Each has its closing brace so many lines below its name."""
    return SPDX + "\n".join(f"void f{i}(void)\n{{\n" + "\t;\n" * (lines - 2) + "}\n"
                            for i, lines in enumerate(lengths))


SHORT = source(80)


@pytest.fixture
def lint(tmp_path):
    """Run scripts/lint on file.c and other sources, with these tools left out; ({check: verdict}, faults)."""
    def run(source, *without, compiled=True, **more):
        project, programs = tmp_path / "project", tmp_path / "bin"
        (project / "scripts").mkdir(parents=True)
        for name in ("scripts/lint", "scripts/cycles", "scripts/tidy", ".clang-format", ".clang-tidy"):
            shutil.copy2(ROOT / name, project / name)
        sources = {"file.c": source, **{f"{name}.c".replace("_", "/"): text for name, text in more.items()}}
        for path, text in sources.items():
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            (project / path).write_text(text)
        if compiled:
            (project / "build").mkdir()
            (project / "build/compile_commands.json").write_text(json.dumps([
                {"directory": str(project / "build"), "file": f"../{path}", "command": f"gcc -c ../{path}"}
                for path in sources]))
        subprocess.run(["git", "init", "-q", project], check=True)
        programs.mkdir()
        for program in Path("/usr/bin").iterdir():
            if not program.name.startswith(without or "/"):
                (programs / program.name).symlink_to(program)
        done = subprocess.run([project / "scripts/lint"], env={"PATH": str(programs)}, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        print(done.stdout)
        lines = done.stdout.splitlines()
        return {line[8:]: line.split()[0] for line in lines if line.startswith(("ok", "FAILED"))}, [
            line.strip() for line in lines if line.startswith("  ")]

    return run


SIZES = "sizes of files and functions"


def test_short_files_and_functions_pass(lint):
    verdicts, _ = lint(SHORT, test_long=source(*[80] * 13), lib_f=source(50, *[2] * 99), lib_long=source(*[40] * 14))
    assert verdicts[SIZES] == verdicts["clang-format"] == verdicts["shellcheck"] == "ok"


def test_long_files_and_functions_are_found(lint):
    verdicts, faults = lint(source(81), test_long=source(*[80] * 14), lib_f=source(51, *[2] * 99),
                            lib_long=source(*[40] * 15))
    assert verdicts[SIZES] == "FAILED"
    for fault in ("file.c:2: f0 has 81 lines", "test/long.c: 1148 lines", "lib/f.c:2: f0 has 51 lines",
                  "lib/long.c: 630 lines"):
        assert fault in faults


def test_too_many_long_functions_are_found(lint):
    verdicts, faults = lint(SHORT, app_f=source(41, 41, *[2] * 98))
    assert verdicts[SIZES] == "FAILED"
    assert "2 of 100 functions in lib and app have over 40 lines" in faults


@pytest.mark.parametrize("tool, check", [
    ("ctags", SIZES), ("clang-format", "clang-format"), ("clang-tidy", "clang-tidy"), ("shellcheck", "shellcheck"),
    ("codespell", "codespell"),
])
def test_a_tool_that_is_missing_is_no_success(lint, tool, check):
    assert lint(SHORT, tool, "exuberant", "universal")[0][check] == "FAILED"


SOUND = """/* SPDX-License-Identifier: BSD-3-Clause */
#define TWICE(x) (2 * (x))

int f(const int *p);

int f(const int *p)
{
	return p ? TWICE(*p) : 0;
}
"""


def test_clang_tidy_finds_nothing_in_a_sound_file(lint):
    assert lint(SOUND)[0]["clang-tidy"] == "ok"


@pytest.mark.parametrize("right, wrong", [
    ("p ? TWICE(*p) : 0", "p ? 0 : *p"),
    ("(2 * (x))", "(2 * x)"),
    ("return p ?", "return !strerror(1) ? 1 : p ?"),
    ("return p ?", "return missing.header ? 1 : p ?"),
], ids=["a null pointer is read", "a macro without parentheses", "a function that threads share", "no C at all"])
def test_clang_tidy_finds_a_fault(lint, right, wrong):
    code = SOUND.replace(right, wrong).replace("#define", "#include <string.h>\n\n#define")
    assert lint(code)[0]["clang-tidy"] == "FAILED"


def test_a_source_that_is_not_compiled_is_no_success_of_clang_tidy(lint):
    assert lint(SOUND, compiled=False)[0]["clang-tidy"] == "FAILED"


CYCLES = "no more files need each other"


def ring(files):
    """Sources of which each includes the next one, and the last one the first."""
    return {f"lib_base_f{i}": f'{SPDX}#pragma once\n#include "base/f{(i + 1) % files}.c"\n' for i in range(files)}


def test_files_that_need_each_other_are_counted(lint):
    verdicts, _ = lint(SHORT, compiled=False, **ring(46), lib_base_f46=f'{SPDX}#include "base/f0.c"\n')
    assert verdicts[CYCLES] == "ok"


def test_one_more_file_that_needs_others_is_found(lint):
    verdicts, faults = lint(SHORT, compiled=False, **ring(47))
    assert verdicts[CYCLES] == "FAILED"
    assert "47 files need each other; at most 46 may:" in faults


def test_files_and_their_headers_are_one_file(tmp_path):
    for path, needed in {"lib/base/one.c": "base/two.h", "lib/base/one.h": "", "lib/base/two.c": "two.h",
                         "lib/base/two.h": "one.h", "lib/base/alone.c": "alone.h", "lib/base/alone.h": "",
                         "app/end/main.c": "base/two.h"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f'#include "{needed}"\n' if needed else "")
    done = subprocess.run([ROOT / "scripts/cycles"], cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout == "2 files need each other; at most 0 may:\nlib/base/one lib/base/two\n"

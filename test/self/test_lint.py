# SPDX-License-Identifier: BSD-3-Clause
"""scripts/lint needs its tools: without one a check fails instead of finding nothing."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONG = "/* SPDX-License-Identifier: BSD-3-Clause */\nvoid f(void)\n{\n" + "\t;\n" * 130 + "}\n"


@pytest.fixture
def lint(tmp_path):
    """Run scripts/lint on one source with these tools left out; {check: its verdict}."""
    def run(source, *without):
        project, programs = tmp_path / "project", tmp_path / "bin"
        (project / "scripts").mkdir(parents=True)
        for name in ("scripts/lint", ".clang-format"):
            shutil.copy2(ROOT / name, project / name)
        (project / "file.c").write_text(source)
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
    ("ctags", SIZES), ("clang-format", "clang-format"), ("shellcheck", "shellcheck"), ("codespell", "codespell"),
])
def test_a_tool_that_is_missing_is_no_success(lint, tool, check):
    assert lint(LONG.replace("\t;\n" * 20, ""), tool, "exuberant", "universal")[check] == "FAILED"

# SPDX-License-Identifier: BSD-3-Clause
"""meson install puts everything in place, and what it puts there fits together."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from lab import VSWITCHD

BUILD = Path(VSWITCHD).resolve().parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The directory that stands for the root of the file system."""
    root = tmp_path_factory.mktemp("root")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root], check=True, capture_output=True,
                   timeout=60)
    return root


def installed(root):
    return {"/" + str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def python_directory(files):
    (client,) = [path for path in files if path.endswith("/vswitch.py")]
    assert re.fullmatch(r"/usr/local/.*/(dist|site)-packages/vswitch.py", client)
    return Path(client).parent


def test_all_is_there(root):
    files = installed(root)
    assert files == {
        "/usr/local/bin/vswitchd", "/usr/local/bin/vswitchctl", "/usr/local/bin/vswitch-pktgen",
        "/usr/local/share/man/man8/vswitchctl.8", "/usr/local/share/man/man8/vswitchd.8",
        "/usr/local/share/bash-completion/completions/vswitchctl.bash",
        "/usr/local/lib/systemd/system/vswitchd.service", "/usr/local/share/qemu/vhost-user/50-vswitchd.json",
        f"{python_directory(files)}/vswitch.py",
    }


def test_a_man_page_has_every_option(root):
    text = subprocess.run([root / "usr/local/bin/vswitchd", "--help"], capture_output=True, text=True, timeout=20).stdout
    page = (root / "usr/local/share/man/man8/vswitchd.8").read_text()
    page = re.sub(r"\\f.", "", page).replace("\\-", "-").splitlines()
    options = re.findall(r"^  (--\S+(?: [A-Z]\S*)?)  ", text, re.M)
    assert len(options) > 30
    for option in options:
        assert page[page.index(option) - 1] == ".TP", option
    assert any("SIGHUP reads the file" in line for line in page)


def test_programs_run(root):
    for name in ("vswitchd", "vswitchctl", "vswitch-pktgen"):
        done = subprocess.run([root / f"usr/local/bin/{name}", "--version"], capture_output=True, text=True, timeout=20)
        assert (done.returncode, done.stdout.split()[0]) == (0, name)


def test_files_name_the_program_where_it_is(root):
    unit = (root / "usr/local/lib/systemd/system/vswitchd.service").read_text()
    assert (root / re.search(r"^ExecStart=/(\S+)", unit, re.M)[1]).exists()
    discovery = json.loads((root / "usr/local/share/qemu/vhost-user/50-vswitchd.json").read_text())
    assert (root / discovery["binary"][1:]).exists()


def test_bash_finds_the_completion(root):
    script = root / "usr/local/share/bash-completion/completions/vswitchctl.bash"
    done = subprocess.run(["bash", "-c", 'source "$0"; COMP_WORDS=(vswitchctl po); COMP_CWORD=1; _vswitchctl; '
                           'echo "${COMPREPLY[@]}"', script], capture_output=True, text=True, timeout=20,
                          env={"PATH": f"{root}/usr/local/bin:{os.environ['PATH']}"})
    assert (done.stdout, done.stderr) == ("port\n", "")


def test_python_finds_the_client(root):
    directory = root / str(python_directory(installed(root)))[1:]
    done = subprocess.run(["/usr/bin/python3", "-B", "-c", "import vswitch; print(vswitch.__file__)"],
                          capture_output=True, text=True, timeout=20, env={"PYTHONPATH": str(directory)})
    assert done.stdout == f"{directory}/vswitch.py\n"

# SPDX-License-Identifier: BSD-3-Clause
"""doc/operating.md is true: its commands work, and its tables and log lines are those of the program.

A command that no check here knows is a failure, so a new command in the book needs a check. What needs
root of a whole host, a guest with an operating system or libvirt is checked as far as possible.
"""

import functools
import grp
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import stat
import subprocess
import textwrap
import time
import xml.etree.ElementTree as tree
from pathlib import Path

import pytest

from lab import ROOT, VSWITCHD, Process, Switch, huge_pages_free, not_tested, wait_for

BOOK = ROOT / "doc/operating.md"
PKTGEN = Path(VSWITCHD).resolve().parents[1] / "pktgen/vswitch-pktgen"
CTL = Path(VSWITCHD).resolve().parents[1] / "vswitchctl/vswitchctl"
QEMU = "qemu-system-x86_64"
LANGUAGES = {"sh", "ini", "xml", "json", "text", "yaml"}


# The book's parts.

def fences(text):
    """(language, text) of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)


def blocks(language):
    return [body for name, body in fences(BOOK.read_text()) if name == language]


def prose():
    return re.sub(r"^```.*?^```$", "", BOOK.read_text(), flags=re.M | re.S)


def section(title):
    """The text below a heading, up to the next heading of the same level or a higher one."""
    level = title.split()[0]
    part = BOOK.read_text().split(f"\n{title}\n")
    assert len(part) == 2, f"the book has {len(part) - 1} headings '{title}'"
    return re.split(rf"^#{{1,{len(level)}}} ", part[1], maxsplit=1, flags=re.M)[0]


def rows(text):
    """The first cells of the tables' rows."""
    return [line.split(" | ")[0][2:] for line in text.splitlines() if re.match(r"\| [`a-z]", line)]


def quoted(text):
    return re.findall(r"`([^`]+)`", text)


def commands():
    for body in blocks("sh"):
        for line in body.replace("\\\n", "").splitlines():
            if line.strip() and not line.startswith("#"):
                yield re.sub(r" +", " ", line)


def test_every_block_says_what_it_is():
    assert {name for name, _ in fences(BOOK.read_text())} == LANGUAGES
    assert not re.search(r"^(?: {4}|\t)", prose(), re.M), "an indented block does not say what it is"


def test_lines_are_short():
    long = [number for number, line in enumerate(BOOK.read_text().splitlines(), 1) if len(line) > 100]
    assert long == []


def anchors(path):
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere():
    links = re.findall(r"\]\(\s*([^)#]*)#?([^)]*)\)", prose())
    assert len(links) > 40
    for name, anchor in links:
        path = BOOK.parent / name if name else BOOK
        assert path.exists(), name
        assert not anchor or anchor in anchors(path), f"{name}#{anchor}"


# The commands.

def cpus_like(text):
    """As many CPUs as a list of CPUs has, of those of this machine."""
    count = sum(int(last or first) - int(first) + 1 for first, last in re.findall(r"(\d+)(?:-(\d+))?", text))
    allowed = sorted(os.sched_getaffinity(0))
    return ",".join(map(str, allowed[-count:]))


def for_this_machine(lab, words):
    """Paths below the lab, and CPUs, groups and pages that are here."""
    words = [word.replace("/run/vswitch", str(lab.dir)) for word in words]
    for i, word in enumerate(words[:-1]):
        if word in ("--lcores", "-c"):
            words[i + 1] = cpus_like(words[i + 1])
    program = words.index("vswitchd")
    words[program] = VSWITCHD
    if not huge_pages_free():
        not_tested("huge-pages", "the book's commands with huge pages")
        words.insert(program + 1, "--no-huge")
    return words


def run_switch(lab, words, **popen):
    """Start it, see that it is ready and has nothing to complain about; the process."""
    switch = Process(lab, "vswitchd", for_this_machine(lab, words), **popen)
    wait_for(lambda: "ready:" in switch.err() or not switch.alive(), "ready switch", 10)
    assert switch.alive(), switch.err()
    assert "warning" not in switch.err(), switch.err()
    return switch


def end_switch(switch):
    switch.signal(signal.SIGTERM)
    assert switch.wait(3) == 0, switch.err()


def check_switch(lab, words):
    switch = run_switch(lab, words)
    for option, value in zip(words, words[1:]):
        if option == "--socket-path" and "--client" not in words:
            assert (lab.dir / Path(value).name).is_socket()
    end_switch(switch)
    for option, value in zip(words, words[1:]):
        if option == "--stats-json":
            assert json.loads((lab.dir / Path(value).name).read_text())["version"]


def check_qemu(lab, words):
    """QEMU takes all of it and connects; the guest does not run."""
    line = " ".join(words).replace("-accel kvm", "-accel tcg").replace("1G", "64M")
    line = line.replace("file=vm1.qcow2", f"file={lab.dir}/disk,format=raw").replace("/run/vswitch", str(lab.dir))
    if "hugetlb=on" in line and huge_pages_free() < 64:
        not_tested("huge-pages", "the book's QEMU with huge pages")
        line = re.sub(",hugetlb=on,hugetlbsize=2M,prealloc=on", "", line)
    (lab.dir / "disk").write_bytes(bytes(1 << 20))
    modes = ["--client"] * ("server=on" in line) + ["--iommu"] * ("iommu_platform=on" in line)
    switch = Switch(lab, ["vm1.sock"], *modes)
    qemu = Process(lab, "qemu", [*line.split(), "-S", "-nodefaults", "-no-user-config", "-display", "none"])
    wait_for(lambda: "front-end connected" in switch.err() or not qemu.alive(), "connection of QEMU", 10)
    wait_for(lambda: switch.stats()["ports"][0]["connected"] or not qemu.alive(), "connection", 3)
    time.sleep(0.2)
    assert qemu.alive(), qemu.err()
    assert "dropped" not in switch.err() and "warning" not in switch.err(), switch.err()
    said = [text for text in qemu.err().splitlines() if "info: " not in text]
    assert all(any(fits(message, text) for message in qemu_messages()) for text in said), said
    qemu.close()


def check_files(lab, words):
    """install and cp, on a host that is a directory."""
    root = lab.dir / "root"
    *sources, target = [word for word in words[1:] if "/" in word]
    for place in sources if "-D" in words else (*sources, target):
        if place.startswith("/"):
            (root / place[1:]).parent.mkdir(parents=True, exist_ok=True)
    moved = [f"{root}{word}" if word.startswith("/") else word for word in words]
    moved = [VSWITCHD if word == "build/app/vswitchd/vswitchd" else word for word in moved]
    for place in sources:
        if place.startswith("/"):
            shutil.copy(VSWITCHD, root / place[1:])
    done = subprocess.run(moved, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    there = (root / target[1:]).stat()
    assert there.st_size > 0
    if "-m" in words:
        assert stat.S_IMODE(there.st_mode) == int(words[words.index("-m") + 1], 8)


def check_useradd(lab, words):
    (lab.dir / "etc").mkdir()
    for name in ("passwd", "group", "shadow", "gshadow", "login.defs"):
        if Path("/etc", name).exists():
            shutil.copy(f"/etc/{name}", lab.dir / "etc")
    group = lab.dir / "etc/group"
    if not re.search("^kvm:", group.read_text(), re.M):
        group.write_text(group.read_text() + "kvm:x:107:\n")
    done = subprocess.run([words[0], "--prefix", lab.dir, *words[1:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^vswitch:.*nologin$", (lab.dir / "etc/passwd").read_text(), re.M)
    assert re.search(r"^kvm:.*vswitch$", group.read_text(), re.M)
    assert re.search(r"^User=vswitch$", unit(), re.M)


def check_systemctl(lab, words):
    if not shutil.which("systemctl"):
        not_tested("systemd", "the book's systemctl")
        return
    known = subprocess.run(["systemctl", "--help"], capture_output=True, text=True).stdout
    verb, *rest = [word for word in words[1:] if not word.startswith("-")]
    assert re.search(rf"^  {verb}\b", known, re.M), verb
    for option in re.findall(r" --([a-z-]+)", " ".join(words)):
        # The older name, which all versions know, is not in the help of newer ones.
        assert f"--{option.replace('kill-who', 'kill-whom')}" in known, option
    assert rest == ([] if verb == "daemon-reload" else ["vswitchd"])
    if verb == "enable":
        place = lab.dir / "etc/systemd/system/vswitchd.service"
        place.parent.mkdir(parents=True)
        place.write_text(unit())
        subprocess.run([words[0], f"--root={lab.dir}", *words[1:]], check=True, capture_output=True)
        assert (place.parent / "multi-user.target.wants/vswitchd.service").is_symlink()


def check_journalctl(lab, words):
    if not shutil.which("journalctl"):
        not_tested("systemd", "the book's journalctl")
        return
    (lab.dir / "journal").mkdir()
    done = subprocess.run([*words, "--no-pager", "-D", lab.dir / "journal"], capture_output=True, text=True)
    assert done.returncode == 0 or "No journal files" in done.stderr, done.stderr


def check_signal_by_name(lab, words):
    """pkill finds the switch and not its helpers. Others' switches are left alone."""
    program, name, *selection = words
    assert (program, name) == ("pkill", "-USR1")
    switch = Switch(lab, ["a.sock"])
    found = subprocess.run(["pgrep", *selection], capture_output=True, text=True).stdout.split()
    helpers = Path(f"/proc/{switch.pid}/task/{switch.pid}/children").read_text().split()
    assert helpers and str(switch.pid) in found and not set(helpers) & set(found)
    switch.stats()
    assert "port  link" in switch.out()
    switch.stop()


def check_knob(_, words):
    """echo NUMBER > FILE, without doing it."""
    _, number, arrow, path = words
    assert number.isdigit() and arrow == ">" and os.access(path, os.W_OK), path


def check_look(_, words):
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


def check_ctl(lab, words):
    """It asks a switch that has what it names."""
    words = [word.replace("/run/vswitch", str(lab.dir)) for word in words]
    Switch(lab, ["vm1.sock"], "--control", lab.dir / "control.sock")
    env = {"VSWITCH_CONTROL": str(lab.dir / "control.sock")}
    for kind, name, add in (("port", "vm3", ["socket", lab.dir / "vm3.sock"]),
                            ("port", "vm4", ["socket", lab.dir / "vm4.sock"]), ("bridge", "red", [])):
        if name in words and "add" not in words[2:3] or (kind, name) == ("port", "vm3") and words[1] == "fdb":
            subprocess.run([CTL, kind, "add", name, *add], env=env, check=True, timeout=10, capture_output=True)
    words += ["missing_ok"] if "del" in words else []
    if words[-1] == "ports.yaml":
        (file,) = [body for name, body in fences(section("### Ports at run time")) if name == "yaml"]
        (lab.dir / words[-1]).write_text(file.replace("/run/vswitch", str(lab.dir)))
    done = subprocess.run([CTL, *words[1:]], cwd=lab.dir, env=env, capture_output=True, text=True, timeout=10)
    if words[1:3] == ["worker", "move"]:  # no guest runs here
        assert done.returncode == 1 and "1 is not an ingress queue that a worker polls" in done.stderr
        return
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout or {"del", "set", "flush", "add"} & set(words)


def test_the_file_of_the_readme_can_be_applied(lab):
    (file,) = re.findall(r"(?:^    (?:ports:| .*)\n)+", (ROOT / "README.md").read_text(), re.M)[:1]
    assert len(file.splitlines()) == 6
    (lab.dir / "file").write_text(textwrap.dedent(file).replace("/run/vswitch", str(lab.dir)))
    Switch(lab, [], "--control", lab.dir / "control.sock")
    subprocess.run([CTL, "-s", lab.dir / "control.sock", "config", "apply", lab.dir / "file"], check=True, timeout=10)
    assert all((lab.dir / f"vm{number}.sock").is_socket() for number in (1, 2))


CHECKS = [
    (r"vswitchctl ", check_ctl),
    (r"vswitchd --", check_switch),
    (r"taskset -c [-0-9,]+ vswitchd --", check_switch),
    (QEMU, check_qemu),
    (r"(install|cp) ", check_files),
    (r"useradd ", check_useradd),
    (r"systemctl ", check_systemctl),
    (r"journalctl ", check_journalctl),
    (r"pkill ", check_signal_by_name),
    (r"echo \d+ > /(proc|sys)/", check_knob),
    (r"(cat|grep|lscpu) ", check_look),
]


@pytest.mark.parametrize("command", dict.fromkeys(commands()))
def test_command(lab, command):
    check = next((check for pattern, check in CHECKS if re.match(pattern, command)), None)
    assert check, "no check of this test knows the command"
    check(lab, shlex.split(command))


# The service.

def unit():
    return (ROOT / "config/vswitchd.service").read_text()


def service_files():
    """The file of options, and the drop-in."""
    options, drop_in = blocks("ini")
    assert options.startswith("VSWITCHD_ARGS=") and drop_in.startswith("[Service]\n")
    return shlex.split(options.replace("\\\n", ""))[0].removeprefix("VSWITCHD_ARGS=").split(), drop_in


def test_the_unit_and_its_drop_in_are_good(lab):
    if not shutil.which("systemd-analyze"):
        not_tested("systemd", "the unit")
        return
    place = lab.dir / "vswitchd.service"
    place.write_text(unit().replace("/usr/local/bin/vswitchd", VSWITCHD))
    (lab.dir / "vswitchd.service.d").mkdir()
    (lab.dir / "vswitchd.service.d/override.conf").write_text(service_files()[1])
    done = subprocess.run(["systemd-analyze", "verify", place], capture_output=True, text=True)
    mine = [line for line in done.stderr.splitlines() if "vswitchd" in line or "override" in line]
    assert mine == [], done.stderr


def in_group(name):
    """nobody, who is in that group, too."""
    nobody = pwd.getpwnam("nobody")
    return dict(user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[grp.getgrnam(name).gr_gid])


def test_the_services_options_work_for_a_user_of_its_own(lab):
    """Sockets of the group, counters, and huge pages, without any privilege."""
    words, _ = service_files()
    (group,) = re.findall(r"^SupplementaryGroups=(\w+)$", unit(), re.M)
    assert words[words.index("--socket-group") + 1] == group
    if group not in [entry.gr_name for entry in grp.getgrall()]:
        words[words.index("--socket-group") + 1] = group = "users"
    nobody = pwd.getpwnam("nobody")
    os.chown(lab.dir, nobody.pw_uid, nobody.pw_gid)
    os.chmod(lab.dir, 0o755)
    program = shutil.copy(VSWITCHD, lab.dir)
    switch = run_switch(lab, ["vswitchd", *words], executable=program, cwd="/", **in_group(group))
    status = (lab.dir / "vm1.sock").stat()
    assert stat.S_IMODE(status.st_mode) == 0o660
    assert (status.st_uid, status.st_gid) == (nobody.pw_uid, grp.getgrnam(group).gr_gid)
    huge = re.findall(r"^KernelPageSize:\s+2048 kB$", Path(f"/proc/{switch.pid}/smaps").read_text(), re.M)
    assert huge or not huge_pages_free()
    end_switch(switch)
    assert json.loads((lab.dir / "stats.json").read_text())["ports"]


def test_the_xml_is_well_formed_and_shares_memory():
    (text,) = blocks("xml")
    domain = tree.fromstring(text)
    assert domain.find("memoryBacking/access").get("mode") == "shared"
    source = domain.find("devices/interface/source")
    assert source.get("path").startswith("/run/vswitch/") and source.get("mode") == "client"
    assert source.find("reconnect").get("enabled") == "yes"
    assert {"queues", "packed"} <= set(domain.find("devices/interface/driver").keys())
    for span in quoted(prose()):
        if re.fullmatch(r"<.*(/>|</\w+>)", span, re.S):
            tree.fromstring(span)


# What it prints and writes.

def paths_of(value, prefix=""):
    """ "ports[].queues[].frames" and so on. Names that are data, not fields, end a path. """
    if isinstance(value, dict) and not prefix.endswith((".drops", ".addresses")):
        for name, inner in value.items():
            yield from paths_of(inner, f"{prefix}.{name}" if prefix else name)
    elif isinstance(value, list):
        yield f"{prefix}[]"
        for inner in value if not prefix.endswith((".events", ".features")) else []:
            yield from paths_of(inner, f"{prefix}[]")
    else:
        yield prefix


def is_leaf(path):
    return not path.endswith("[]") or path.endswith((".events[]", ".features[]"))


@pytest.fixture(scope="module")
def report():
    """The JSON and the table of a switch that two front-ends use."""
    from lab import Lab
    with Lab() as lab:
        switch = Switch(lab, ["a.sock", "b.sock"], "--record-events", "--workers", 2)
        ports = [word for path in switch.paths for word in ("--port", path)]
        Process(lab, "pktgen", [PKTGEN, "--no-huge", *ports, "--rate", "50k", "--duration", 20])
        wait_for(lambda: all(port["address_count"] for port in switch.stats()["ports"]), "addresses", 15, 0.2)
        stats = switch.stats()
        wait_for(lambda: "balance" in switch.out(), "table")
        yield stats, switch.out()


def test_the_json_has_the_fields_of_the_book(report):
    fields = {path for path in paths_of(report[0]) if is_leaf(path)}
    described = quoted("\n".join(rows(section("### The JSON"))))
    assert len(described) == len(set(described))
    assert set(described) == fields


def test_an_event_has_the_fields_of_the_book(report):
    (example,) = map(json.loads, blocks("json"))
    events = [event for port in report[0]["ports"] for queue in port["queues"] for event in queue["events"]]
    assert events and {tuple(event) for event in events} == {tuple(example)}


def test_the_table_has_the_words_of_the_book(report):
    text = report[1] + (ROOT / "lib/control/report_text.c").read_text()
    for word in quoted("\n".join(rows(section("### The table")))):
        assert re.search(re.escape(word).replace("N", r"(\d+|%d)"), text), word
    heading = next(line for line in report[1].splitlines() if line.startswith("port "))
    assert heading.split() in [line.split() for line in section("### The table").splitlines()]


def test_drop_reasons_are_those_of_the_code():
    names = re.findall(r'^\tX\(\w+, "([a-z-]+)"', (ROOT / "lib/datapath/drop.h").read_text(), re.M)
    assert len(names) > 10
    assert quoted("\n".join(rows(section("### Why frames are dropped")))) == names


# Log lines.

CONVERSION = r"(?:0x)?%[-+ #0]*[\d*]*(?:\.[\d*]+)?(?:hh?|ll?|z|j)?[diouxXcsp]"
LITERAL = r'"(?:\\.|[^"\\])*"'


@functools.cache
def literals():
    """All string literals of the program; neighbours are one, and so are macros among them."""
    found = set()
    for path in [path for folder in ("app/vswitchd", "lib") for path in (ROOT / folder).rglob("*.[ch]")]:
        text = path.read_text().replace("\\\n", "")
        # The sandbox may not format: it writes its line in three pieces.
        text = re.sub(r'"\);\s*say\((?!")[^;]*\);\s*say\("', "%s", text)
        for name, body in re.findall(rf"^#define (\w+)\s+((?:{LITERAL}\s*)+)$", text, re.M):
            text = re.sub(rf"(?<!define )\b{name}\b", lambda _, body=body: body, text)
        text = re.sub(r'(?<!\\)"\s+"', "", re.sub(r'\bPRI\w+', '"d"', text))
        found.update(one[1:-1].replace('\\"', '"').replace("\\n", "") for one in re.findall(LITERAL, text))
    return found


@functools.cache
def formats():
    """(pattern, letters besides the conversions) of each literal; a name that comes first may be left out."""
    made = []
    for literal in literals():
        pieces = re.split(CONVERSION, re.sub(r"^vswitchd: \w+: ", "", literal).replace("%%", "%"))
        pattern = "(.*?)".join(map(re.escape, pieces))
        pattern = re.sub(r"^\(\.\*\?\):\\ ", "(?:(.*?): )?", pattern)
        made.append((re.compile(pattern), sum(map(str.isalpha, "".join(pieces)))))
    return made


def explained(text, depth=0):
    """Is it a line of the program, or may it stand for a value in one?"""
    if depth and (not text or re.fullmatch(r"[A-Z]+|[0-9]+|/.*", text) or text in literals()):
        return True
    if depth and text in {os.strerror(number) for number in range(1, 40)}:
        return True
    for pattern, letters in formats():
        match = pattern.fullmatch(text) if letters >= 5 and depth < 2 else None
        if match and all(explained(group or "", depth + 1) for group in match.groups()):
            return True
    return False


def lines_of_troubles():
    """The lines that entries of the troubleshooting part begin with."""
    text = section("## Troubleshooting").replace(section("### Messages of QEMU"), "")
    for entry in re.findall(r"^\* (`[^`]+`(?:,\s+`[^`]+`)*)\.\s", text, re.M):
        yield from (re.sub(r"\s+", " ", line) for line in quoted(entry))


@pytest.mark.parametrize("line", lines_of_troubles())
def test_log_line_is_one_of_the_program(line):
    assert explained(line)


def test_there_are_log_lines():
    assert len(list(lines_of_troubles())) > 30


def test_log_lines_in_blocks_are_those_of_the_program():
    lines = [line for body in blocks("text") for line in body.splitlines()]
    shown = [re.sub(r"^vswitchd: \w+: ", "", line) for line in lines if line.startswith("vswitchd: ")]
    shown += [body.strip() for body in blocks("text") if body.count("\n") == 1 and not body.startswith("vswitchd: ")]
    assert len(shown) >= 5
    for line in shown:
        line = re.sub(r"^(/run/\S+|control socket): ", "", line)
        assert any(pattern.fullmatch(line) for pattern, letters in formats() if letters >= 6), line


def qemu_messages():
    return [re.sub(r"\s+", " ", line) for line in re.findall(r"^\* `([^`]+)`", section("### Messages of QEMU"), re.M)]


def fits(message, line):
    """Does QEMU's line have this message, whose words in capitals stand for what differs?"""
    return re.search(".+".join(map(re.escape, re.split(r"\b[A-Z]+\b", message))), line) is not None


@functools.cache
def qemu_program():
    return Path(shutil.which(QEMU)).read_bytes()


@pytest.mark.parametrize("message", qemu_messages())
def test_message_is_one_of_qemu(message):
    text = message.removeprefix("warning: ")
    for number in range(1, 130):
        text = text.replace(os.strerror(number), "ERROR")
    pieces = [piece for piece in re.split(r"\b(?!QEMU)[A-Z]+\b|-?\b[0-9]+\b", text) if len(piece) > 6]
    assert pieces and all(piece.encode() in qemu_program() for piece in pieces), pieces

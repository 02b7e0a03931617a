# SPDX-License-Identifier: BSD-3-Clause
"""The control socket of a running switch: methods, wrong input, limits, clients that are slow or half open."""

import json
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab import ROOT, VSWITCHD, Lab, Process, Switch, wait_for

sys.path.insert(0, str(ROOT / "python"))

import vswitch  # noqa: E402

PKTGEN = Path(VSWITCHD).resolve().parents[1] / "pktgen/vswitch-pktgen"
LINE_MAX = 256 << 10
CLIENTS_MAX = 64


class Setting:
    def __init__(self, lab):
        self.lab = lab
        self.path = lab.dir / "control.sock"
        self.file = lab.dir / "vswitchd.yaml"
        self.file.write_text("ports: []\n")
        self.switch = Switch(lab, ["a.sock", "b.sock"], "--control", self.path, "--config", self.file)

    def client(self, **more):
        return vswitch.Client(self.path, **more)

    def connect(self):
        raw = socket.socket(socket.AF_UNIX)
        raw.settimeout(10)
        raw.connect(str(self.path))
        return raw


@pytest.fixture(scope="module")
def setting():
    with Lab() as lab:
        yield Setting(lab)


@pytest.fixture
def client(setting):
    with setting.client() as client:
        yield client


def exchange(raw, data):
    """Send bytes, and read one line."""
    raw.sendall(data)
    return json.loads(raw.makefile("rb").readline())


def test_the_socket_is_for_its_group(setting):
    mode = setting.path.stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660


def test_the_peer_is_logged(setting, client):
    line = f"client connected: pid {os.getpid()}, uid {os.getuid()}, gid {os.getgid()}"
    wait_for(lambda: line in setting.switch.err(), "line of the log")


def test_what_is_shown(setting, client):
    version = client.call("version")["version"]
    shown = client.call("switch.show")
    assert shown["version"] == version
    assert (shown["pid"], shown["ports"], shown["ports_up"], shown["workers"]) == (setting.switch.pid, 2, 0, 1)
    assert shown["addresses_max"] == 65536
    ports = list(client.list("port.list"))
    assert [port["name"] for port in ports] == [str(path) for path in setting.switch.paths]
    assert [port["up"] for port in ports] == [False, False]
    assert client.call("port.show", name=ports[0]["name"]).items() >= ports[0].items()
    assert client.call("port.stats", name=ports[0]["name"]) == {"name": ports[0]["name"], "queues": []}
    assert list(client.list("fdb.list")) == []
    (worker,) = client.list("worker.list")
    assert (worker["index"], worker["queues"]) == (0, 0)


TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "null": type(None)}


def assert_valid(schema, value, defs):
    """A validator for as much of JSON Schema as schema.get uses."""
    if "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]]
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert type(value) in [TYPES[name] for name in types], (schema, value)
    if "enum" in schema:
        assert value in schema["enum"]
    if "minimum" in schema and value is not None:
        assert value >= schema["minimum"]
    if schema["type"] == "array":
        for item in value:
            assert_valid(schema["items"], item, defs)
    for name, member in value.items() if isinstance(value, dict) else ():
        properties = schema.get("properties", {name: {"type": list(TYPES)}})
        assert name in properties or schema.get("additionalProperties", True), name
        if name in properties:
            assert_valid(properties[name], member, defs)


def test_every_answer_is_what_the_schema_says(setting, client):
    schema = client.call("schema.get")
    port = str(setting.switch.paths[0])
    given = {"port.show": {"name": port}, "port.stats": {"name": port}, "log.set": {"level": "info"},
             "config.diff": {"config": {}}, "config.apply": {"config": {}}, "port.set": {"name": port},
             "bridge.add": {"name": "red"}, "bridge.set": {"name": "default"}, "bridge.del": {"name": "red"},
             "fdb.add": {"mac": "52:54:00:00:00:0a", "port": port}, "fdb.del": {"mac": "52:54:00:00:00:0a", "port": port}}
    assert {"version", "switch.show", "port.list", "fdb.list", "worker.list", "schema.get"} < set(schema["methods"])
    for name, method in schema["methods"].items():
        if name not in ("shutdown", "port.add", "port.del", "worker.move"):
            assert_valid(method["result"], client.call(name, **given.get(name, {})), schema["$defs"])


def test_refusals_name_field_value_and_what_is_right(client):
    with pytest.raises(vswitch.Error) as caught:
        client.call("fdb.list", limit=7)
    assert caught.value.code == -32602
    assert caught.value.data == {"field": "limit", "value": 7, "expected": "a number from 16 to 4096"}
    with pytest.raises(vswitch.Error, match='fdb.list: "limt" is not known; did you mean limit') as caught:
        client.call("fdb.list", limt=7)
    with pytest.raises(vswitch.Error) as caught:
        client.call("port.show", name="nowhere")
    assert caught.value.code == -32001
    assert caught.value.data["field"] == "name" and caught.value.data["value"] == "nowhere"


def test_log_level(setting, client):
    client.call("log.set", level="warning")
    before = setting.switch.err().count("client connected")
    with setting.client() as other:
        assert other.call("switch.show")["log_level"] == "warning"
    assert setting.switch.err().count("client connected") == before
    client.call("log.set", level="info")
    assert client.call("switch.show")["log_level"] == "info"


def test_batches_and_notifications(client):
    shown, error, version = client.batch(("switch.show", {}), ("port.show", {"name": "x"}), ("version", {}))
    assert shown["version"] == version["version"] and error.code == -32001
    client.send({"jsonrpc": "2.0", "method": "version"})
    client.send([{"jsonrpc": "2.0", "method": "version"}, {"jsonrpc": "2.0", "method": "no.such"}])
    assert client.call("version") == version


MALFORMED = [
    b"{", b"}{", b"nonsense", b"\xff\xfe\x00", b'{"a":1,"a":2}', b"[" * 100000, b'{"a":' * 1000, b"[[1,2],3", b'"\\ud800"',
    b"99999999999999999999999", b"{}", b"[]", b"7", b"null", b'{"jsonrpc":"2.0","id":{},"method":"version"}',
    b'{"jsonrpc":"2.0","id":1,"method":7}', b'{"jsonrpc":"2.0","id":1,"method":"version","params":[1]}',
    b'{"jsonrpc":"2.0","id":1,"method":"version","params":{"x":' + b"[" * 20 + b"]" * 20 + b"}}",
    b'{"jsonrpc":"2.0","id":1,"method":"' + b"m" * 10000 + b'"}', b"[" + b"0," * 200 + b"0]", b"x" * (LINE_MAX + 9),
    b"[" + b"0," * 40000 + b"0]",
]


@pytest.mark.parametrize("line", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_lines_are_answered_and_forgotten(setting, line):
    raw = setting.connect()
    answer = exchange(raw, line + b"\n")
    answers = answer if isinstance(answer, list) else [answer]
    assert all("error" in one and one["error"]["code"] < 0 for one in answers)
    good = json.dumps({"jsonrpc": "2.0", "id": 5, "method": "version"}).encode()
    assert exchange(raw, good + b"\n")["id"] == 5
    raw.close()


def memory_kb(switch):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{switch.pid}/status").read_text())[1])


def descriptors(switch):
    return len(os.listdir(f"/proc/{switch.pid}/fd"))


def test_ten_thousand_malformed_requests(setting, client):
    client.call("version")
    fds, memory = descriptors(setting.switch), memory_kb(setting.switch)
    lines = [line[:3000] for line in MALFORMED] * 5
    for _ in range(100):
        raw = setting.connect()
        raw.sendall(b"".join(line + b"\n" for line in lines))
        raw.shutdown(socket.SHUT_WR)
        assert raw.makefile("rb").read().count(b"\n") == len(lines)
        raw.close()
    assert client.call("version")
    wait_for(lambda: descriptors(setting.switch) <= fds, "end of all connections")
    assert memory_kb(setting.switch) < memory + 20000


def typical_time(client):
    """Of a request, in seconds: the median of 50."""
    times = []
    for _ in range(50):
        begun = time.monotonic()
        client.call("version")
        times.append(time.monotonic() - begun)
    return sorted(times)[25]


@pytest.mark.alone
def test_slow_and_half_open_clients_keep_nobody_waiting(setting):
    """A hundred clients that send half a line, or do not read; then an operator comes."""
    memory = memory_kb(setting.switch)
    with setting.client() as operator:
        usual = typical_time(operator)
    crowd = []
    asks = json.dumps([{"jsonrpc": "2.0", "id": n, "method": "schema.get"} for n in range(100)]).encode() + b"\n"
    for number in range(100):
        raw = socket.socket(socket.AF_UNIX)
        raw.setblocking(False)
        try:
            raw.connect(str(setting.path))
            raw.send(b'{"half":' if number % 2 else asks)
        except BlockingIOError:
            pass  # the backlog is full
        crowd.append(raw)
        time.sleep(0.02)
    started = time.monotonic()
    with setting.client(timeout=20) as operator:
        assert operator.call("version")
        assert time.monotonic() - started < 10 + 200 * usual
        assert typical_time(operator) < 0.1 + 20 * usual
    assert memory_kb(setting.switch) < memory + 40000
    for raw in crowd:
        raw.close()
    with setting.client() as operator:
        wait_for(lambda: descriptors(setting.switch) < CLIENTS_MAX, "end of all connections")
        assert operator.call("version")


@pytest.mark.alone
def test_the_lines_of_clients_are_limited(setting):
    before = setting.switch.err()
    for _ in range(300):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(setting.path))  # waits if the backlog is full
    with setting.client() as client:
        client.call("version")
    wait_for(lambda: re.search(r"control socket: \d+ more lines", setting.switch.err()[len(before):]), "number", 10)
    lines = setting.switch.err()[len(before):].splitlines()
    assert 0 < len(lines) < 60, lines


def linger():
    """A socket that takes a minute to close, because it waits for its peer to read."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
    held.setblocking(False)
    try:
        while True:
            held.send(b"x" * 65536)
    except BlockingIOError:
        return held, peer


@pytest.mark.parametrize("received", (True, False))
def test_descriptors_of_clients_delay_nobody(setting, client, received):
    """Whether the switch has read the message with the descriptor or not, when it disconnects the client."""
    held, peer = linger()
    raw = setting.connect()
    asks = json.dumps([{"jsonrpc": "2.0", "id": n, "method": "schema.get"} for n in range(100)]).encode()
    if not received:
        raw.sendall(asks + b"\n")
        time.sleep(0.5)
    setting.switch.signal(signal.SIGSTOP)  # so that its descriptor is the last one
    socket.send_fds(raw, [b"\n"], [held.fileno()])
    held.close()
    setting.switch.signal(signal.SIGCONT)
    time.sleep(0.5)
    raw.close()
    started = time.monotonic()
    assert client.call("version")
    time.sleep(0.5)
    assert client.call("version")
    assert time.monotonic() - started < 5
    peer.close()


def test_descriptors_of_clients_have_a_limit(setting, client):
    """They cannot use up all closers: no message is read while 16 descriptors are being closed."""
    client.call("version")
    before = descriptors(setting.switch)
    pairs = [linger() for _ in range(40)]
    crowd = [setting.connect() for _ in range(6)]
    time.sleep(0.5)  # all are accepted
    setting.switch.signal(signal.SIGSTOP)  # so that its descriptors are the last ones
    for raw in crowd:
        socket.send_fds(raw, [b"\n"], [held.fileno() for held, _ in pairs])
    for held, _ in pairs:
        held.close()
    setting.switch.signal(signal.SIGCONT)
    time.sleep(1)
    try:
        told = wait_for(lambda: re.search(r"no request is read: (\d+) desc", setting.switch.err()), "line of the log")
        assert int(told[1]) <= 16 + len(pairs)  # the other messages were not read
        with setting.client(timeout=1) as late, pytest.raises(OSError):
            late.call("version")
    finally:
        for _, peer in pairs:
            peer.close()
    assert client.call("version")
    for raw in crowd:
        raw.close()
    wait_for(lambda: descriptors(setting.switch) <= before, "end of all connections")


def test_a_client_that_shuts_down_is_still_answered(setting):
    raw = setting.connect()
    raw.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "version"}).encode() + b"\n")
    raw.shutdown(socket.SHUT_WR)
    assert b'"result"' in raw.makefile("rb").read()


def names_of(client):
    return [port["name"] for port in client.list("port.list")]


def test_ports_come_and_go(setting, client):
    path = setting.lab.dir / "new.sock"
    before = names_of(client)
    with setting.client() as watcher:
        watcher.call("subscribe", events=["port.added", "port.removed"])
        shown = client.call("port.add", name="new", socket=str(path), queue_pairs=2, offer="all,-ring_packed")
        assert (shown["name"], shown["socket"], shown["queue_pairs"], shown["up"]) == ("new", str(path), 2, False)
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert names_of(client) == [*before, "new"]
        assert client.call("port.add", name="new", socket=str(path), exist_ok=True)["index"] == shown["index"]
        for name, socket_path, field in (("new", path, "name"), ("other", path, "socket"), ("new", "/else", "name")):
            with pytest.raises(vswitch.Error, match="there is a port|has this path") as caught:
                client.call("port.add", name=name, socket=str(socket_path), exist_ok=name == "other")
            assert caught.value.code == -32002
            assert caught.value.data["field"] == field
            assert caught.value.data["value"] == {"name": name, "socket": str(socket_path)}[field]
        assert client.call("port.del", name="new") == {}
        assert not path.exists() and names_of(client) == before
        assert client.call("port.del", name="new", missing_ok=True) == {}
        with pytest.raises(vswitch.Error) as caught:
            client.call("port.del", name="new")
        assert caught.value.code == -32001
        events = [watcher.receive()["params"] for _ in range(2)]
        assert [(event["event"], event["port"]) for event in events] == [("port.added", "new"), ("port.removed", "new")]


@pytest.mark.parametrize("wrong, code, field", (
    ({"name": "new"}, -32602, "socket"),
    ({"name": "new", "socket": "relative"}, -32602, "socket"),
    ({"name": "new", "socket": "/nowhere/at/all.sock"}, -32003, "socket"),
    ({"name": "new", "socket": "/tmp/x.sock", "offer": "all,-packed"}, -32602, "offer"),
    ({"name": "new", "socket": None}, -32602, "socket"),
    ({"name": "new", "socket": "/tmp/x.sock", "queue_pairs": 129}, -32602, "queue_pairs"),
    ({"name": "new", "socket": "/tmp/" + "x" * 200}, -32003, "socket"),
    ({"name": "new", "socket": "/tmp/x.sock", "index": 3}, -32602, "index"),
), ids=range(8))
def test_ports_that_cannot_be_added(setting, client, wrong, code, field):
    before = names_of(client)
    with pytest.raises(vswitch.Error) as caught:
        client.call("port.add", **wrong)
    assert (caught.value.code, caught.value.data["field"]) == (code, field), str(caught.value)
    assert names_of(client) == before


def test_a_feature_that_does_not_exist_is_named(setting, client):
    with pytest.raises(vswitch.Error, match='port.add: offer: there is no feature "packed"; it can be ') as caught:
        client.call("port.add", name="new", socket="/tmp/x.sock", offer="all,-packed")
    assert caught.value.data["value"] == "all,-packed"
    assert {"all", "dpdk-22.11", "ring_packed"} <= set(caught.value.data["expected"].split())


def control_thread_time(switch):
    """CPU time in seconds: the machine may do other things."""
    words = Path(f"/proc/{switch.pid}/task/{switch.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_a_configuration_is_applied(lab):
    path = lab.dir / "control.sock"
    switch = Switch(lab, ["a.sock"], "--control", path)
    given = str(lab.dir / "a.sock")

    def ports(*names, **more):
        return {"ports": [{"name": name, "socket": f"{lab.dir}/{name}.sock", **more} for name in names]}

    def changes(answer):
        return [(entry["action"], entry["name"]) for entry in answer["entries"]]

    with vswitch.Client(path) as client:
        assert [port["name"] for port in client.call("config.get")["ports"]] == [given]
        wanted = ports("one", "two")
        assert changes(client.call("config.diff", config=wanted)) == [("add", "one"), ("add", "two")]
        assert changes(client.call("config.apply", config=wanted, dry_run=True)) == [("add", "one"), ("add", "two")]
        assert names_of(client) == [given]
        assert changes(client.call("config.apply", config=wanted)) == [("add", "one"), ("add", "two")]
        assert names_of(client) == [given, "one", "two"]
        assert changes(client.call("config.apply", config=client.call("config.get"))) == []
        wanted = {"ports": [*ports("two")["ports"], *ports("three", queue_pairs=3)["ports"]]}
        assert changes(client.call("config.apply", config=wanted)) == [("del", "one"), ("add", "three")]
        assert changes(client.call("config.diff", config=wanted)) == []
        assert client.call("port.show", name="three")["queue_pairs"] == 3
        wanted["ports"][1]["queue_pairs"] = 4
        answer = client.call("config.apply", config=wanted)["entries"]
        assert [(entry["action"], entry["because"]) for entry in answer] == [("replace", "queue_pairs")]
        client.call("port.add", name="four", socket=f"{lab.dir}/four.sock", offer="dpdk-22.11", inband=True, max_mtu=1500)
        before = sorted(client.call("config.get")["ports"], key=lambda port: port["name"])
        assert changes(client.call("config.diff", config={"ports": before})) == []
        wanted["ports"].append(next(port for port in before if port["name"] == "four"))
        for wrong in (
            {"ports": [*ports("five")["ports"], {"name": "six", "socket": "/nowhere/at/all.sock"}]},
            {"ports": [{"name": "five", "socket": "relative"}]},
            {"ports": [{"name": "five"}]},
            {"ports": [{"name": "fi\nve", "socket": f"{lab.dir}/five.sock"}]},
            ports(*[f"n{number}" for number in range(1025)]),
            {"ports": [*ports("six", "six")["ports"]]},
            {"ports": [*ports("four")["ports"], {"name": "two", "socket": "/nowhere/at/all.sock"}]},
            {"prots": []},
        ):
            with pytest.raises(vswitch.Error):
                client.call("config.apply", config=wrong)
            after = sorted(client.call("config.get")["ports"], key=lambda port: port["name"])
            assert after == before, wrong
        began = control_thread_time(switch)
        many = ports(*[f"n{number}" for number in range(500)])
        assert len(client.call("config.apply", config=many)["entries"]) == 503
        assert control_thread_time(switch) - began < 1
        assert client.call("config.apply", config={"ports": []})
        wait_for(lambda: names_of(client) == [given], "end of all others")


def private_kb(switch):
    return int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{switch.pid}/status").read_text())[1])


@pytest.mark.alone
def test_removed_ports_leave_neither_memory_nor_many_lines(lab):
    path = lab.dir / "control.sock"
    switch = Switch(lab, [], "--control", path)
    many = [{"name": f"n{number}", "socket": f"{lab.dir}/n{number}.sock"} for number in range(300)]
    with vswitch.Client(path) as client:
        before = private_kb(switch)
        client.call("config.apply", config={"ports": many})
        with_ports = private_kb(switch)
        client.call("config.apply", config={"ports": []})
        assert with_ports > before + 8000
        wait_for(lambda: private_kb(switch) < before + 2000, "end of their memory")
        wait_for(lambda: re.search(r"ports that were removed: \d+ more lines", switch.err()), "number of lines")
    assert switch.err().count("the port is removed") < 30


def listen(path):
    """A socket of another process."""
    path.unlink(missing_ok=True)
    other = socket.socket(socket.AF_UNIX)
    other.bind(str(path))
    other.listen()
    return other


def test_what_was_removed_comes_back(lab):
    """A configuration that fails after ports were removed; two of them are up, and one cannot come back."""
    path = lab.dir / "control.sock"
    switch = Switch(lab, ["a.sock", "b.sock"], "--control", path)
    ports = [word for name in switch.paths for word in ("--port", name)]
    Process(lab, "pktgen", [PKTGEN, "--no-huge", *ports, "--rate", "1k", "--duration", 60])
    with vswitch.Client(path) as client, listen(lab.dir / "busy.sock"):
        wait_for(lambda: client.call("switch.show")["ports_up"] == 2, "guests", 15)
        client.call("port.add", name="vm", socket=f"{lab.dir}/vm.sock")
        before = client.call("config.get")
        wanted = {"ports": [{**port, "max_mtu": 1500} for port in before["ports"]]}
        wanted["ports"][-1]["socket"] = f"{lab.dir}/busy.sock"
        with pytest.raises(vswitch.Error, match="busy.sock") as caught:
            client.call("config.apply", config=wanted)
        assert "could not be added again" not in str(caught.value)
        after = client.call("config.get")  # a port takes the first index that is free by then
        assert sorted(after["ports"], key=str) == sorted(before["ports"], key=str)
        assert all(stat.S_ISSOCK(Path(port["socket"]).stat().st_mode) for port in before["ports"])
        with listen(lab.dir / "vm.sock"):
            with pytest.raises(vswitch.Error, match="busy.sock.*; 1 port that was removed could not be added again"):
                client.call("config.apply", config=wanted)
        assert sorted(names_of(client)) == [str(path) for path in switch.paths]


def test_there_is_room_to_come_back(lab):
    path = lab.dir / "control.sock"
    Switch(lab, [], "--control", path)
    many = [{"name": f"n{number}", "socket": f"{lab.dir}/n{number}.sock"} for number in range(400)]
    with vswitch.Client(path) as client:
        client.call("config.apply", config={"ports": many})
        more = [{**port, "name": f"m{port['name']}", "socket": f"{port['socket']}.m"} for port in many]
        assert len(client.call("config.diff", config={"ports": more})["entries"]) == 800
        wanted = [{**port, "max_mtu": 1500} for port in many]
        assert len(client.call("config.diff", config={"ports": wanted[:300] + many[300:]})["entries"]) == 300
        with pytest.raises(vswitch.Error, match="800 places for ports .* only 624 are free now") as caught:
            client.call("config.diff", config={"ports": wanted})
        assert caught.value.code == -32004


def test_events_of_ports(lab):
    path = lab.dir / "control.sock"
    switch = Switch(lab, ["a.sock", "b.sock"], "--control", path)
    names = {str(port) for port in switch.paths}
    with vswitch.Client(path, timeout=20) as watcher:
        watcher.call("subscribe", events=["port.up", "port.down"])
        ports = [word for name in names for word in ("--port", name)]
        guests = Process(lab, "pktgen", [PKTGEN, "--no-huge", *ports, "--rate", "1k", "--duration", 60])
        ups = [watcher.receive()["params"] for _ in range(2)]
        assert {(event["event"], event["port"]) for event in ups} == {("port.up", name) for name in names}
        assert all(abs(event["time"] / 1000 - time.time()) < 60 for event in ups)
        guests.signal(signal.SIGKILL)
        last = {}
        while set(last) < names or set(last.values()) != {"port.down"}:
            event = watcher.receive()["params"]
            last[event["port"]] = event["event"]


def test_relative_paths_can_be_applied_again(lab):
    switch = Switch(lab, [], "--socket-path", "a.sock", "--control", "control.sock", cwd=lab.dir)
    with vswitch.Client(lab.dir / "control.sock") as client:
        (port,) = client.call("config.get")["ports"]
        assert (port["name"], port["socket"]) == (f"{lab.dir}/a.sock", f"{lab.dir}/a.sock")
        assert client.call("config.apply", config={"ports": [port]})["entries"] == []
        client.call("port.del", name=port["name"])
        assert [entry["action"] for entry in client.call("config.apply", config={"ports": [port]})["entries"]] == ["add"]
    switch.stop()
    deep = lab.dir / ("d" * 100)
    deep.mkdir()
    Switch(lab, [], "--socket-path", "a.sock", cwd=deep, name="deep")
    assert stat.S_ISSOCK((deep / "a.sock").stat().st_mode)


def test_sockets_of_a_configuration_differ(lab):
    path = lab.dir / "control.sock"
    given = str(Switch(lab, ["a.sock"], "--control", path).paths[0])
    with vswitch.Client(path) as client:
        client.call("config.apply", config={"ports": [{"name": "vm", "socket": f"{lab.dir}/vm.sock"}]})
        before = client.call("config.get")
        for socket_path, other in ((f"{lab.dir}/one.sock", "port one of the configuration"), (given, f"port {given} of"),
                                   (str(path), "switch listens there itself")):
            ports = [{"name": "one", "socket": f"{lab.dir}/one.sock"}, {"name": "vm", "socket": socket_path}]
            for method in ("config.diff", "config.apply"):
                with pytest.raises(vswitch.Error, match=f"is not free: the {re.escape(other)}") as caught:
                    client.call(method, config={"ports": ports})
                assert (caught.value.data["field"], caught.value.data["value"]) == ("socket", socket_path)
            assert client.call("config.get") == before
        ports = [{"name": "vm", "socket": given}, {"name": given, "socket": f"{lab.dir}/vm.sock"}]
        client.call("config.apply", config={"ports": ports})
        assert {port["name"]: port["socket"] for port in client.call("config.get")["ports"]} == {
            port["name"]: port["socket"] for port in ports}
        client.call("port.del", name=given)
        client.call("port.add", name=given, socket=f"{lab.dir}/later.sock")
        client.call("config.apply", config={"ports": []})
        assert names_of(client) == []


def test_every_event_has_a_cause(lab):
    path = lab.dir / "control.sock"
    switch = Switch(lab, ["a.sock", "b.sock"], "--control", path, "--workers", "2", "--balance", "off")
    ports = [word for name in switch.paths for word in ("--port", name)]
    vm = {"name": "v" * 100, "socket": f"{lab.dir}/vm.sock"}
    with vswitch.Client(path) as client, vswitch.Client(path, timeout=20) as watcher:
        defs = client.call("schema.get")["$defs"]
        promised = set(defs["event"]["properties"]["event"]["enum"])
        watcher.call("subscribe")
        guests = Process(lab, "pktgen", [PKTGEN, "--no-huge", *ports, "--rate", "1k", "--duration", 60])
        wait_for(lambda: client.call("switch.show")["ports_up"] == 2, "guests", 15)
        told = {}

        def take(name):
            while name not in told:
                event = watcher.receive()["params"]
                assert_valid(defs["event"], event, defs)
                told[event["event"]] = event

        take("address.learned")
        address = told["address.learned"]
        client.call("worker.move", port=address["port"], queue=1, to=0)
        client.call("worker.move", port=address["port"], queue=1, to=1)
        client.call("config.apply", config=client.call("config.get"))
        other = next(str(name) for name in switch.paths if str(name) != address["port"])
        client.call("fdb.add", mac=address["mac"], port=other)
        take("address.moved")
        guests.signal(signal.SIGKILL)
        wait_for(lambda: client.call("switch.show")["ports_up"] == 0, "end of the guests", 15)
        client.call("fdb.flush")
        take("address.forgotten")
        for _ in range(1200):  # more events than the buffers for a client that does not read
            client.call("port.add", **vm)
            client.call("port.del", name=vm["name"])
        take("overrun")
        assert set(told) == promised


def test_a_port_that_is_removed_while_its_guest_sends(lab):
    path = lab.dir / "control.sock"
    switch = Switch(lab, ["a.sock", "b.sock"], "--control", path)
    ports = [word for name in switch.paths for word in ("--port", name)]
    Process(lab, "pktgen", [PKTGEN, "--no-huge", *ports, "--rate", "50k", "--duration", 20])
    name = str(switch.paths[0])
    with vswitch.Client(path) as client:
        wait_for(lambda: client.call("switch.show")["ports_up"] == 2, "guests", 15)
        client.call("port.del", name=name)
        assert names_of(client) == [str(switch.paths[1])]
        wait_for(lambda: not list(client.list("fdb.list", limit=16)) or all(
            entry["port"] != name for entry in client.list("fdb.list")), "end of its addresses")
        wait_for(lambda: client.call("port.add", name=name, socket=name, exist_ok=True)["index"] in (0, 2), "port")


def assert_counters_agree(client, reports):
    """When nothing moves, port.list, port.stats and the report say the same."""
    fields = ("index", "frames", "bytes", "unicast", "flooded", "calls")
    for port, report in zip(client.list("port.list"), reports, strict=True):
        queues = client.call("port.stats", name=port["name"])["queues"]
        assert [[queue[name] for name in fields] for queue in queues] == [
            [queue.get(name, 0) for name in fields] for queue in report["queues"]]
        assert [{drop["reason"]: drop["frames"] for drop in queue["drops"]} for queue in queues] == [
            {reason: n for reason, n in queue["drops"].items() if n} for queue in report["queues"]]
        for name, direction in (("in_frames", "ingress"), ("out_frames", "egress")):
            assert port[name] == sum(queue["frames"] for queue in queues if queue["direction"] == direction)
        assert port["drops"] == sum(drop["frames"] for queue in queues for drop in queue["drops"])


def test_ports_with_guests(lab):
    path = lab.dir / "control.sock"
    switch = Switch(lab, ["a.sock", "b.sock", "c.sock"], "--control", path)
    names = [str(port) for port in switch.paths]
    ports = [word for name in names[:2] for word in ("--port", name)]
    guests = Process(lab, "pktgen", [PKTGEN, "--no-huge", *ports, "--rate", "50k", "--duration", 20])
    with vswitch.Client(path) as client:
        wait_for(lambda: len(list(client.list("fdb.list"))) >= 2, "addresses", 15, 0.2)
        addresses = list(client.list("fdb.list", limit=16))
        assert {entry["port"] for entry in addresses} == set(names[:2])
        for name in names:
            mine = {entry["mac"] for entry in client.list("fdb.list", port=name)}
            assert mine == {entry["mac"] for entry in addresses if entry["port"] == name}
            assert client.call("port.show", name=name)["addresses"] == len(mine)
        first, _, third = client.list("port.list")
        assert first["up"] and first["rings"] and first["in_frames"] > 0 and first["pairs_used"] >= 1
        assert not third["up"] and third["in_frames"] == 0
        shown = client.call("port.show", name=names[0])
        assert shown["memory"] > 0 and "version_1" in shown["features"]
        queues = client.call("port.stats", name=names[0])["queues"]
        assert {queue["direction"] for queue in queues} == {"ingress", "egress"}
        assert sum(queue["frames"] for queue in queues if queue["direction"] == "ingress") >= first["in_frames"]
        schema = client.call("schema.get")
        for method, result in (("port.show", shown), ("port.stats", {"name": "x", "queues": queues})):
            assert_valid(schema["methods"][method]["result"], result, schema["$defs"])
        assert client.call("switch.show")["ports_up"] == 2
        assert sum(worker["queues"] for worker in client.list("worker.list")) >= 2
        guests.signal(signal.SIGKILL)
        wait_for(lambda: client.call("switch.show")["ports_up"] == 0, "end of the guests", 15)
        reports = switch.quiet_stats()["ports"]
        assert_counters_agree(client, reports)


def start_guests(setting, client, *options):
    """Two guests that send to each other."""
    ports = [word for name in setting.paths[:2] for word in ("--port", name)]
    guests = Process(setting.lab, "pktgen", [PKTGEN, "--no-huge", *ports, "--json", setting.lab.dir / "result.json", *options])
    wait_for(lambda: client.call("switch.show")["ports_up"] == 2, "guests", 15)
    return guests


class Guested:
    """A switch of one test."""

    def __init__(self, lab, *options):
        self.lab = lab
        self.path = lab.dir / "control.sock"
        self.switch = Switch(lab, ["a.sock", "b.sock"], "--control", self.path, *options)
        self.paths = self.switch.paths
        self.names = [str(path) for path in self.paths]

    def client(self):
        return vswitch.Client(self.path)


def test_clients_are_told_of_addresses(lab):
    setting = Guested(lab)
    a, b = setting.names
    with setting.client() as client, setting.client() as watcher:
        def told():
            event = watcher.receive()["params"]
            return event["event"].removeprefix("address."), event["mac"], event["vlan"], event.get("port")

        watcher.socket.settimeout(10)
        client.call("fdb.add", mac="52:54:00:00:00:01", port=a)
        watcher.call("subscribe", events=["address.learned", "address.moved", "address.forgotten"])
        client.call("fdb.add", mac="52:54:00:00:00:02", port=a)
        assert told() == ("learned", "52:54:00:00:00:02", None, a), "only what has changed since then"
        client.call("fdb.del", mac="52:54:00:00:00:01", port=a)
        assert told() == ("forgotten", "52:54:00:00:00:01", None, None)
        start_guests(setting, client, "--rate", "1k", "--duration", 60)
        kind, mac, vlan, port = sorted([told(), told()])[0]
        assert (kind, vlan, port in (a, b)) == ("learned", None, True)
        other = b if port == a else a
        client.call("fdb.add", mac=mac, port=other)
        assert told() == ("moved", mac, None, other)
        client.call("bridge.add", name="red")
        client.call("port.add", name="c", socket=f"{lab.dir}/c.sock", bridge="red", vlan=7)
        client.call("fdb.add", mac="52:54:00:00:00:03", port="c", vlan=7)
        assert told() == ("learned", "52:54:00:00:00:03", 7, "c")
        client.call("port.del", name="c")
        assert told() == ("forgotten", "52:54:00:00:00:03", 7, None)
        client.call("bridge.del", name="red")
        client.call("bridge.add", name="green")  # in its place
        client.call("port.add", name="c", socket=f"{lab.dir}/c.sock", bridge="green")
        client.call("fdb.add", mac="52:54:00:00:00:04", port="c")
        assert told() == ("learned", "52:54:00:00:00:04", None, "c")


def test_the_copy_of_a_table_goes_when_no_client_wants_to_know(lab):
    """And a client that comes again gets all that changes, however large the table is."""
    setting = Guested(lab, "--mac-table", "1000000")

    def megabytes():
        return int(re.search(r"^RssAnon:\s+(\d+) kB", Path(f"/proc/{setting.switch.pid}/status").read_text(), re.M)[1]) >> 10

    with setting.client() as client:
        before = megabytes()
        for n in range(2):
            with setting.client() as watcher:
                watcher.socket.settimeout(20)
                watcher.call("subscribe", events=["address.learned"])
                client.call("fdb.add", mac=f"52:54:00:00:01:{n:02x}", port=setting.names[0])
                assert watcher.receive()["params"]["mac"] == f"52:54:00:00:01:{n:02x}"
                assert megabytes() > before + 10, "a copy of the table, with which it is compared"
            wait_for(lambda: megabytes() < before + 5, "the end of the watch", 20)


@pytest.mark.alone
def test_many_new_addresses_cost_the_control_thread_little(lab):
    """Guests that send from a million addresses, and a client that is told of as many as it can take."""
    setting = Guested(lab)

    def used():
        return int(Path(f"/proc/{setting.switch.pid}/task/{setting.switch.pid}/schedstat").read_text().split()[0]) / 1e9

    with setting.client() as client, setting.client() as watcher:
        watcher.call("subscribe", events=["address.learned", "address.moved", "address.forgotten"])
        start_guests(setting, client, "--rate", "200k", "--duration", 60, "--macs", 1000000)
        wait_for(lambda: client.call("switch.show")["ports_up"] == 2, "guests", 15)
        begun, before, told = time.monotonic(), used(), 0
        while time.monotonic() < begun + 3:
            told += watcher.receive()["params"]["event"].startswith("address.")
        assert told > 1000
        assert (used() - before) / (time.monotonic() - begun) < 0.25


def test_addresses_can_be_forgotten(lab):
    setting = Guested(lab, "--forget-after", "1000")
    with setting.client() as client:
        guests = start_guests(setting, client, "--rate", "1k", "--duration", 60, "--macs", 10)
        wait_for(lambda: len(list(client.list("fdb.list"))) >= 20, "addresses", 15)
        client.call("fdb.flush")
        time.sleep(0.5)  # until no more are forgotten
        wait_for(lambda: len(list(client.list("fdb.list"))) >= 20, "addresses again", 15)
        guests.signal(signal.SIGKILL)
        wait_for(lambda: client.call("switch.show")["ports_up"] == 0, "end of the guests", 15)
        others = [entry["mac"] for entry in client.list("fdb.list", port=setting.names[1])]
        client.call("fdb.flush", port=setting.names[0])
        wait_for(lambda: [entry["mac"] for entry in client.list("fdb.list")] == others != [], "end of its addresses", 5)
        client.call("fdb.flush")
        wait_for(lambda: not list(client.list("fdb.list")), "end of all addresses", 5)
        with pytest.raises(vswitch.Error, match='fdb.flush: port: "x" is not a port'):
            client.call("fdb.flush", port="x")


@pytest.mark.alone
@pytest.mark.parametrize("mode", ("off", "dry-run", "on", "rotate"))
def test_queues_can_be_given_to_workers(lab, mode):
    setting = Guested(lab, "--workers", "2", "--balance", mode, "--balance-interval", "3000")
    port = setting.names[0]
    with setting.client() as client:
        with pytest.raises(vswitch.Error, match="queue: 1 is not an ingress queue that a worker polls"):
            client.call("worker.move", port=port, queue=1, to=0)
        guests = start_guests(setting, client, "--rate", "4k", "--ring-size", 4096, "--duration", 4)

        def worker():
            return next(queue["worker"] for queue in client.call("port.stats", name=port)["queues"] if queue["index"] == 1)

        watcher = setting.client()
        watcher.call("subscribe", events=["queue.moved"])
        watcher.socket.settimeout(10)
        for _ in range(20):
            other = 1 - worker()
            moved = client.call("switch.show")["queues_moved"]
            assert client.call("worker.move", port=port, queue=1, to=other) == {}
            assert client.call("switch.show")["queues_moved"] in (moved + 1, moved + 2)
            assert worker() == other or mode == "rotate"
            client.call("worker.move", port=port, queue=1, to=worker())
            while (event := watcher.receive()["params"])["port"] != port:
                pass  # "rotate" moves the other port's queue, too
            assert event == {"event": "queue.moved", "time": event["time"], "port": port, "queue": 1, "from": 1 - event["to"],
                             "to": event["to"]}
            assert event["to"] == other or mode == "rotate"
        for wrong, words in (
            ({"queue": 0}, "queue: 0 is not an ingress queue"), ({"queue": 255}, "queue: 255 is not an ingress queue"),
            ({"to": 2}, "to: 2 is not a worker; worker.list"), ({"to": -1}, "to: -1 is not a number from 0 to 127"),
            ({"port": "x"}, 'port: "x" is not a port'), ({"worker": 1}, "not known"),
        ):
            with pytest.raises(vswitch.Error, match=words):
                client.call("worker.move", **{"port": port, "queue": 1, "to": 0, **wrong})
        assert guests.alive(), "all while frames flow"
        guests.wait(30)
    result = json.loads((lab.dir / "result.json").read_text())
    assert result["received"] == result["sent"] > 5000 and result["reordered"] == result["corrupt"] == 0


@pytest.mark.alone
def test_the_switch_can_be_set(lab):
    setting = Guested(lab, "--workers", "2", "--balance", "off")
    with setting.client() as client:
        before = client.call("switch.show")
        assert (before["balance"], before["balance_interval"], before["balance_threshold"], before["forget_after"]) == (
            "off", 1000, 70, 10)
        assert client.call("switch.set", balance_threshold=60)["balance_threshold"] == 60
        start_guests(setting, client, "--rate", "1k", "--duration", 60)
        assert client.call("switch.show")["queues_moved"] == 0
        client.call("switch.set", balance="rotate", balance_interval=20)
        wait_for(lambda: client.call("switch.show")["queues_moved"] > 20, "moves")
        client.call("switch.set", balance="off")
        moved = client.call("switch.show")["queues_moved"]
        time.sleep(0.2)
        shown = client.call("switch.show")
        assert shown["queues_moved"] == moved
        assert (shown["balance"], shown["balance_interval"], shown["balance_threshold"], shown["forget_after"]) == (
            "off", 20, 60, 10)
        for wrong in ({"balance": "yes"}, {"balance_interval": 0}, {"balance_threshold": 101}, {"forget_after": 1000001},
                      {"ports": 7}, {"version": "2"}):
            with pytest.raises(vswitch.Error) as caught:
                client.call("switch.set", **wrong)
            assert caught.value.code == -32602
        assert client.call("switch.set") | {"uptime": 0, "addresses": 0} == shown | {"uptime": 0, "addresses": 0}


def test_how_long_addresses_stay_can_be_set(lab):
    setting = Guested(lab, "--forget-after", "1000")
    with setting.client() as client:
        guests = start_guests(setting, client, "--rate", "1k", "--duration", 60)
        wait_for(lambda: len(list(client.list("fdb.list"))) >= 2, "addresses", 15)
        guests.signal(signal.SIGKILL)
        wait_for(lambda: client.call("switch.show")["ports_up"] == 0, "end of the guests", 15)
        time.sleep(2.5)
        assert client.call("switch.show")["addresses"] >= 2
        client.call("switch.set", forget_after=1)
        wait_for(lambda: client.call("switch.show")["addresses"] == 0, "end of all addresses", 5)


def test_the_log_tells_who_has_changed_what(setting, client):
    before = len(setting.switch.err())
    who = f"vswitchd: info: control socket: pid {os.getpid()}, uid {os.getuid()}: "
    path = f"{setting.lab.dir}/logged.sock"
    client.call("port.add", name="logged", socket=path, queue_pairs=2, iommu=True)
    client.call("port.add", name="logged", socket=path, exist_ok=True)
    client.call("fdb.flush", port="logged")
    client.call("switch.set", balance="on")
    client.call("port.show", name="logged")
    client.call("config.apply", config={"ports": []}, dry_run=True)
    client.call("config.apply", config={"ports": []})
    with pytest.raises(vswitch.Error):
        client.call("port.del", name="logged")
    wait_for(lambda: who + "config.apply" in setting.switch.err()[before:], "line of the log")
    told = [line.removeprefix(who) for line in setting.switch.err()[before:].splitlines() if line.startswith(who)]
    assert told == [f"port.add logged socket {path} queue_pairs 2 iommu", f"port.add logged socket {path} exist_ok",
                    "fdb.flush port logged", "switch.set balance on", "config.apply"]


@pytest.mark.alone
def test_the_lines_about_changes_are_limited(setting, client):
    """Also those about ports that come and go, each of which has a limit of its own."""
    before = len(setting.switch.err())
    for number in range(400):
        client.call("port.add", name=f"n{number}", socket=f"{setting.lab.dir}/n.sock")
        client.call("port.del", name=f"n{number}")
    assert client.call("version")
    wait_for(lambda: re.search(r"control socket: \d+ more lines", setting.switch.err()[before:]), "number", 10)
    wait_for(lambda: re.search(r"removed: \d+ more lines", setting.switch.err()[before:]), "number", 10)
    lines = setting.switch.err()[before:].splitlines()
    assert 0 < len(lines) < 150, lines


def test_clients_choose_sockets_only_where_the_switch_was_started_with(lab):
    inside, outside, linked = lab.dir / "inside", lab.dir / "outside", lab.dir / "linked"
    for directory in (inside, outside):
        directory.mkdir()
    linked.symlink_to(inside)
    file = lab.dir / "vswitchd.yaml"
    file.write_text("ports: []\n")
    path = lab.dir / "control.sock"
    switch = Switch(lab, ["a.sock"], "--control", path, "--config", file, "--socket-directory", linked)
    with vswitch.Client(path) as client:
        for directory in (inside, linked, lab.dir):
            client.call("port.add", name="new", socket=f"{directory}/new.sock")
            client.call("port.del", name="new")
        for wrong in (f"{outside}/x.sock", "/tmp/x.sock", "/x.sock", f"{inside}/../outside/x.sock", f"{lab.dir}/./x.sock",
                      f"{lab.dir}//x.sock", f"{lab.dir}/inside/", f"{lab.dir}/..", str(lab.dir), f"{lab.dir}x/x.sock"):
            config = {"ports": [{"name": "new", "socket": wrong}]}
            for method, params in (
                ("port.add", {"name": "new", "socket": wrong}), ("port.add", {"name": "new", "socket": wrong, "client": True}),
                ("config.apply", {"config": config}), ("config.diff", {"config": config}),
            ):
                with pytest.raises(vswitch.Error, match="is not in a directory.*--socket-directory DIR allows more") as caught:
                    client.call(method, **params)
                assert caught.value.code == -32003
                assert (caught.value.data["field"], caught.value.data["value"]) == ("socket", wrong)
        file.write_text(f"ports: [{{name: new, socket: {outside}/new.sock}}]\n")
        switch.signal(signal.SIGHUP)
        wait_for(lambda: "new" in names_of(client), "port of the file")
        config = client.call("config.get")
        assert client.call("config.apply", config=config)["entries"] == [], "what is there may be asked for"
        config["ports"][1]["max_mtu"] = 1500
        assert [entry["action"] for entry in client.call("config.apply", config=config)["entries"]] == ["replace"]


CTL = Path(VSWITCHD).resolve().parents[1] / "vswitchctl/vswitchctl"
SOME_FEATURES = ("csum", "guest_csum", "gso", "mrg_rxbuf", "mq", "any_layout", "indirect_desc", "event_idx", "ring_packed",
                 "in_order")


def many_ports(lab, number, name, socket_name):
    """Ports of which no two offer the same."""
    offers = [[feature for bit, feature in enumerate(SOME_FEATURES) if n >> bit & 1] for n in range(number)]
    return [{"name": name.format(n), "socket": f"{lab.dir}/" + socket_name.format(n),
             "offer": "all" + "".join(f",-{feature}" for feature in offer)} for n, offer in enumerate(offers)]


def test_a_thousand_ports_fit_into_lines(lab):
    path = lab.dir / "control.sock"
    Switch(lab, [], "--control", path)
    ports = many_ports(lab, 1024, "n{}", "n{}.sock")
    with vswitch.Client(path, timeout=60) as client:
        assert len(client.call("config.apply", config={"ports": ports})["entries"]) == 1024
        config = client.call("config.get")
        wanted = [{key: value for key, value in port.items() if (key, value) != ("offer", "all")} for port in ports]
        assert config["ports"] == wanted
        assert client.call("config.apply", config=config)["entries"] == [], "and so does a request with all of them"
        pages, start = [], 0
        while start is not None:
            client.send(client.request("port.list", {"from": start}))
            line = client.file.readline()
            assert len(line) < LINE_MAX
            answer = json.loads(line)["result"]
            pages.append([port["name"] for port in answer["entries"]])
            start = answer["next"]
        names = [f"n{number}" for number in range(1024)]
        assert [len(page) for page in pages] == [256] * 4 and sum(pages, []) == names
        assert names_of(client) == names
        few = client.call("port.list", limit=3, **{"from": 1021})
        assert [port["name"] for port in few["entries"]] == names[1021:] and few["next"] is None
        few = client.call("port.list", limit=3, **{"from": 1020})
        assert [port["name"] for port in few["entries"]] == names[1020:1023] and few["next"] == 1023
    listed = subprocess.run([CTL, "-s", path, "port", "list"], capture_output=True, text=True, timeout=60)
    assert [line.split()[0] for line in listed.stdout.splitlines() if line.startswith("n")] == names
    done = subprocess.run([CTL, "-s", path, "complete", "--", "port", "show", ""], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == names


def test_a_configuration_that_is_too_long_is_refused_and_not_cut_off(lab):
    path, file = lab.dir / "control.sock", lab.dir / "vswitchd.yaml"
    file.write_text("ports: []\n")
    switch = Switch(lab, [], "--control", path, "--config", file)
    with vswitch.Client(path, timeout=60) as client:
        for port in many_ports(lab, 1000, "x" * 120 + "{}", "y" * 50 + "{}.sock"):
            client.call("port.add", **port)
        with pytest.raises(vswitch.Error, match="config.get: the configuration has [0-9]+ bytes.*config.save") as caught:
            client.call("config.get")
        assert caught.value.code == -32000
        assert client.call("config.save") == {}
        assert file.stat().st_size > LINE_MAX
        switch.signal(signal.SIGHUP)
        wait_for(lambda: "read again: nothing differs" in switch.err(), "line of the log")


def test_lists_in_requests_have_a_limit(setting, client):
    for method, params, words in (
        ("subscribe", {"events": ["port.up"] * 11}, "a list of at most 10; each part: one of port.added"),
        ("config.diff", {"config": {"ports": [{"name": f"n{n}", "socket": "/x"} for n in range(1025)]}}, "a list of at most 1024"),
    ):
        with pytest.raises(vswitch.Error, match=f"is not {words}") as caught:
            client.call(method, **params)
        assert caught.value.code == -32602


@pytest.mark.alone
def test_a_large_configuration_keeps_nobody_waiting(lab):
    """Others are served in between, and it takes less than a second of the control thread."""
    path = lab.dir / "control.sock"
    switch = Switch(lab, ["a.sock"], "--control", path)
    with vswitch.Client(path) as client, vswitch.Client(path) as other:
        client.send(client.request("config.apply", {"config": {"ports": many_ports(lab, 500, "n{}", "n{}.sock")}}))
        served, ports = 0, 0
        began = control_thread_time(switch)
        while ports < 501:
            ports = other.call("switch.show")["ports"]
            served += 1
        assert served > 50
        assert control_thread_time(switch) - began < 1
        assert len(client.receive()["result"]["entries"]) == 500


def test_shutdown_ends_the_switch(lab):
    path = lab.dir / "control.sock"
    switch = Switch(lab, ["a.sock"], "--control", path)
    with vswitch.Client(path) as client:
        assert client.call("shutdown") == {}
    assert switch.wait(5) == 0
    assert not path.exists()
    assert "ending on Terminated" in switch.err()


def test_a_switch_without_ports(lab):
    path = lab.dir / "control.sock"
    Switch(lab, [], "--control", path)
    with vswitch.Client(path) as client:
        assert list(client.list("port.list")) == []


def start_bare(lab, name, **environment):
    """A switch that chooses its control socket itself."""
    program = [VSWITCHD, "--no-huge", "--socket-path", lab.dir / f"{name}.sock"]
    process = Process(lab, name, program, env={**os.environ, **environment})
    wait_for(lambda: "ready:" in process.err() or not process.alive(), "ready switch", 20)
    return process


def test_the_usual_place(lab):
    first = start_bare(lab, "first", RUNTIME_DIRECTORY=f"{lab.dir}:/elsewhere")
    with vswitch.Client(lab.dir / "control.sock") as client:
        assert client.call("switch.show")["pid"] == first.pid
    second = start_bare(lab, "second", RUNTIME_DIRECTORY=str(lab.dir))
    assert second.err().count("no control socket: another switch has") == 1
    absent = start_bare(lab, "absent", RUNTIME_DIRECTORY=f"{lab.dir}/absent")
    assert absent.err().count(f"no control socket: there is no directory {lab.dir}/absent;") == 1
    first.signal(signal.SIGTERM)
    first.wait(5)
    assert not (lab.dir / "control.sock").exists()


def test_a_socket_that_cannot_be(lab):
    done = subprocess.run([VSWITCHD, "--no-huge", "--control", lab.dir / "no" / "where"], capture_output=True, text=True,
                          timeout=20)
    assert done.returncode == 1
    assert done.stderr == f"vswitchd: error: {lab.dir}/no/where: cannot listen: there is no directory {lab.dir}/no\n"

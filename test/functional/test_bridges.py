# SPDX-License-Identifier: BSD-3-Clause
"""Bridges, VLANs and static addresses by the control socket: what is asked, told, applied and saved."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab import ROOT, VSWITCHD, Lab, Switch, wait_for

sys.path.insert(0, str(ROOT / "python"))

import vswitch  # noqa: E402

VSWITCHCTL = Path(VSWITCHD).resolve().parents[1] / "vswitchctl/vswitchctl"
PKTGEN = Path(VSWITCHD).resolve().parents[1] / "pktgen/vswitch-pktgen"


NO_POLICY = {"mac_limit": 0, "mac_move_guard": False, "isolated": False, "storm_broadcast": 0, "storm_multicast": 0,
             "storm_unknown": 0}


class Setting:
    def __init__(self, lab):
        self.lab = lab
        self.path = lab.dir / "control.sock"
        self.file = lab.dir / "vswitchd.yaml"
        self.file.write_text("ports: []\n")
        self.switch = Switch(lab, ["a.sock", "b.sock"], "--control", self.path, "--config", self.file)
        self.names = [str(path) for path in self.switch.paths]

    def client(self):
        return vswitch.Client(self.path)

    def send(self, *options):
        """Frames from the first port to the second one; returns how many arrived, and were sent."""
        ports = [word for name in self.names for word in ("--port", name)]
        report = self.lab.dir / "result.json"
        subprocess.run([PKTGEN, "--no-huge", *ports, "--rate", "500", "--duration", "0.5", "--pattern", "uni", "--ring-size",
                        "4096", "--json", report, *options], capture_output=True, timeout=60)
        result = json.loads(report.read_text())
        return result["received"], result["sent"]


@pytest.fixture(scope="module")
def setting():
    with Lab() as lab:
        yield Setting(lab)


@pytest.fixture
def client(setting):
    with setting.client() as client:
        yield client
        for name in setting.names:
            client.call("port.set", name=name, bridge="default", vlan_mode="none", mac_static=[], mac_allow=[],
                        **NO_POLICY)
        client.call("config.apply", config={"ports": []})


def refused(client, method, code, words, **params):
    with pytest.raises(vswitch.Error, match=words) as caught:
        client.call(method, **params)
    assert caught.value.code == code, str(caught.value)
    return caught.value.data


def test_bridges_come_and_go(setting, client):
    (default,) = client.list("bridge.list")
    assert (default["name"], default["ports"], default["mac_table"]) == ("default", 2, 65536)
    red = client.call("bridge.add", name="red", mac_table=100, age=7, forward_bpdu=True, drop_unknown=True)
    assert red == {"name": "red", "mac_table": 100, "age": 7, "forward_bpdu": True, "drop_unknown": True, "ports": 0,
                   "addresses": 0}
    assert client.call("bridge.add", name="blue") == {**default, "name": "blue", "ports": 0, "addresses": 0}
    assert client.call("bridge.set", name="red", drop_unknown=False)["drop_unknown"] is False
    assert [bridge["name"] for bridge in client.list("bridge.list")] == ["default", "red", "blue"]
    refused(client, "bridge.add", -32002, "red", name="red")
    refused(client, "bridge.add", -32602, "name", name="not a name")
    refused(client, "bridge.del", -32001, 'name: "green" is not a bridge', name="green")
    refused(client, "bridge.del", -32602, "the default bridge stays", name="default")
    refused(client, "bridge.set", -32602, "not known", name="red", age=9)
    client.call("port.set", name=setting.names[0], bridge="red")
    refused(client, "bridge.del", -32003, "has 1 ports", name="red")
    client.call("port.set", name=setting.names[0], bridge="default")
    for name in ("red", "blue"):
        assert client.call("bridge.del", name=name) == {}
    assert [bridge["name"] for bridge in client.list("bridge.list")] == ["default"]


def test_ports_of_different_bridges_exchange_nothing(setting, client):
    name = setting.names[1]
    received, sent = setting.send()
    assert received == sent > 100
    client.call("bridge.add", name="red")
    assert client.call("port.set", name=name, bridge="red")["bridge"] == "red"
    received, sent = setting.send()
    assert received == 0 and sent > 100
    assert {entry["port"] for entry in client.list("fdb.list", bridge="red")} <= {name}
    assert {entry["port"] for entry in client.list("fdb.list")} == {setting.names[0]}
    client.call("port.set", name=name, bridge="default")
    received, sent = setting.send()
    assert received == sent > 100
    client.call("bridge.del", name="red")


def test_vlans_separate_ports(setting, client):
    first, second = setting.names
    client.call("port.set", name=first, vlan_mode="access", vlan=10)
    client.call("port.set", name=second, vlan_mode="access", vlan=20)
    received, sent = setting.send()
    assert received == 0 and sent > 100
    client.call("port.set", name=second, vlan=10)
    received, sent = setting.send()
    assert received == sent > 100
    (entry,) = client.list("fdb.list", port=first)
    assert (entry["vlan"], entry["static"]) == (10, False)


def settings_of(client, name):
    port = client.call("port.show", name=name)
    return {key: port[key] for key in ("bridge", "vlan_mode", "vlan", "trunk", "tpid", "mac_static") if key in port}


def test_what_is_set_is_told_and_what_is_not_given_stays(setting, client):
    name = setting.names[0]
    usual = {"bridge": "default", "vlan_mode": "none"}
    assert settings_of(client, name) == usual
    client.call("port.set", name=name, vlan_mode="trunk", trunk="30,10-12,4094", tpid="0x88a8")
    assert settings_of(client, name) == {**usual, "vlan_mode": "trunk", "trunk": "10-12,30,4094", "tpid": "0x88a8"}
    client.call("port.set", name=name, vlan=5)
    assert settings_of(client, name) == {**usual, "vlan_mode": "trunk", "trunk": "10-12,30,4094", "tpid": "0x88a8", "vlan": 5}
    client.call("port.set", name=name, trunk="1-4094", mac_static=[{"mac": "52:54:00:00:00:0A", "vlan": 7}])
    assert settings_of(client, name) == {**usual, "vlan_mode": "trunk", "trunk": "1-4094", "tpid": "0x88a8", "vlan": 5,
                                         "mac_static": [{"mac": "52:54:00:00:00:0a", "vlan": 7}]}
    client.call("port.set", name=name, vlan_mode="qinq", mac_static=[])
    assert settings_of(client, name) == {**usual, "vlan_mode": "qinq", "vlan": 5}
    client.call("port.set", name=name, vlan_mode="none")
    assert settings_of(client, name) == usual


def test_a_mode_that_is_not_given_follows_from_the_vlans(setting, client):
    name = setting.names[0]
    for given, mode in (({"vlan": 5}, "access"), ({"trunk": "7"}, "trunk"), ({"trunk": "7", "vlan": 5}, "trunk"),
                        ({"tpid": "0x88a8"}, "trunk")):
        client.call("port.set", name=name, **given)
        assert settings_of(client, name) | given == settings_of(client, name)
        assert settings_of(client, name)["vlan_mode"] == mode
        client.call("port.set", name=name, vlan_mode="none")


def test_native_is_a_word_for_the_vlan_of_a_trunk(setting, client):
    name = setting.names[0]
    told = {"bridge": "default", "vlan_mode": "trunk", "trunk": "10,20-29", "vlan": 10}
    subprocess.run([VSWITCHCTL, "-s", setting.path, "port", "set", name, *"trunk 10,20-29 native 10".split()],
                   check=True)
    assert settings_of(client, name) == told
    client.call("port.set", name=name, native=20)
    assert settings_of(client, name) == {**told, "vlan": 20}
    wanted = {"ports": [{"name": name, "socket": name, "trunk": "10,20-29", "native": 20}]}
    assert client.call("config.diff", config=wanted)["entries"] == []
    wanted["ports"][0]["native"] = 29
    assert client.call("config.apply", config=wanted)["entries"] != []
    assert settings_of(client, name) == {**told, "vlan": 29}


@pytest.mark.parametrize("params, code, words", (
    ({"vlan_mode": "access", "vlan": 5, "native": 5}, -32602, "native: 5 is not used without a trunk"),
    ({"native": 5}, -32602, "native: 5 is not used without a trunk"),
    ({"trunk": "5-7", "vlan": 5, "native": 6}, -32602, "native: 6 is not the same as vlan"),
    ({"trunk": "5-7", "native": 4095}, -32602, "native: 4095 .*1 to 4094"),
    ({"vlan_mode": "none", "vlan": 5}, -32602, "vlan: 5 is not used with vlan_mode none"),
    ({"vlan_mode": "none", "trunk": "5"}, -32602, "trunk: .* is not used without vlan_mode trunk"),
    ({"vlan_mode": "access", "vlan": 5, "trunk": "5"}, -32602, "trunk: .* is not used without"),
    ({"vlan_mode": "qinq", "vlan": 5, "tpid": "0x8100"}, -32602, "tpid: .* is not used without"),
    ({"vlan_mode": "access"}, -32602, "vlan is missing: vlan_mode access and qinq need the VLAN"),
    ({"vlan_mode": "vlan"}, -32602, "is not one of none, trunk, access, qinq"),
    ({"vlan_mode": "access", "vlan": 4095}, -32602, "1 to 4094"),
    ({"vlan_mode": "trunk", "trunk": "10-5"}, -32602, "is not a list of VLANs"),
    ({"vlan_mode": "trunk", "trunk": "10,10"}, -32602, "is not a list of VLANs"),
    ({"bridge": "green"}, -32001, "there is no bridge green"),
    ({"mac_static": [{"mac": "01:00:5e:00:00:01"}]}, -32003, "static address 1 is 0 or a group address"),
    ({"mac_static": [{"vlan": 5}]}, -32602, 'an object with a "mac"'),
    ({"mac_static": [{"mac": f"52:54:00:00:00:{n:02x}"} for n in range(65)]}, -32602, "a list of at most 64"),
    ({"queue_pairs": 5}, -32602, "not known"),
    ({"name": "nowhere"}, -32001, "is not a port"),
))
def test_what_is_refused_changes_nothing(setting, client, params, code, words):
    before = client.call("config.get")
    refused(client, "port.set", code, words, **{"name": setting.names[0], **params})
    assert client.call("config.get") == before
    if "name" not in params and "queue_pairs" not in params:
        refused(client, "port.add", code, words, name="new", socket=f"{setting.lab.dir}/new.sock", **params)
        assert not (setting.lab.dir / "new.sock").exists()


def test_static_addresses(setting, client):
    first, second = setting.names
    client.call("fdb.add", mac="52:54:00:00:00:0a", port=first)
    assert [(entry["mac"], entry["port"], entry["static"]) for entry in client.list("fdb.list") if entry["static"]] == [
        ("52:54:00:00:00:0a", first, True)]
    refused(client, "fdb.add", -32002, "the port has it already", mac="52:54:00:00:00:0A", port=first)
    refused(client, "fdb.add", -32002, "is another port's", mac="52:54:00:00:00:0a", port=second)
    refused(client, "fdb.del", -32001, "a static address of the port", mac="52:54:00:00:00:0a", port=second)
    refused(client, "fdb.del", -32001, "a static address of the port", mac="52:54:00:00:00:0a", port=first, vlan=3)
    client.call("fdb.flush")
    assert len([entry for entry in client.list("fdb.list") if entry["static"]]) == 1
    for number in range(63):
        client.call("fdb.add", mac=f"52:54:00:00:01:{number:02x}", port=first)
    refused(client, "fdb.add", -32004, "has 64 static addresses already", mac="52:54:00:00:02:00", port=first)
    assert client.call("fdb.del", mac="52:54:00:00:00:0a", port=first) == {}
    assert len([entry for entry in client.list("fdb.list") if entry["static"]]) == 63


def test_a_configuration_sets_ports_without_replacing_them(setting, client):
    first = setting.names[0]
    index = client.call("port.show", name=first)["index"]
    wanted = {"ports": [
        {"name": first, "socket": first, "vlan_mode": "trunk", "trunk": "5-7", "mac_static": [{"mac": "52:54:00:00:00:0a"}]},
        {"name": "new", "socket": f"{setting.lab.dir}/new.sock", "vlan_mode": "access", "vlan": 5}]}
    answer = client.call("config.apply", config=wanted)["entries"]
    assert sorted((entry["action"], entry["name"], entry["because"]) for entry in answer) == [
        ("add", "new", None), ("set", first, "vlan_mode")]
    assert client.call("port.show", name=first)["index"] == index
    got = {port["name"]: port for port in client.call("config.get")["ports"]}
    assert [got[first], got["new"]] == wanted["ports"]
    assert client.call("config.apply", config={"ports": list(got.values())})["entries"] == []
    before = client.call("config.get")
    for port, field, value in ((0, "bridge", "green"), (1, "bridge", "green")):
        wrong = json.loads(json.dumps(wanted))
        wrong["ports"][0]["trunk"] = "8"
        wrong["ports"].append({"name": "more", "socket": f"{setting.lab.dir}/more.sock"})
        wrong["ports"][port][field] = value
        with pytest.raises(vswitch.Error, match='bridge: "green" is not a bridge of the configuration'):
            client.call("config.apply", config=wrong)
        assert client.call("config.get") == before, "all or nothing"


def test_settings_are_saved_and_read_again(setting, client):
    client.call("port.add", name="new", socket=f"{setting.lab.dir}/new.sock", vlan_mode="trunk", trunk="1-3,9", vlan=4,
                tpid="0x88a8", mac_static=[{"mac": "52:54:00:00:00:0b", "vlan": 9}, {"mac": "52:54:00:00:00:0c"}])
    client.call("config.save")
    before = client.call("config.get")
    client.call("port.set", name="new", vlan_mode="none", mac_static=[])
    assert client.call("config.get") != before
    setting.switch.signal(signal.SIGHUP)
    wait_for(lambda: client.call("config.get") == before, "settings of the file")
    setting.file.write_text("ports: []\n")


def test_a_fault_of_a_setting_has_a_place(setting, client):
    text = f"ports:\n  - name: new\n    socket: {setting.lab.dir}/new.sock\n    vlan_mode: access\n    vlan: 5\n"
    for wrong, place in (
        (text.replace("vlan: 5", "trunk: 5"), '5:12: port 1, new: trunk: "5" is not used without vlan_mode trunk'),
        (text + "    bridge: green\n", '6:13: bridge: "green" is not a bridge of the configuration'),
        (text + "    mac_static:\n      - mac: 1:2\n", '7:14: mac: "1:2" is not a MAC address'),
    ):
        setting.file.write_text(wrong)
        setting.switch.signal(signal.SIGHUP)
        wait_for(lambda: f"{setting.file}:{place}" in setting.switch.err(), place, 5)
    setting.file.write_text("ports: []\n")


def test_a_configuration_has_bridges(setting, client):
    new = {"name": "new", "socket": f"{setting.lab.dir}/new.sock", "bridge": "red"}
    wanted = {"bridges": [{"name": "red", "mac_table": 100, "drop_unknown": True}, {"name": "blue"}], "ports": [new]}
    answer = client.call("config.apply", config=wanted)["entries"]
    assert sorted((entry["action"], entry["object"], entry["name"]) for entry in answer) == [
        ("add", "bridge", "blue"), ("add", "bridge", "red"), ("add", "port", "new")]
    got = client.call("config.get")
    assert got["bridges"] == wanted["bridges"] and got["ports"][-1] == new
    assert client.call("config.apply", config=got)["entries"] == []
    client.call("config.save")
    # A bridge goes with its port, which is some milliseconds later; another one is set.
    wanted = {"bridges": [{"name": "red", "mac_table": 100}], "ports": []}
    answer = client.call("config.apply", config=wanted)["entries"]
    assert sorted((entry["action"], entry["object"], entry["name"]) for entry in answer) == [
        ("del", "bridge", "blue"), ("del", "port", "new"), ("set", "bridge", "red")]
    assert client.call("config.apply", config={"ports": []})["entries"][0]["name"] == "red"
    assert [bridge["name"] for bridge in client.list("bridge.list")] == ["default"]
    setting.switch.signal(signal.SIGHUP)
    wait_for(lambda: client.call("config.get")["bridges"] == got["bridges"] if len(list(client.list("bridge.list"))) == 3
             else False, "bridges of the file")
    assert client.call("config.apply", config={"bridges": [{"name": "default", "drop_unknown": True}]})
    assert client.call("config.get")["bridges"] == [{"name": "default", "drop_unknown": True}]
    assert client.call("config.apply", config={"ports": []})
    assert "bridges" not in client.call("config.get")
    setting.file.write_text("ports: []\n")


def test_a_port_and_its_bridge_are_removed_at_once(setting, client):
    """The bridge is removed when the removal of the port has ended; a fault brings both back."""
    port = {"name": "new", "socket": f"{setting.lab.dir}/new.sock", "bridge": "red"}
    wanted = {"bridges": [{"name": "red"}], "ports": [port]}
    for _ in range(20):
        client.call("config.apply", config=wanted)
        client.call("config.apply", config={"ports": []})
        assert [bridge["name"] for bridge in client.list("bridge.list")] == ["default"]
    client.call("config.apply", config=wanted)
    before = client.call("config.get")
    wrong = {"bridges": [{"name": "blue"}], "ports": [{**port, "bridge": "blue"}, {
        "name": "bad", "socket": f"{setting.lab.dir}/{'x' * 100}.sock"}]}
    with pytest.raises(vswitch.Error, match="too long"):
        client.call("config.apply", config=wrong)
    assert client.call("config.get") == before
    assert "the bridge stays" not in setting.switch.err()


def test_bridges_of_a_configuration_that_are_refused(setting, client):
    client.call("config.apply", config={"bridges": [{"name": "red"}]})
    client.call("port.set", name=setting.names[0], bridge="red")
    before = client.call("config.get")
    for bridges, ports, words in (
        ([{"name": "red", "mac_table": 7}], [], "mac_table: 7 is not what the bridge has, and cannot change"),
        ([{"name": "red"}, {"name": "red"}], [], 'name: "red" is not there once'),
        ([{"name": "red"}, {"name": "a b"}], [], "a b"),
        ([{"mac_table": 7}], [], "bridge 1: name is missing"),
        ([{"name": "red", "ports": 7}], [], "not known"),
        ([], [], "the bridge red is not in the configuration, but the port .*a.sock of the command line belongs to it"),
        ([{"name": "red"}], [{"name": "new", "socket": f"{setting.lab.dir}/new.sock", "bridge": "blue"}],
         'bridge: "blue" is not a bridge of the configuration'),
    ):
        for method in ("config.diff", "config.apply"):
            if "a b" in words and method == "config.diff":
                continue  # only the switch knows which names it takes
            with pytest.raises(vswitch.Error, match=words):
                client.call(method, config={"bridges": bridges, "ports": ports})
            assert client.call("config.get") == before


def test_static_addresses_move_with_a_port_that_is_replaced(setting, client):
    """The port that is removed still exists for some milliseconds."""
    ports = [{"name": f"n{n}", "socket": f"{setting.lab.dir}/n{n}.sock", "mac_static": [{"mac": f"52:54:00:00:01:{n:02x}"}]}
             for n in range(20)]
    client.call("config.apply", config={"ports": ports})
    for mtu in range(1500, 1510):
        answer = client.call("config.apply", config={"ports": [{**port, "max_mtu": mtu} for port in ports]})["entries"]
        assert [entry["action"] for entry in answer] == ["replace"] * 20
    client.call("port.del", name="n0")
    client.call("fdb.add", mac="52:54:00:00:01:00", port="n1")
    assert len([entry for entry in client.list("fdb.list") if entry["static"]]) == 20


def with_address(lab, name, *numbers, **more):
    return {"name": name, "socket": f"{lab.dir}/{name}.sock", **more,
            "mac_static": [{"mac": f"52:54:00:00:02:{number:02x}"} for number in numbers]}


def test_static_addresses_move_in_any_order(setting, client):
    def apply(*ports):
        answer = client.call("config.apply", config={"ports": list(ports)})["entries"]
        addresses = {entry["mac"][-1]: entry["port"] for entry in client.list("fdb.list") if entry["static"]}
        assert addresses == {entry["mac"][-1]: port["name"] for port in ports for entry in port["mac_static"]}
        return [(entry["action"], entry["name"]) for entry in answer]

    def port(name, *numbers, **more):
        return with_address(setting.lab, name, *numbers, **more)

    apply(port("s1"), port("s2", 1), port("s3", 2))
    assert apply(port("s1", 1), port("s2"), port("s3", 2)) == [("set", "s1"), ("set", "s2")], "to an earlier port"
    apply(port("s1", 2), port("s2"), port("s3", 1))
    apply(port("s1", 1, 3), port("s2"), port("s3", 2)), "a swap"
    assert apply(port("s4", 1), port("s1", 3), port("s2"), port("s3", 2)) == [("add", "s4"), ("set", "s1")], "to a new port"
    assert {("add", "s5"), ("del", "s4")} <= set(apply(port("s5", 1), port("s1", 3), port("s2"), port("s3", 2)))
    apply(port("s5", 1, max_mtu=1400), port("s1"), port("s2", 3), port("s3", 2))


def test_static_addresses_that_have_moved_come_back(setting, client):
    first = [with_address(setting.lab, *port) for port in (("t1", 1, 2), ("t2",), ("t3", 3), ("t4",), ("t5", 4))]
    client.call("config.apply", config={"ports": first})
    before = client.call("config.get")
    late = {"name": "t4", "socket": f"{setting.lab.dir}/{'x' * 120}.sock"}
    early = {**late, "name": "t6"}
    for t4, new in ((late, ()), (first[3], (early,))):
        moved = [with_address(setting.lab, *port) for port in (("t1", 2), ("t2", 1, 3), ("t3", 4))]
        with pytest.raises(vswitch.Error, match="too long") as caught:
            client.call("config.apply", config={"ports": [*moved, t4, *new]})
        assert "could not" not in str(caught.value)
        after = client.call("config.get")
        assert sorted(after["ports"], key=str) == sorted(before["ports"], key=str)
        assert len([entry for entry in client.list("fdb.list") if entry["static"]]) == 4


def test_a_port_has_a_policy(setting, client):
    first, second = setting.names
    policy = {"mac_limit": 5, "mac_move_guard": True, "isolated": True, "storm_broadcast": 6, "storm_multicast": 7,
              "storm_unknown": 8}
    assert client.call("port.show", name=first).items() >= NO_POLICY.items()
    macs = ["52:54:00:00:00:0a", "52:54:00:00:00:0b"]
    assert client.call("port.set", name=first, mac_allow=macs, **policy).items() >= {**policy, "mac_allow": macs}.items()
    config = client.call("config.get")
    assert config["ports"][0] == {"name": first, "socket": first, "mac_allow": macs, **policy}
    assert client.call("config.apply", config=config)["entries"] == []
    client.call("port.set", name=first, mac_allow=[], **NO_POLICY)
    assert [entry["action"] for entry in client.call("config.apply", config=config)["entries"]] == ["set"]
    assert client.call("config.get") == config
    for wrong in ({"mac_limit": 16777217}, {"storm_unknown": -1}, {"mac_allow": ["x"]}, {"mac_allow": macs * 33}, {"isolated": 1}):
        refused(client, "port.set", -32602, "is not", name=first, **wrong)
    assert client.call("config.get") == config


def test_policies_are_in_effect(setting, client):
    first, second = setting.names
    for name in setting.names:
        client.call("port.set", name=name, isolated=True)
    received, sent = setting.send()
    assert received == 0 and sent > 100
    client.call("port.set", name=second, isolated=False)
    client.call("port.set", name=first, mac_allow=["52:54:00:00:00:0a"])
    received, sent = setting.send()
    assert received == 0 and sent > 100
    client.call("port.set", name=first, mac_allow=[])
    received, sent = setting.send()
    assert received == sent > 100

# SPDX-License-Identifier: BSD-3-Clause
"""Bridges with large address tables come and go while others are answered at once."""

import ctypes
import resource
import sys
import threading
from pathlib import Path

import pytest

from lab import ROOT, Switch, wait_for
from raw_client import answer_of, ask

sys.path.insert(0, str(ROOT / "python"))

import vswitch  # noqa: E402

LARGEST = 64 * 65536  # of all bridges besides the default bridge: 64 MiB
PR_SET_THP_DISABLE = 41


class Setting:
    """The switch has small pages, which take longer to get and to free."""

    def __init__(self, lab):
        prctl = ctypes.CDLL(None).prctl
        self.lab = lab
        self.path = lab.dir / "control.sock"
        self.switch = Switch(lab, ["a.sock"], "--control", self.path, "--workers", "1",
                             preexec_fn=lambda: prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))

        self.at_first = self.memory()

    def memory(self):
        """Bytes of its address space."""
        return int(Path(f"/proc/{self.switch.pid}/statm").read_text().split()[0]) * resource.getpagesize()

    def client(self):
        return vswitch.Client(self.path)

    def used(self):
        """The CPU time of the control thread in seconds."""
        return int(Path(f"/proc/{self.switch.pid}/task/{self.switch.pid}/schedstat").read_text().split()[0]) / 1e9

    def errands(self):
        """The CPU times of the threads for errands, by number."""
        times = {}
        for task in Path(f"/proc/{self.switch.pid}/task").iterdir():
            try:
                if (task / "comm").read_text().strip() == "errand":
                    times[task.name] = int((task / "schedstat").read_text().split()[0]) / 1e9
            except OSError:
                pass  # a thread that has ended
        return times

    def errands_used(self, before):
        return sum(time - before.get(task, 0) for task, time in self.errands().items())

    def longest_turn(self, call):
        """The result of call(), and the most that the control thread used between two answers to another client."""
        done, results, longest = threading.Event(), [], 0

        def work():
            try:
                results.append(call())
            finally:
                done.set()

        with self.client() as other:
            other.call("version")
            before = self.used()
            thread = threading.Thread(target=work)
            thread.start()
            while not done.is_set():
                other.call("version")
                now = self.used()
                longest = max(longest, now - before)
                before = now
            thread.join()
        return results[0], longest


@pytest.fixture
def setting(lab):
    return Setting(lab)


def names(client):
    return [bridge["name"] for bridge in client.list("bridge.list")]


def bridges(*sizes):
    return [{"name": f"b{number}", "mac_table": size} for number, size in enumerate(sizes)]


def test_a_large_table_delays_nobody(setting):
    with setting.client() as client:
        client.call("bridge.add", name="first", mac_table=1)  # begins the thread for errands
        client.call("bridge.del", name="first")
        before = setting.errands()
        bridge, longest = setting.longest_turn(lambda: client.call("bridge.add", name="red", mac_table=LARGEST))
        took = setting.errands_used(before)
        print(f"the table took {took * 1e3:.1f} ms, the longest turn {longest * 1e3:.1f} ms")
        assert bridge["mac_table"] == LARGEST and names(client) == ["default", "red"]
        assert longest < took / 2
        client.call("bridge.del", name="red")
        _, longest = setting.longest_turn(lambda: client.call("config.apply", config={"ports": [], "bridges": bridges(LARGEST)}))
        print(f"the longest turn of a configuration {longest * 1e3:.1f} ms")
        assert names(client) == ["default", "b0"]
        assert longest < took / 2


def test_the_end_of_a_large_table_delays_nobody(setting):
    with setting.client() as client:
        client.call("bridge.add", name="red", mac_table=LARGEST)
        errands, control = setting.errands(), setting.used()
        client.call("bridge.del", name="red")
        control = setting.used() - control
        wait_for(lambda: setting.memory() < setting.at_first + (32 << 20), "memory")
        took = setting.errands_used(errands)
        print(f"the errand took {took * 1e3:.1f} ms, the control thread {control * 1e3:.1f} ms")
        assert took > 2 * control
        assert names(client) == ["default"]
        client.call("bridge.add", name="green", mac_table=LARGEST)  # there is room again


def begin(setting, name):
    """Ask for a bridge, and return when its table is being made. There is no other large table."""
    wait_for(lambda: setting.memory() < setting.at_first + (32 << 20), "memory")
    raw = ask(setting.path, "bridge.add", name=name, mac_table=LARGEST - 9)
    wait_for(lambda: setting.memory() > setting.at_first + (32 << 20), "table", interval=0.001)
    return raw


def test_changes_wait_until_a_table_is_there(setting):
    with setting.client() as client:
        first = begin(setting, "red")
        same = ask(setting.path, "bridge.add", name="red", mac_table=7)
        assert answer_of(first)["result"]["mac_table"] == LARGEST - 9
        assert "there is a bridge of this name" in answer_of(same)["error"]["message"]
        client.call("bridge.del", name="red")

        first = begin(setting, "red")
        assert client.call("bridge.del", name="red") == {}
        assert answer_of(first)["result"]["name"] == "red" and names(client) == ["default"]

        first = begin(setting, "red")
        changes = client.call("config.apply", config={"ports": [], "bridges": bridges(5)})["entries"]
        assert sorted((change["action"], change["name"]) for change in changes) == [("add", "b0"), ("del", "red")]
        assert answer_of(first)["result"]["name"] == "red" and names(client) == ["default", "b0"]


def test_a_client_may_go_before_its_table_is_there(setting):
    with setting.client() as client:
        begin(setting, "red").close()
        wait_for(lambda: names(client) == ["default", "red"], "bridge")
        client.call("bridge.del", name="red")
        begin(setting, "red")
    setting.switch.stop()


def test_without_memory_for_a_table_nothing_changes(setting):
    def limit(size):
        resource.prlimit(setting.switch.pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))

    with setting.client() as client:
        client.call("bridge.add", name="first", mac_table=1)  # begins the thread for errands
        client.call("bridge.del", name="first")
        limit(setting.memory() + (40 << 20))
        for method, params in (("bridge.add", {"name": "red", "mac_table": LARGEST}),
                               ("config.apply", {"config": {"ports": [], "bridges": bridges(9, LARGEST - 9)}})):
            with pytest.raises(vswitch.Error, match=r"b.: no memory for a table of \d+ addresses|red: no memory for a table of 4194304 addresses"):
                client.call(method, **params)
            assert names(client) == ["default"]
        limit(resource.RLIM_INFINITY)
        assert client.call("bridge.add", name="red", mac_table=LARGEST)["addresses"] == 0
    assert "error" not in setting.switch.err()

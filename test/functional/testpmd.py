# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's testpmd as a front-end (virtio-user), told what to do over its own prompt."""

import os
import pty
import re
import select
import subprocess
import time

from lab import LabError, huge_pages_free, not_tested

PROMPT = b"testpmd> "
_numbers = {}


def virtio_user(path, *, packed=False, in_order=False, mergeable=True, vectorized=False, size=256,
                queues=1, server=False, mac=None, number=0):
    """The --vdev argument of one virtio-user port."""
    words = [f"net_virtio_user{number}", f"path={path}", f"queues={queues}", f"queue_size={size}"]
    words += [
        f"{name}={int(value)}"
        for name, value in (
            ("packed_vq", packed), ("in_order", in_order), ("mrg_rxbuf", mergeable),
            ("vectorized", vectorized), ("server", server),
        )
    ]
    if mac:
        words.append(f"mac={mac}")
    return ",".join(words)


class Testpmd:
    """A testpmd process on a pseudo terminal."""

    __test__ = False  # the name is a peer's, not a test's

    def __init__(self, lab, vdevs, *options, lcores="0@0,1@0", memory=None, mbufs=40000, name="testpmd",
                 wait=True):
        self.lab = lab
        self.name = name
        self.transcript = bytearray()
        instance = _numbers[lab] = _numbers.get(lab, 0) + 1
        self.argv = ["dpdk-testpmd", "--lcores", lcores, "--no-pci", "--single-file-segments",
                     "--no-telemetry", "--file-prefix", f"{lab.dir.name}-{name}{instance}"]
        if huge_pages_free() >= 150:
            self.argv += ["-m", str(memory or 256)]
        else:
            not_tested("huge-pages", "testpmd with huge pages")
            self.argv += ["--no-huge", "-m", str(memory or 256)]
        for vdev in vdevs:
            self.argv += ["--vdev", vdev]
        self.argv += ["--", "-i", "--total-num-mbufs", str(mbufs), *options]
        master, slave = pty.openpty()
        self.popen = subprocess.Popen(self.argv, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.master = master
        lab.own(self)
        if wait:
            self.wait_prompt(30)

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def wait_prompt(self, timeout=10):
        end = time.monotonic() + timeout
        start = len(self.transcript)
        while PROMPT not in self.transcript[start:]:
            left = end - time.monotonic()
            if left <= 0:
                raise LabError(f"{self.name}: no prompt after {timeout:g} s")
            if not select.select([self.master], [], [], left)[0]:
                continue
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            if not data:
                raise LabError(f"{self.name} ended with {self.popen.wait()}")
            self.transcript += data
        return bytes(self.transcript[start:]).decode(errors="replace")

    def run(self, command, timeout=10):
        """Type a command and return what it printed."""
        os.write(self.master, command.encode() + b"\n")
        return self.wait_prompt(timeout)

    def counters(self):
        """One {RX-packets, TX-packets, ...} per port, since the last clear."""
        text = self.run("show port stats all")
        return [
            {name: int(value) for name, value in re.findall(r"([RT]X-\w+): +(\d+)", part)}
            for part in text.split("NIC statistics for port")[1:]
        ]

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def close(self):
        if self.alive():
            try:
                os.write(self.master, b"quit\n")
                self._drain(5)
            except (OSError, subprocess.TimeoutExpired):
                self.kill()
        if self.master is not None:
            self.popen.wait()
            os.close(self.master)
            self.master = None

    def _drain(self, timeout):
        """Read its farewell, without which it cannot end."""
        end = time.monotonic() + timeout
        while self.alive():
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(self.name, timeout)
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    self.transcript += os.read(self.master, 65536)
                except OSError:
                    self.popen.wait(timeout)

    def story(self):
        state = "running" if self.alive() else f"ended with {self.popen.returncode}"
        text = bytes(self.transcript[-1500:]).decode(errors="replace").replace("\r", "")
        return f"--- {self.name} ({state}): {' '.join(self.argv)}\n{text}\n"

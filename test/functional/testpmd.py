# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's testpmd as a front-end (virtio-user), controlled over its prompt."""

import os
import pty
import re
import subprocess
import threading

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
        self.master, slave = pty.openpty()
        self.popen = subprocess.Popen(self.argv, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.ended = False
        self.heard = threading.Condition()
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()
        lab.own(self)
        if wait:
            self.wait_prompt(30)

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def _listen(self):
        """Take what it prints, at once: a terminal holds a few KB, and the thread that serves
        vhost-user front-ends waits until its lines have room there."""
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # nobody has the other end
                data = b""
            with self.heard:
                self.transcript += data
                self.ended = not data
                self.heard.notify_all()
            if self.ended:
                return

    def wait_prompt(self, timeout=10, start=0):
        """Wait for a prompt behind byte start of the transcript, and return all from there on."""
        with self.heard:
            self.heard.wait_for(lambda: PROMPT in self.transcript[start:] or self.ended, timeout)
            text = bytes(self.transcript[start:])
        if PROMPT in text:
            return text.decode(errors="replace")
        if self.ended:
            raise LabError(f"{self.name} ended with {self.popen.wait()}")
        raise LabError(f"{self.name}: no prompt after {timeout:g} s")

    def run(self, command, timeout=10):
        """Type a command and return what it printed."""
        start = len(self.transcript)
        os.write(self.master, command.encode() + b"\n")
        return self.wait_prompt(timeout, start)

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
        if self.master is None:
            return
        try:
            os.write(self.master, b"quit\n")
            self.popen.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            self.kill()
        self.listener.join()
        os.close(self.master)
        self.master = None

    def story(self):
        state = "running" if self.alive() else f"ended with {self.popen.returncode}"
        text = bytes(self.transcript[-1500:]).decode(errors="replace").replace("\r", "")
        return f"--- {self.name} ({state}): {' '.join(self.argv)}\n{text}\n"

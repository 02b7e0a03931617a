# SPDX-License-Identifier: BSD-3-Clause
"""A vhost-user front-end that sends any message and records the answers."""

import os
import socket
import struct
import time

IDS = {
    name: number
    for number, name in enumerate(
        "GET_FEATURES SET_FEATURES SET_OWNER RESET_OWNER SET_MEM_TABLE SET_LOG_BASE SET_LOG_FD "
        "SET_VRING_NUM SET_VRING_ADDR SET_VRING_BASE GET_VRING_BASE SET_VRING_KICK SET_VRING_CALL "
        "SET_VRING_ERR GET_PROTOCOL_FEATURES SET_PROTOCOL_FEATURES GET_QUEUE_NUM SET_VRING_ENABLE "
        "SEND_RARP NET_SET_MTU SET_BACKEND_REQ_FD IOTLB_MSG SET_VRING_ENDIAN GET_CONFIG SET_CONFIG "
        "CREATE_CRYPTO_SESSION CLOSE_CRYPTO_SESSION POSTCOPY_ADVISE POSTCOPY_LISTEN POSTCOPY_END "
        "GET_INFLIGHT_FD SET_INFLIGHT_FD GPU_SET_SOCKET RESET_DEVICE VRING_KICK GET_MAX_MEM_SLOTS "
        "ADD_MEM_REG REM_MEM_REG SET_STATUS GET_STATUS".split(),
        1,
    )
}
# These are answered with a message of their own.
ANSWERED = {
    "GET_FEATURES", "GET_PROTOCOL_FEATURES", "GET_QUEUE_NUM", "GET_VRING_BASE", "SET_LOG_BASE",
    "GET_CONFIG", "GET_INFLIGHT_FD", "GET_MAX_MEM_SLOTS", "GET_STATUS",
}
VERSION, REPLY, NEED_REPLY = 1, 4, 8
TIMEOUT = 1.0
MEMORY = 0x200000
UADDR = 0x7F0000000000


def u64(value):
    return struct.pack("<Q", value)


def vring(index, number):
    return struct.pack("<II", index, number)


def addr(index, desc, used, avail, flags=0, log=0):
    return struct.pack("<IIQQQQ", index, flags, desc, used, avail, log)


def region(gpa=0, size=MEMORY, uaddr=UADDR, offset=0):
    return struct.pack("<QQQQ", gpa, size, uaddr, offset)


def table(*regions, count=None):
    return struct.pack("<II", len(regions) if count is None else count, 0) + b"".join(regions)


class Step:
    """One message. ack: ask for an answer. fds: letters, m a memory file, e an eventfd, p a pipe."""

    def __init__(self, name, payload=b"", *, ack=False, fds="", flags=VERSION, size=None, request=None):
        self.name = name
        self.request = IDS[name] if request is None else request
        self.payload = payload
        self.ack = ack
        self.fds = fds
        self.flags = flags | (NEED_REPLY if ack else 0)
        self.size = len(payload) if size is None else size
        self.answered = ack or name in ANSWERED


class Client:
    def __init__(self, path):
        end = time.monotonic() + 10
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
        self.socket.settimeout(TIMEOUT)
        memory = os.memfd_create("twin")
        os.ftruncate(memory, MEMORY)
        pipe = os.pipe()
        self.files = {"m": memory, "e": os.eventfd(0, os.EFD_NONBLOCK), "p": pipe[0]}
        self.also = [pipe[1]]

    def close(self):
        self.socket.close()
        for fd in [*self.files.values(), *self.also]:
            os.close(fd)

    def _receive(self, size):
        data, n_fds = b"", 0
        while len(data) < size:
            part, fds, _, _ = socket.recv_fds(self.socket, size - len(data), 8)
            for fd in fds:
                os.close(fd)
            n_fds += len(fds)
            if not part:
                raise ConnectionResetError
            data += part
        return data, n_fds

    def answer(self):
        """What comes next, in words."""
        try:
            header, n_fds = self._receive(12)
            request, flags, size = struct.unpack("<III", header)
            payload, more = self._receive(size) if size else (b"", 0)
        except (ConnectionResetError, BrokenPipeError):
            return "closes"
        except TimeoutError:
            return "silence"
        text = payload.hex() if size else "empty"
        if size == 8:
            text = f"0x{struct.unpack('<Q', payload)[0]:x}"
        if flags != VERSION | REPLY:
            text += f" flags 0x{flags:x}"
        if n_fds + more:
            text += " and a file"
        return text, request

    def play(self, steps):
        """[(step, outcome)], the last one is whether it still answers."""
        story = []
        for number, step in enumerate([*steps, Step("GET_FEATURES")]):
            last = number == len(steps)
            label = "afterwards" if last else f"{number + 1} {step.name}"
            try:
                message = struct.pack("<III", step.request, step.flags, step.size) + step.payload
                socket.send_fds(self.socket, [message], [self.files[f] for f in step.fds])
            except OSError:
                story.append((label, "closes"))
                break
            if not step.answered:
                continue
            outcome = self.answer()
            if isinstance(outcome, tuple):
                text, request = outcome
                if request != step.request:
                    outcome = f"answers request {request}"
                else:
                    outcome = "lives" if last else text
            story.append((label, outcome))
            if outcome == "closes":
                break
        if story[-1][1] == "closes":
            story[-1] = ("afterwards", "closed")
        return story

# SPDX-License-Identifier: BSD-3-Clause
"""Talk to a running vswitchd over its control socket. Standard library only.

    import vswitch

    with vswitch.Client() as switch:
        for port in switch.list("port.list"):
            print(port["name"], port["state"])
        switch.call("log.set", level="debug")

    with vswitch.Client() as switch:
        for event in switch.events("port.up", "port.down"):
            print(event)

The methods, their parameters and their results are in doc/reference.md, and in the answer of schema.get.
"""

import json
import os
import socket
import struct
import time

LINE_MAX = 16 << 20  # bytes of a line, as much as the switch holds for all its clients
WAITING_MAX = 64 << 20  # bytes of events before an answer
NEXT_MAX = 1 << 24  # no list of a switch goes on behind it

DEFAULT_PATH = "/run/vswitch/control.sock"


class Error(Exception):
    """The switch refused a request. `code` and `data` are stable; the text is for people."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["code"]
        self.data = error.get("data")


def default_path():
    """Where a switch has its control socket if nothing else was said."""
    if path := os.environ.get("VSWITCH_CONTROL"):
        return path
    if directory := os.environ.get("RUNTIME_DIRECTORY"):
        return directory.split(":")[0] + "/control.sock"
    return DEFAULT_PATH


class Client:
    """A connection. It is not for several threads at a time; give each thread its own."""

    def __init__(self, path=None, timeout=10.0):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # If many clients connect at once, a non-blocking connect() fails. This one waits.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(timeout or 0), 0))
        try:
            self.socket.connect(str(path or default_path()))
        except OSError:
            self.socket.close()
            raise
        self.socket.settimeout(timeout)
        self.file = self.socket.makefile("rb")
        self.last_id = 0
        self.received = 0  # bytes
        self.waiting = []  # events that came before an answer

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def request(self, method, params):
        """A request, not sent yet, for batches."""
        self.last_id += 1
        return {"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}

    def send(self, document):
        self.socket.sendall(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")

    def receive(self):
        """The next line: an answer, an event, or the answers to a batch."""
        line = self.file.readline(LINE_MAX)
        self.received += len(line)
        if len(line) == LINE_MAX and not line.endswith(b"\n"):
            self.close()
            raise ConnectionError(f"the switch has sent a line that is longer than {LINE_MAX} bytes")
        if not line.endswith(b"\n"):
            raise ConnectionError("the switch has closed the connection")
        return json.loads(line)

    def answer(self):
        """The next line that is no event. Events are kept for events()."""
        timeout, stop = self.socket.gettimeout(), self.received + WAITING_MAX
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            if self.received > stop:
                raise ConnectionError("the switch sends events without an end, and no answer")
            if end is not None and time.monotonic() > end:
                raise TimeoutError("timed out: the switch sends events, and no answer")
            document = self.receive()
            if not (isinstance(document, dict) and document.get("method") == "event"):
                return document
            self.waiting.append(document["params"])

    def call(self, method, **params):
        """Call a method and return its result. Raises Error if the switch refuses it."""
        self.send(self.request(method, params))
        answer = self.answer()
        if "error" in answer:
            raise Error(answer["error"])
        return answer["result"]

    def batch(self, *calls):
        """Call (method, params) pairs in one line. Returns a result or an Error for each, in this order."""
        requests = [self.request(method, params) for method, params in calls]
        self.send(requests)
        answers = self.answer()
        if isinstance(answers, dict):
            raise Error(answers["error"])
        by_id = {answer["id"]: answer for answer in answers}
        found = [by_id[request["id"]] for request in requests]
        return [Error(one["error"]) if "error" in one else one["result"] for one in found]

    def list(self, method, **params):
        """All entries of a list, of which one answer may give only a part."""
        while True:
            answer = self.call(method, **params)
            yield from answer["entries"]
            if answer["next"] is None:
                return
            grows = isinstance(answer["next"], int) and answer["next"] > params.get("from", 0)
            if not grows or answer["next"] > NEXT_MAX:
                raise ConnectionError(f"the switch has sent a list without an end: next is {answer['next']}")
            params["from"] = answer["next"]

    def events(self, *names):
        """Subscribe to these events, or to all, and yield them for ever.

        After an "overrun" event some are lost: read again what you need to know.
        """
        self.call("subscribe", **({"events": list(names)} if names else {}))
        self.socket.settimeout(None)
        while True:
            while self.waiting:
                yield self.waiting.pop(0)
            self.waiting.append(self.receive()["params"])

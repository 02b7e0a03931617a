# SPDX-License-Identifier: BSD-3-Clause
"""A client of the control socket that asks one thing, and need not wait for the answer."""

import json
import socket


def ask(path, method, **params):
    """The connection, on which the request is under way."""
    raw = socket.socket(socket.AF_UNIX)
    raw.settimeout(20)
    raw.connect(str(path))
    raw.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n")
    return raw


def answer_of(raw):
    with raw, raw.makefile() as lines:
        return json.loads(lines.readline())

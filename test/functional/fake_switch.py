# SPDX-License-Identifier: BSD-3-Clause
"""A control socket that answers what a test wants, for tests of clients."""

import json
import socket
import threading


class FakeSwitch:
    """It answers each method with a given result, and knows nothing else.

    A result may be a function of the connection and the parameters, which returns the result.
    """

    def __init__(self, path, **results):
        self.path, self.results = path, results
        self.asked, self.answered = [], []  # the methods of the requests; a client does not see events before its answer
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.peers = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.peers.append(peer)
            threading.Thread(target=self.answer, args=(peer,), daemon=True).start()

    def answer(self, peer):
        for line in peer.makefile("rb"):
            request = json.loads(line)
            self.asked.append(request["method"])
            answer = {"jsonrpc": "2.0", "id": request["id"]}
            given = self.results.get(request["method"].replace(".", "_"), {"result": {}})
            try:
                self.send(peer, answer | (given(peer, request["params"]) if callable(given) else given))
            except OSError:
                return  # the client has gone
            self.answered.append(request["method"])

    def send(self, peer, document):
        peer.sendall(json.dumps(document, ensure_ascii=False).encode() + b"\n")

    def event(self, **params):
        self.send(self.peers[-1], {"jsonrpc": "2.0", "method": "event", "params": params})

    def hang_up(self):
        for peer in self.peers:
            peer.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.hang_up()

# SPDX-License-Identifier: BSD-3-Clause
"""A program on a terminal, which is a pty here."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from lab import LabError, wait_for


class Terminal:
    """Type into it, and wait for what it shows. Closing it is what closing a window does."""

    def __init__(self, argv, columns=100, **environment):
        self.shown = ""
        self.status = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
                os.execvpe(argv[0], [str(word) for word in argv], {"PATH": os.environ["PATH"], "TERM": "vt100",
                                                                   "LANG": "C.UTF-8", **environment})
            finally:
                os._exit(127)
        os.set_inheritable(self.fd, False)  # or the next program would keep the terminal

    def read(self, timeout):
        """More output; False: there is none, or the program has ended."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # nobody has the other end open
            return False
        self.shown += data.decode(errors="backslashreplace")
        return bool(data)

    def expect(self, pattern, timeout=10):
        """Wait for a pattern and return its match; what was shown up to its end is forgotten."""
        end = time.monotonic() + timeout
        while not (match := re.search(pattern, self.shown, re.S)):
            if not self.read(max(end - time.monotonic(), 0)):
                raise LabError(f"no {pattern!r} in {self.shown!r}")
        self.shown = self.shown[match.end():]
        return match

    def shows(self, pattern):
        """Is the pattern there now, or very soon? Nothing is forgotten."""
        self.read(0.1)
        return re.search(pattern, self.shown, re.S)

    def type(self, text):
        if "\x04" in text:
            # An end of file becomes a NUL if the program changes to single characters after it.
            wait_for(lambda: not termios.tcgetattr(self.fd)[3] & termios.ICANON,
                     "program that reads single characters", 5)
        os.write(self.fd, text.encode())

    def end(self):
        """Everything that it still shows, when it ends by itself; `status` is its exit status."""
        while self.read(10):
            pass
        self.close()
        return self.shown

    def close(self):
        if self.status is not None:
            return
        os.close(self.fd)
        try:
            wait_for(self.has_ended, "end of the program without its terminal", 5)
        except LabError:
            os.kill(self.pid, signal.SIGKILL)
            wait_for(self.has_ended, "end of the program")
            raise

    def has_ended(self):
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.status = os.waitstatus_to_exitcode(status)
        return pid != 0

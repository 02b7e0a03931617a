# SPDX-License-Identifier: BSD-3-Clause
"""Real Linux guests in QEMU (TCG), controlled over their serial console."""

import atexit
import functools
import itertools
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from lab import ROOT, LabError, Process, huge_pages_free, not_tested, wait_for

HERE = Path(__file__).resolve().parent
OFFLOADS_OFF = ",".join(
    f"{feature}=off"
    for feature in (
        "csum gso host_tso4 host_tso6 host_ecn host_ufo "
        "guest_csum guest_tso4 guest_tso6 guest_ecn guest_ufo"
    ).split()
)


def kernel():
    """The newest Debian cloud kernel: (image, version)."""
    images = sorted(Path("/boot").glob("vmlinuz-*-cloud-amd64"))
    if not images:
        raise LabError("no cloud kernel in /boot: package linux-image-cloud-amd64 is missing")
    return images[-1], images[-1].name.removeprefix("vmlinuz-")


@functools.cache
def usual_initramfs():
    """Built once, and removed when this program ends."""
    folder = tempfile.TemporaryDirectory(prefix="vswitch-guest.")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "initramfs.gz"
    programs = [p for p in [ROOT / "build/test/blk/blkcheck"] if p.exists()]
    subprocess.run([HERE / "guest/mkinitramfs", kernel()[1], path, *programs], check=True)
    return path


def initramfs(lab):
    """The lab's own initramfs, if somebody has put one there, or the usual one."""
    own = lab.dir / "initramfs.gz"
    return own if own.exists() else usual_initramfs()


class Guest(Process):
    """One guest with one virtio-net device, or none. Its address is 10.0.0.N and fd00::N."""

    def __init__(self, lab, number, path, *, packed=False, offloads=True, mrg_rxbuf=True, mtu=1500,
                 pairs=1, cpus=None, device="", huge=False, server=False, reconnect=False, name=None,
                 boot="", iommu=False, share=True, memory_kib=256 << 10, more=()):
        self.number = number
        self.path = path
        self.lab = lab
        self.ip = f"10.0.0.{number}"
        self.ip6 = f"fd00::{number}"
        self.mac = f"52:54:00:00:00:{number:02x}"
        self.mtu = mtu
        self.marks = itertools.count()
        self.console = None
        name = name or f"guest{number}"
        self.console_path = lab.dir / f"{name}.console"
        self.transcript = bytearray()
        memory = f"memory-backend-memfd,id=mem,size={memory_kib}K,share={'on' if share else 'off'}"
        if huge and huge_pages_free() >= 128:
            memory += ",hugetlb=on,hugetlbsize=2M"
        elif huge:
            not_tested("huge-pages", "QEMU guests with hugetlb=on")
        net = f"virtio-net-pci,netdev=n0,mac={self.mac},vectors=0,packed={'on' if packed else 'off'}"
        net += f",mrg_rxbuf={'on' if mrg_rxbuf else 'off'}"
        if not offloads:
            net += "," + OFFLOADS_OFF
        if mtu != 1500:
            net += f",host_mtu={mtu}"
        if pairs > 1:
            net += ",mq=on"
        if device:
            net += "," + device
        if iommu:
            # Only a PCI Express device has ATS, by which the guest tells us what it takes back.
            net += ",iommu_platform=on,ats=on,bus=port0"
            boot += " intel_iommu=on"
        # An IOMMU has to be there before what it is for.
        first = (
            "-device", "intel-iommu,intremap=off,device-iotlb=on",
            "-device", "pcie-root-port,id=port0,chassis=1",
        ) if iommu else ()
        argv = [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35", "-m", f"{memory_kib}K",
            "-smp", cpus or pairs, *first, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-object", memory, "-numa", "node,memdev=mem",
            "-chardev", f"socket,id=s0,path={self.console_path},server=on,wait=on",
            *(("-chardev", f"socket,id=c0,path={path}" + (",server=on,wait=on" if server else ",reconnect=1" if reconnect else ""),
               "-netdev", f"vhost-user,id=n0,chardev=c0,queues={pairs}", "-device", net) if path else ()),
            "-serial", "chardev:s0", "-kernel", kernel()[0], "-initrd", initramfs(lab),
            "-append", f"console=ttyS0 panic=-1 quiet no_timer_check {boot}", *more,
        ]
        super().__init__(lab, name, argv)
        self.console = self._connect()

    def wait_boot(self, timeout=60):
        """Wait for its shell, then give its interface MTU and addresses."""
        self._read_until(b"guest: ready", timeout)
        if not self.path:
            return self
        self.run(
            "echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad; "
            f"ip link set eth0 mtu {self.mtu} up && "
            f"ip addr add {self.ip}/24 dev eth0 && ip -6 addr add {self.ip6}/64 dev eth0",
        )
        return self

    def _connect(self):
        def attempt():
            if not self.alive():
                raise LabError(f"{self.name} did not start:\n{self.err()}")
            console = socket.socket(socket.AF_UNIX)
            try:
                console.connect(str(self.console_path))
            except OSError:
                console.close()
                return None
            return console

        return wait_for(attempt, f"console of {self.name}")

    def _read_until(self, mark, timeout):
        """Bytes of the console up to a mark, a regular expression's match is returned."""
        end = time.monotonic() + timeout
        pattern = re.compile(mark)
        start = len(self.transcript)
        while True:
            match = pattern.search(self.transcript, start)
            if match:
                return bytes(self.transcript[start : match.start()]).decode(errors="replace"), match
            left = end - time.monotonic()
            if left <= 0:
                raise LabError(f"{self.name}: nothing like {mark!r} within {timeout:g} s")
            self.console.settimeout(left)
            try:
                data = self.console.recv(65536)
            except (TimeoutError, ConnectionResetError):
                continue
            if not data:
                raise LabError(f"{self.name} ended:\n{self.err()}")
            self.transcript += data

    def _read_rest(self):
        """What it has said since: a kernel that complains says it to nobody who waits for a mark."""
        self.console.settimeout(0)
        try:
            while data := self.console.recv(65536):
                self.transcript += data
        except OSError:
            pass

    def start(self, command):
        """Type a command; finish() waits for its end."""
        mark = f"done-{self.number}-{next(self.marks)}"
        # Two words that meet only when the shell has joined them: an echo cannot be taken for it.
        line = f"{{ {command}; }} </dev/null 2>&1; echo \"=\"{mark}=$?=\n"
        self.console.sendall(line.encode())
        return mark

    def finish(self, mark, timeout=30, check=True):
        output, match = self._read_until(f"={mark}=([0-9]+)=\n?".encode(), timeout)
        status = int(match.group(1))
        output = output.replace("\r", "").strip("\n")
        if check and status != 0:
            raise LabError(f"{self.name}: status {status}:\n{output}")
        return output

    def run(self, command, timeout=30, check=True):
        """Run a shell command in the guest and return what it printed."""
        return self.finish(self.start(command), timeout, check)

    def counter(self, name):
        return int(self.run(f"cat /sys/class/net/eth0/statistics/{name}"))

    def close(self):
        if self.console:
            self.console.close()
        super().close()

    def story(self):
        text = super().story()
        heard = len(self.transcript)
        self._read_rest()
        tail = bytes(self.transcript[max(heard - 1500, 0) : heard + 6000])
        return text + f"console: ...\n{tail.decode(errors='replace')}\n".replace("\r", "")


def ping(source, target, count=20, size=56, interval=0.02, ipv6=False):
    """Ping and return (sent, received)."""
    command = f"ping {'-6 ' if ipv6 else ''}-c {count} -i {interval} -W 2 -s {size} "
    output = source.run(command + (target.ip6 if ipv6 else target.ip), timeout=60, check=False)
    match = re.search(r"(\d+) packets transmitted, (\d+) packets received", output)
    if not match:
        raise LabError(f"ping said:\n{output}")
    return int(match.group(1)), int(match.group(2))

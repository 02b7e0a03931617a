# SPDX-License-Identifier: BSD-3-Clause
"""Which vector instructions vswitchd and the other switches use on this processor, as the programs report.

A ratio of cycles compares programs as they are installed: it depends on the processor for which a program was
compiled, and on the instructions that it may use by default.
"""

import re
import subprocess
from pathlib import Path

import figures
from lab import Lab, LabError
from subjects import Ours, Ovs, RteVhost

VECT_HEADERS = "/usr/include/*/dpdk/rte_vect.h"
LIBRARIES = "/usr/lib/*/librte_vhost.so.??"


def ours_says(log):
    found = re.search(r"frames are moved with (\S+)", log)
    return f"{found[1]}, which it chose by itself" if found else "not known, its log does not say"


def library_says(code):
    """The widest registers that code, as objdump prints it, uses at all."""
    for register, words in (("zmm", "AVX-512 (512 bits)"), ("ymm", "AVX (256 bits)"), ("xmm", "SSE (128 bits)")):
        if re.search(rf"%{register}\d", code):
            return f"nothing wider than {words} in librte_vhost as it is installed"
    return "no vector instructions in librte_vhost as it is installed"


def header_says(text):
    found = re.search(r"RTE_VECT_DEFAULT_SIMD_BITWIDTH\s+RTE_VECT_SIMD_(\d+)", text)
    return f"DPDK's default limit (rte_vect.h) is {found[1]} bits" if found else "DPDK's default limit is not known"


def ovs_says(answers):
    """answers: {what: what ovs-appctl says of its implementations}"""
    used = []
    for what, text in answers.items():
        # "dpif_scalar (pmds: 1)", "scalar (available: True pmds: 1)", "generic (Use count: 0, Priority: 1)"
        names = re.findall(r"^\s+(\w+) \(", text, re.M)
        chosen = re.findall(r"^\s+(\w+) \(.*(?:pmds: [1-9]|Priority: [1-9])", text, re.M)
        others = [name for name in names if name not in chosen and name not in ("autovalidator", "study")]
        used.append(f"{what} {', '.join(chosen) or 'not known'}"
                    + (f" (there: {', '.join(others)})" if others else " (there is no other)"))
    return "by default " + ", ".join(used)


def of_ours():
    with Lab() as lab:
        return ours_says(Ours(lab, options=("--log-level", "debug")).process.err())


def first_file(pattern):
    return next(iter(sorted(Path("/").glob(pattern.lstrip("/")))), None)


def of_rte_vhost():
    library, header = first_file(LIBRARIES), first_file(VECT_HEADERS)
    code = "not known, librte_vhost is not found"
    if library:
        argv = ["objdump", "-d", "--no-show-raw-insn", str(library)]
        code = library_says(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    return f"{code}; {header_says(header.read_text() if header else '')}, which testpmd was not told to change"


def of_ovs():
    with Lab() as lab:
        peer = Ovs(lab)
        return ovs_says({what: peer.ask(command) for what, command in (
            ("datapath", "dpif-netdev/dpif-impl-get"), ("parser", "dpif-netdev/miniflow-parser-get"),
            ("look-up", "dpif-netdev/subtable-lookup-info-get"))})


def disclose():
    """{name: words} of all that are here."""
    texts = {}
    for name, subject, function in ((figures.OURS, Ours, of_ours), (figures.RTE_VHOST, RteVhost, of_rte_vhost),
                                    (figures.OVS, Ovs, of_ovs)):
        if subject.missing():
            continue
        try:
            texts[name] = function()
        except (LabError, OSError, subprocess.SubprocessError) as fault:
            texts[name] = f"not known ({str(fault).strip() or type(fault).__name__})"
    return texts

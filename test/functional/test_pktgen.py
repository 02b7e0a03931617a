# SPDX-License-Identifier: BSD-3-Clause
"""vswitch-pktgen against vswitchd: what it sent is what the switch received."""

import json
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest

from lab import VSWITCHD, Process, Switch, assert_balanced, dropped, queues, wait_for
from testpmd import Testpmd

PKTGEN = Path(VSWITCHD).resolve().parents[1] / "pktgen/vswitch-pktgen"

# Options besides ports, rate and time.
CASES = {
    "split": [],
    "packed": ["--packed"],
    "split-in-order": ["--in-order"],
    "packed-in-order": ["--packed", "--in-order"],
    "small-rings": ["--ring-size", "64", "--packed"],
    "imix": ["--size", "imix", "--touch-all"],
    "every-byte": ["--size", "65,333,1514", "--touch-all", "--packed"],
    "merged-buffers": ["--size", "9000", "--mergeable", "--buffer", "1526", "--touch-all"],
    "segmentation": ["--size", "60000", "--tso", "1448", "--packed", "--touch-all"],
    "tagged": ["--size", "100", "--vlan", "42"],
    "flows-over-queues": ["--flows", "1000", "--queues", "4"],
    "many-macs": ["--macs", "5000", "--packed"],
    "one-way": ["--pattern", "uni"],
    "shortest": ["--size", "14"],
    "short": ["--size", "14,15,16,19,20,23,24,35,36,41,42,51,52,59,60,63", "--touch-all"],
    "short-packed": ["--size", "60,64,14", "--touch-all", "--packed", "--in-order"],
    "short-tagged": ["--size", "18,20,24,28,40,60,67", "--vlan", "42", "--touch-all"],
    "checksums": ["--csum", "--size", "54,66,100,1514", "--touch-all"],
    "checksums-completed": ["--csum", "--no-guest-csum", "--size", "54,66,100,1514", "--touch-all", "--packed"],
    "checksums-tagged": ["--csum", "--size", "58,100", "--vlan", "42", "--touch-all"],
    "indirect": ["--indirect", "--size", "14,60,1514", "--touch-all"],
    "indirect-packed": ["--indirect", "--size", "60,1514", "--touch-all", "--packed", "--ring-size", "256"],
    "indirect-in-order": ["--indirect", "--chain", "3", "--in-order", "--size", "60,1514", "--touch-all"],
    "chain": ["--chain", "1", "--size", "14,60,1514", "--touch-all"],
    "chain-packed": ["--chain", "2", "--size", "60,1514", "--touch-all", "--packed"],
    "chain-of-eight": ["--chain", "8", "--size", "14,1514", "--touch-all", "--ring-size", "64"],
    "chain-of-eight-packed": ["--chain", "8", "--size", "14,1514", "--touch-all", "--packed", "--ring-size", "64"],
    "chain-merged": ["--chain", "2", "--size", "1514", "--touch-all", "--mergeable", "--buffer", "512"],
    "calls": ["--calls"],
    "calls-packed": ["--calls", "--packed"],
    "like-linux": ["--calls", "--csum", "--indirect", "--mergeable", "--ring-size", "256", "--mix", "datacenter"],
    "mix-imix": ["--mix", "imix", "--touch-all"],
    "mix-linux-tcp": ["--mix", "linux-tcp", "--touch-all", "--packed"],
    "mix-linux-tcp-merged": ["--mix", "linux-tcp", "--mergeable", "--buffer", "2048", "--calls", "--indirect",
                             "--ring-size", "256"],
    "locality": ["--macs", "50", "--locality", "16"],
}


def option(options, name, default):
    """The number after an option."""
    return int(options[options.index(name) + 1]) if name in options else default


def duration(options):
    """Long enough for a thousand frames: a busy machine sends fewer large ones a second."""
    return 2.5 if "--tso" in options or "linux-tcp" in options else 0.5


def pktgen_on(ports, *options, check=True, timeout=60, command=()):
    """Run it on these ports to its end; (exit status, JSON, what it printed)."""
    argv = [*command, PKTGEN, "--json", "-", "--quiet"]
    for port in ports:
        argv += ["--port", port]
    argv = [str(word) for word in [*argv, *options]]
    for _ in range(3):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout)
        # If the control thread loses its CPU while it serves a front-end, the front-end has to rest for seconds.
        if not check or done.returncode != 2 or "it does not answer" not in done.stderr:
            break
    if check:  # 3: a busy machine made frames late, so only the latencies are worth nothing
        assert done.returncode in (0, 3), (done.returncode, done.stdout, done.stderr)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def pktgen(switch, *options, **how):
    """Run it on the switch's ports."""
    return pktgen_on(switch.paths, *options, **how)


def two_ports(lab, *options):
    return Switch(lab, ["a.sock", "b.sock"], *options)


def port_options(paths):
    return [word for path in paths for word in ("--port", path)]


def frames_in(switch):
    """The frames that the switch has received so far."""
    return sum(queue["frames"] for queue in queues(switch.stats(), "ingress"))


def check_latency(result):
    latency = result["latency_ns"]
    if not result["checked"]["latency"]:
        return
    known = [latency[q] for q in ("min", "p50", "p99", "max") if latency[q] is not None]
    assert 0 < known[0] and known == sorted(known) and latency["samples"] > 20
    assert latency["valid"] == (result["late"] <= result["sent"] / 100)


@pytest.mark.parametrize("name", CASES)
def test_what_is_sent_is_what_the_switch_received(lab, name):
    switch = two_ports(lab)
    _, result, _ = pktgen(switch, "--rate", "50k", "--duration", duration(CASES[name]), "--no-huge", *CASES[name])
    stats = switch.quiet_stats()
    assert_balanced(stats)
    # The first frames let every address be learned; they are not in what it counts.
    macs = option(CASES[name], "--macs", 1)
    hellos = 2 * macs * (1 if name == "one-way" else 2)
    assert result["sent"] > 1000
    assert sum(queue["frames"] for queue in queues(stats, "ingress")) == result["sent"] + hellos
    full = sum(n for why, n in dropped(stats).items() if why == "ring-full")
    # Hellos go out as fast as they can; when the machine is busy many of them fill a ring.
    assert result["lost"] <= full <= result["lost"] + (hellos if name == "many-macs" else 0)
    assert result["received"] + result["lost"] == result["sent"]
    # Due is due, but for a burst at the end. Who could not keep up sent many late, or as many as are missing.
    behind = result["offered"] - result["sent"]
    assert -32 <= behind <= 4 or result["late"] >= min(behind, result["sent"] / 10) > 0, (behind, result["late"])
    assert result["corrupt"] == result["lost_requests"] == result["duplicates"] == result["reordered"] == 0
    assert result["broken_queues"] == result["foreign"] == 0
    check_latency(result)
    assert result["completed"] == (result["received"] if "--no-guest-csum" in CASES[name] else 0)


def test_a_mesh_sends_from_each_to_each(lab):
    switch = Switch(lab, [f"{i}.sock" for i in range(4)])
    _, result, _ = pktgen(switch, "--pattern", "mesh", "--rate", "60k", "--duration", "0.5", "--no-huge")
    stats = switch.quiet_stats()
    assert_balanced(stats)
    assert result["received"] == result["sent"] > 1000
    streams = result["streams"]
    assert {(s["from"], s["to"]) for s in streams} == {(a, b) for a in range(4) for b in range(4) if a != b}
    for name in ("sent", "received", "lost", "corrupt"):
        assert sum(s[name] for s in streams) == result[name]
    assert min(s["received"] for s in streams) > 1000
    received = [sum(q["frames"] for q in queues(stats, "ingress", port)) for port in range(4)]
    assert max(received) - min(received) <= 64


def test_as_fast_as_it_goes_accounts_for_every_frame(lab):
    switch = two_ports(lab)
    _, result, _ = pktgen(switch, "--duration", "0.5", "--no-huge", "--packed")
    stats = switch.quiet_stats()
    assert_balanced(stats)
    assert result["received"] > 100000
    assert result["sent"] == result["received"] + sum(dropped(stats).values())


@pytest.mark.parametrize("name", ["short", "checksums", "checksums-completed", "indirect", "indirect-packed",
                                  "indirect-in-order", "chain", "chain-packed", "chain-of-eight-packed", "calls",
                                  "calls-packed", "like-linux", "mix-linux-tcp-merged"])
def test_every_mode_accounts_for_every_frame_at_full_speed(lab, name):
    switch = two_ports(lab)
    _, result, _ = pktgen(switch, "--duration", "0.7", "--no-huge", *CASES[name])
    stats = switch.quiet_stats()
    assert_balanced(stats)
    assert result["received"] > 500 and result["corrupt"] == result["lost_requests"] == result["foreign"] == 0
    assert result["sent"] == result["received"] + sum(dropped(stats).values())
    assert sum(queue["frames"] for queue in queues(stats, "ingress")) == result["sent"] + result["total"]["hellos"]


def test_what_was_negotiated_is_told(lab):
    switch = two_ports(lab)
    short = ["--rate", "1k", "--duration", "0.1", "--no-huge"]
    plain = {"version_1", "protocol_features"}
    for options, features, fields in (
        ([], set(), {"send_chain": 1, "send_room": 1024, "send_indirect": False, "calls_asked": 0}),
        (["--packed", "--in-order"], {"ring_packed", "in_order"}, {}),
        (["--chain", "2"], set(), {"send_chain": 3, "receive_chain": 3, "send_room": 256}),
        (["--indirect", "--mergeable"], {"indirect_desc", "mrg_rxbuf"},
         {"send_chain": 2, "send_indirect": True, "receive_chain": 1, "receive_indirect": False, "send_room": 1024}),
        (["--calls"], {"event_idx"}, {}),
        (["--csum"], {"csum", "guest_csum"}, {}),
        (["--csum", "--no-guest-csum"], {"csum"}, {}),
        (["--mix", "linux-tcp"], {"csum", "guest_csum", "guest_tso4", "host_tso4"}, {}),
    ):
        _, result, _ = pktgen(switch, *short, *options)
        assert [port["port"] for port in result["negotiated"]] == [str(path) for path in switch.paths]
        for port in result["negotiated"]:
            assert set(port["features"]) == plain | features, options
            assert fields.items() <= port.items(), options
    status, _, err = pktgen_on(Switch(lab, ["c.sock", "d.sock"], "--features", "-indirect_desc,-event_idx").paths,
                               "--indirect", "--calls", "--no-huge", check=False)
    assert status == 2 and "does not offer indirect_desc event_idx" in err


def test_what_was_checked_is_told(lab):
    switch = two_ports(lab)
    known = {"loss", "order", "duplicates", "tag", "latency", "headers", "every_byte", "checksum"}
    for options, expected in (
        ([], known - {"headers", "every_byte", "checksum"}),
        (["--touch-all", "--csum"], known),
        (["--size", "60"], known - {"every_byte", "checksum"}),
        (["--size", "1500,20"], {"loss", "order", "duplicates", "tag", "headers"}),
        (["--size", "16"], {"loss", "order", "duplicates", "headers"}),
        (["--size", "15,64"], {"loss", "headers"}),
        (["--pcap", write_pcap(lab.dir / "in", MIXED)], {"loss"}),
    ):
        _, result, _ = pktgen(switch, "--rate", "1k", "--duration", "0.1", "--no-huge", *options)
        assert {name for name, value in result["checked"].items() if value} == expected, options


@pytest.mark.parametrize("ring", ["split", "packed"])
def test_each_call_was_asked_for(lab, ring):
    switch = two_ports(lab)
    options = ["--packed"] if ring == "packed" else []
    _, result, _ = pktgen(switch, "--calls", "--rate", "2k", "--duration", "1", "--no-huge", *options)
    ports = result["negotiated"]
    # Each of a port's two queues may be called once when it starts. A frame that comes while the guest asks
    # for a call makes none.
    assert all(0.8 * port["calls_asked"] - 4 <= port["calls"] <= port["calls_asked"] + 2 for port in ports), ports
    assert sum(port["calls_asked"] for port in ports) > 100
    _, result, _ = pktgen(switch, "--rate", "2k", "--duration", "0.2", "--no-huge", *options)
    assert all(port["calls"] <= 2 and port["calls_asked"] == 0 for port in result["negotiated"])


def test_acknowledgements_answer_what_arrived(lab):
    switch = two_ports(lab)
    _, result, _ = pktgen(switch, "--mix", "linux-tcp", "--rate", "1k", "--duration", "1", "--no-huge")
    data, acks = result["streams"]
    # What arrived when the time was over has no answer.
    assert 200 < 0.4 * data["received"] <= acks["sent"] <= data["received"]
    assert acks["sent_bytes"] == 66 * acks["sent"] and data["sent_bytes"] > 20000 * data["sent"]
    assert data["sent"] in range(990, 1010) or result["late"]
    _, result, _ = pktgen(switch, "--mix", "linux-tcp", "--pattern", "uni", "--rate", "1k", "--duration", "0.2",
                        "--no-huge")
    assert len(result["streams"]) == 1


def test_a_mix_keeps_its_weights(lab):
    switch = two_ports(lab)
    path = lab.dir / "mix"
    path.write_text("# one short frame in ten\n60 1\n1000 9\n")
    _, result, _ = pktgen(switch, "--mix", path, "--frames", "4090", "--no-huge")
    assert [s["sent_bytes"] for s in result["streams"]] == 2 * [409 * 60 + 3681 * 1000]


def test_late_frames_make_latencies_invalid(lab):
    switch = two_ports(lab)
    status, result, _ = pktgen(switch, "--rate", "900M", "--duration", "0.3", "--no-huge", check=False)
    assert status == 3 and result["late"] > result["sent"] / 100
    assert result["latency_ns"]["valid"] is False and result["latency_ns"]["invalid_because"]
    before = frames_in(switch)
    generator = Process(lab, "pktgen", [PKTGEN, "--rate", "5k", "--duration", "4", "--no-huge",
                                        *port_options(switch.paths)])
    wait_for(lambda: frames_in(switch) >= before + 100, "frames")
    generator.signal(signal.SIGSTOP)
    time.sleep(0.3)
    generator.signal(signal.SIGCONT)
    assert generator.wait(20) == 3
    text = generator.out_path.read_text()
    assert "INVALID" in text and "left late" in text and "CPU" in text


def test_few_samples_give_few_quantiles(lab):
    switch = two_ports(lab)
    _, result, _ = pktgen(switch, "--frames", "100", "--rate", "200", "--no-huge")
    latency = result["latency_ns"]
    assert 20 <= latency["samples"] <= 200
    assert latency["p50"] > 0 and latency["p99"] is None and latency["p99.999"] is None
    assert latency["percentiles"][49] > 0 and latency["percentiles"][98] is None
    argv = [PKTGEN, "--frames", "100", "--rate", "200", "--no-huge", *port_options(switch.paths)]
    text = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False).stdout
    assert "p50" in text and "p99" not in text


def test_frames_wait_for_a_switch_that_has_no_cpu(lab):
    switch = two_ports(lab)
    report = lab.dir / "report.json"
    generator = Process(lab, "pktgen", [PKTGEN, "--frames", "200", "--rate", "1k", "--no-huge", "--quiet",
                                        "--json", report, *port_options(switch.paths)])
    wait_for(lambda: frames_in(switch) >= 20, "frames")
    switch.signal(signal.SIGSTOP)
    time.sleep(0.8)  # all frames are sent after 0.4 s
    switch.signal(signal.SIGCONT)
    assert generator.wait(20) in (0, 3)
    result = json.loads(report.read_text())
    assert result["received"] == result["sent"] == 400


def test_rates_say_what_they_are(lab):
    switch = two_ports(lab)
    for options, over in (([], "both directions"), (["--pattern", "uni"], "one direction")):
        _, result, _ = pktgen(switch, "--size", "40", "--rate", "10k", "--duration", "0.3", "--no-huge", *options)
        assert result["rates_sum_over"] == over
        gbps = result["received"] * 84 * 8 / result["seconds"] / 1e9
        assert result["received_gbps_on_wire"] == pytest.approx(gbps, rel=0.001)
    argv = [PKTGEN, "--frames", "100", "--no-huge", *port_options(switch.paths)]
    text = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False).stdout
    assert "sums over both directions" in text and "on a wire" in text


def test_a_busy_socket_is_called_busy(lab):
    switch = two_ports(lab)
    first = Process(lab, "pktgen", [PKTGEN, "--duration", "20", "--rate", "1k", "--no-huge",
                                    *port_options(switch.paths)])
    wait_for(lambda: frames_in(switch), "frames")
    status, _, err = pktgen(switch, "--no-huge", check=False)
    assert status == 2 and "busy" in err and str(switch.paths[0]) in err
    first.close()


@pytest.mark.parametrize("ring", ["split", "packed"])
def test_it_works_with_another_back_end(lab, ring):
    """rte_vhost does not write num_buffers where buffers are not merged."""
    paths = [lab.dir / "a.sock", lab.dir / "b.sock"]
    pmd = Testpmd(lab, [f"net_vhost{i},iface={path}" for i, path in enumerate(paths)], memory=256)
    pmd.run("start")
    options = ["--packed"] if ring == "packed" else []
    _, result, _ = pktgen_on(paths, "--rate", "10k", "--duration", "0.5", "--no-huge", *options)
    assert result["received"] == result["sent"] > 1000 and result["broken_queues"] == 0


@pytest.mark.parametrize("flags", [0, 1], ids=["lost", "kept"])
def test_a_net_header_that_is_lost_on_the_way_is_told(lab, flags):
    """rte_vhost sends what was asked of it only if the flags of received frames are those of frames to send."""
    paths = [lab.dir / "a.sock", lab.dir / "b.sock"]
    vdevs = [f"net_vhost{i},iface={path},tso=1,legacy-ol-flags={flags}" for i, path in enumerate(paths)]
    pmd = Testpmd(lab, vdevs, memory=256)
    pmd.run("start")
    options = ["--size", "30000", "--tso", "1448", "--ring-size", "64", "--no-huge"]
    status, result, _ = pktgen_on(paths, "--rate", "2k", "--duration", duration(options), *options, check=False)
    assert result["received"] == result["sent"] > 500
    assert result["lost_requests"] == (0 if flags else result["received"]) and status in ((0, 3) if flags else (1,))


# What a device is told and what both are: the device is DPDK's guest end, the other port our own.
DEVICES = {
    "plain": ("", []),
    "packed": (",packed_vq=1,in_order=1,mrg_rxbuf=0", ["--packed"]),
    "every-byte": ("", ["--size", "64,1514,9000", "--touch-all"]),
    "segmentation": ("", ["--size", "30000", "--tso", "1448", "--touch-all"]),
    "flows-over-queues": (",queues=2", ["--flows", "100", "--macs", "10", "--queues", "2"]),
}


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_and_a_socket_are_ports_alike(lab, name):
    switch = two_ports(lab)
    arguments, options = DEVICES[name]
    ports = [f"vdev:net_virtio_user0,path={switch.paths[0]}{arguments}", switch.paths[1]]
    _, result, _ = pktgen_on(ports, "--rate", "20k", "--duration", duration(options), "--no-huge", *options)
    stats = switch.quiet_stats()
    assert_balanced(stats)
    assert result["sent"] > 1000
    assert result["lost"] == sum(n for why, n in dropped(stats).items() if why == "ring-full")
    assert result["received"] + result["lost"] == result["sent"]
    assert result["corrupt"] == result["lost_requests"] == result["duplicates"] == result["reordered"] == 0
    for port in range(2):
        assert sum(queue["frames"] for queue in queues(stats, "ingress", port)) > 1000


def test_a_device_may_be_all_there_is(lab):
    options = ["--pattern", "loop", "--no-huge", "--touch-all", "--size", "imix", "--flows", "50"]
    _, result, _ = pktgen_on(["vdev:net_ring0"], "--duration", "0.3", *options)
    assert result["received"] == result["sent"] > 10000 and result["corrupt"] == 0


def test_frames_of_others_are_foreign_and_do_not_keep_it(lab):
    """DPDK's null device takes everything, and brings frames of its own without end."""
    ports = ["vdev:net_null0", "vdev:net_null1"]
    status, result, _ = pktgen_on(ports, "--duration", "0.2", "--no-huge", check=False)
    assert status == 1
    assert result["received"] == 0 and result["lost"] == result["sent"] > 1000 and result["foreign"] > 1000


@pytest.mark.parametrize("driver", ["af_packet", "af_xdp"])
def test_interfaces_of_the_kernel_are_ports(lab, driver):
    """The two ends of a veth pair, in a namespace that lives as long as the generator."""
    script = "ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up && exec \"$@\""
    if subprocess.run(["unshare", "-n", "sh", "-c", script, "sh", "true"], check=False).returncode:
        pytest.skip("not tested: namespaces: pktgen on interfaces of the kernel")
    ports = [f"vdev:net_{driver}{i},iface=v{i}" for i in range(2)]
    _, result, _ = pktgen_on(ports, "--rate", "10k", "--duration", "0.5", "--no-huge", "--touch-all",
                           "--size", "64,1000,1514", "--ring-size", "512",
                           command=["unshare", "-n", "sh", "-c", script, "sh"])
    assert result["received"] + result["lost"] == result["sent"] > 1000
    assert result["received"] > 0.9 * result["sent"] and result["corrupt"] == 0


def a_frame(number, length):
    """From one guest to another, a byte pattern for a payload."""
    head = bytes.fromhex("020000000b00 020000000a00 88b5") + struct.pack(">I", number)
    return (head + bytes(i * 7 + number & 0xFF for i in range(length)))[:length]


def write_pcap(path, frames, gap=0.001, link=1):
    """Frames are bytes, or (bytes, length on the wire)."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link))
        for i, frame in enumerate(frames):
            data, wire = frame if isinstance(frame, tuple) else (frame, len(frame))
            at = round(1000000 * (7 + i * gap))
            out.write(struct.pack("<IIII", at // 1000000, at % 1000000, len(data), wire) + data)
    return path


def write_pcapng(path, frames):
    def block(kind, body):
        body += bytes(-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    with open(path, "wb") as out:
        out.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        out.write(block(1, struct.pack("<HHI", 1, 0, 0)))
        for i, frame in enumerate(frames):
            out.write(block(6, struct.pack("<IIIII", 0, 0, i * 1000, len(frame), len(frame)) + frame))
    return path


def read_pcap(path):
    data, at, frames = path.read_bytes(), 24, []
    while at < len(data):
        captured = struct.unpack_from("<IIII", data, at)[2]
        frames.append(data[at + 16:at + 16 + captured])
        at += 16 + captured
    return frames


MIXED = [a_frame(i, 60 + i * 37 % 1455) for i in range(300)]


@pytest.mark.parametrize("write", [write_pcap, write_pcapng])
def test_a_capture_leaves_as_it_was_recorded(lab, write):
    """Twice and a bit, into a device that records what it gets."""
    path = write(lab.dir / "in", MIXED)
    ports = [f"vdev:net_pcap0,tx_pcap={lab.dir}/out", "vdev:net_ring0"]
    status, result, _ = pktgen_on(ports, "--pattern", "uni", "--pcap", path, "--frames", 700, "--no-huge",
                                "--duration", "10", check=False)
    assert status == 1 and result["sent"] == result["lost"] == 700, "a file gives nothing back"
    assert read_pcap(lab.dir / "out") == (3 * MIXED)[:700]


def test_a_capture_is_counted_on_its_way_through(lab):
    switch = two_ports(lab)
    path = write_pcap(lab.dir / "in", MIXED)
    _, result, _ = pktgen(switch, "--pattern", "uni", "--pcap", path, "--pcap-once", "--rate", "20k", "--no-huge")
    assert result["sent"] == result["received"] == 300 and result["lost"] == result["extra"] == 0
    assert result["replay"]["frames"] == 300
    sender, receiver = result["replay"]["ports"]
    assert (sender["sent"], sender["received"], receiver["received"]) == (300, 0, 300)
    assert receiver["received_bytes"] == sender["sent_bytes"] == sum(map(len, MIXED))
    _, result, _ = pktgen(switch, "--pattern", "uni", "--pcap", path, "--duration", "0.3", "--no-huge")
    stats = switch.quiet_stats()
    assert_balanced(stats)
    assert result["sent"] > 10000, "again and again, as fast as it goes"
    assert result["sent"] == result["received"] + result["lost"]
    assert result["lost"] == sum(dropped(stats).values())


def test_a_capture_keeps_its_time(lab):
    switch = two_ports(lab)
    path = write_pcap(lab.dir / "in", MIXED[:101], gap=0.01)
    options = ["--pattern", "uni", "--pcap", path, "--no-huge"]
    for speed, least, most in ((1, 1.0, 1.5), (10, 0.1, 0.6)):
        _, result, _ = pktgen(switch, *options, "--pcap-once", "--pcap-speed", speed)
        assert result["sent"] == 101 and 0.99 * least <= result["seconds"] < most
    _, result, _ = pktgen(switch, *options, "--pcap-speed", "10", "--duration", "0.5")
    assert 400 <= result["sent"] <= 520, "the next round comes as late as any frame"


def test_frames_that_cannot_be_sent_are_named(lab):
    switch = two_ports(lab)
    frames = [*MIXED[:5], bytes(13), bytes(3), a_frame(7, 70000), (a_frame(8, 100), 1514), *MIXED[5:10]]
    path = write_pcap(lab.dir / "in", frames)
    _, result, err = pktgen(switch, "--pattern", "uni", "--pcap", path, "--pcap-once", "--no-huge")
    assert result["sent"] == 10
    replay = result["replay"]
    assert (replay["frames_read"], replay["frames"]) == (14, 10)
    assert (replay["too_short"], replay["too_long"], replay["cut"]) == (2, 1, 1)
    assert "2 of 14 frames are left out, too short" in err and "first is number 6" in err
    assert "1 of 14 frames are left out, too long" in err and "first is number 8" in err
    assert "captured only in part" in err and "first is number 9" in err
    for name, content, words in (
        ("other", write_pcap(lab.dir / "raw", MIXED[:2], link=101), "Ethernet"),
        ("empty", write_pcap(lab.dir / "none", []), "no frames"),
        ("torn", write_pcap(lab.dir / "torn", [(a_frame(1, 90), 90)]), "frame 1"),
        ("nonsense", Path(__file__), "cannot read"),
        ("missing", lab.dir / "missing", "missing"),
    ):
        if name == "torn":
            content.write_bytes(content.read_bytes()[:-10])
        status, _, err = pktgen(switch, "--pcap", content, "--no-huge", check=False)
        assert status == 2 and words in err, (name, err)


def test_methods_find_a_rate_that_holds(lab):
    switch = two_ports(lab)
    _, result, _ = pktgen(switch, "--test", "mrr", "--duration", "0.1", "--no-huge")
    assert len(result["mrr_rates"]) == 10 and min(result["mrr_rates"]) > 1000
    _, result, _ = pktgen(switch, "--test", "ndrpdr", "--duration", "0.01", "--no-huge", timeout=120)
    most = max(result["mrr_rates"])
    assert 0 < result["NDR"]["rate"] <= most and 0 < result["PDR"]["rate"] <= most
    assert result["PDR"]["trials"] >= 11, "one short trial is no proof"
    _, result, _ = pktgen(switch, "--test", "back-to-back", "--no-huge", "--ring-size", "256")
    assert result["back_to_back"] >= 32


def test_the_books_hold_over_all_trials_of_a_search(lab):
    switch = two_ports(lab)
    _, result, _ = pktgen(switch, "--test", "rfc2544", "--duration", "0.01", "--no-huge", "--ring-size", "256")
    stats, total = switch.quiet_stats(), result["total"]
    assert_balanced(stats)
    assert total["trials"] > 4 and total["hellos"] == 4
    assert sum(queue["frames"] for queue in queues(stats, "ingress")) == total["sent"] + total["hellos"]
    assert sum(dropped(stats).values()) == total["sent"] - total["received"]


def test_loss_is_drawn_until_there_is_none(lab):
    switch = two_ports(lab)
    _, result, _ = pktgen(switch, "--test", "loss", "--rate", "20k", "--duration", "0.1", "--no-huge")
    assert [load["share"] for load in result["loss"]] == [1.0, 0.9], "two loads without loss are the end"
    assert [load["rate"] for load in result["loss"]] == [20000, 18000]
    ports = ["vdev:net_null0,no-rx=1", "vdev:net_ring0"]
    status, result, _ = pktgen_on(ports, "--test", "loss", "--duration", "0.05", "--no-huge", check=False)
    assert status == 1 and len(result["loss"]) == 10, "no load is without loss"
    assert all(load["lost"] == load["sent"] and load["loss_ratio"] == 1 for load in result["loss"])


@pytest.mark.parametrize("options", [
    ["--size", "65535"],
    ["--size", "65535", "--tso", "1448"],
    ["--flows", "1M", "--rate", "1M"],
    ["--macs", "100k", "--rate", "500k"],
])
def test_extremes_are_sent_too(lab, options):
    switch = two_ports(lab, "--mac-table", "1000000")
    _, result, _ = pktgen(switch, "--rate", "2k", "--duration", "0.5", "--no-huge", *options)
    assert result["received"] + result["lost"] == result["sent"] > 500 and result["received"] > 500


def test_faults_are_told_in_words(lab):
    switch = two_ports(lab)
    status, _, err = pktgen(switch, "--rate", "fast", check=False)
    assert status == 2 and "not a number" in err
    (lab.dir / "mix").write_text("64 1\n65 -1\n")
    for options, words in (
        (["--size", "IMIX"], "'IMIX' is neither a number nor imix"),
        (["--size", "13"], "from 14 to 65535"),
        (["--size", "17", "--vlan", "9"], "a frame with a VLAN tag has at least 18 bytes"),
        (["--size", "53", "--csum"], "a TCP frame has at least 54 bytes"),
        (["--size", "57", "--tso", "100", "--vlan", "9"], "has at least 58 bytes"),
        (["--size", "20", "--flows", "2"], "below 36 bytes have no more flows than MAC addresses"),
        (["--mix", "nonsense"], "none of imix, datacenter, linux-tcp"),
        (["--mix", lab.dir / "mix"], "mix:2: a line is a size from 14 to 65535 and a weight"),
        (["--mix", "imix", "--size", "64"], "instead of --size"),
        (["--mix", "linux-tcp", "--pattern", "mesh"], "for --pattern bi and uni"),
        (["--chain", "9"], "from 1 to 8"),
        (["--chain", "2", "--in-order"], "needs --indirect"),
        (["--no-guest-csum"], "for --csum"),
    ):
        status, _, err = pktgen(switch, *options, "--no-huge", check=False)
        assert status == 2 and words in err, (options, err)
    status, _, err = pktgen_on(["vdev:net_ring0", "vdev:net_ring1"], "--csum", check=False)
    assert status == 2 and "not for devices" in err
    for port in ["/nowhere/a", "vdev:net_nonsense0", "pci:0000:ff:1f.7"]:
        status, _, err = pktgen_on([port, switch.paths[1]], "--no-huge", check=False)
        assert status == 2 and port in err
    status, _, err = pktgen_on(["vdev:net_ring0"], "--no-huge", check=False)
    assert status == 2 and "loop" in err


def test_a_switch_that_dies_is_not_a_success(lab):
    switch = two_ports(lab)
    argv = [PKTGEN, "--duration", "1", "--no-huge"]
    for path in switch.paths:
        argv += ["--port", path]
    generator = Process(lab, "pktgen", argv)
    while not sum(queue["frames"] for queue in queues(switch.stats(), "ingress")):
        pass
    switch.stop()
    assert generator.wait(20) in (0, 1, 3)
    text = generator.out_path.read_text()
    assert "lost" in text and "received" in text

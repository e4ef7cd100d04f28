"""The probe's delay against the kernel's own stamps of a trace, captured on both sides of the bottleneck's queue."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from detnet.sense.probe_window import ProbeWindow, quantile

if TYPE_CHECKING:
    from lab.conftest import Marked

CAPTURE = str(Path(__file__).with_name("capture.py"))
BEFORE, AFTER = ("node1", "veth-10"), ("robot-arm", "eth0")
PER_WINDOW = 1000
WINDOWS = 4


def stamps(file: Path) -> dict[int, int]:
    return {int(sequence): int(at) for sequence, at in (line.split() for line in file.read_text().splitlines())}


@pytest.mark.parametrize("load", ["", "constant"], ids=["idle", "with a queue of up to 21 ms"])
def test_p95_delay_agrees_with_a_trace_of_both_sides_of_the_queue(load: str, marked: Marked, tmp_path: Path) -> None:
    name = f"accuracy-{marked.mark[:8]}"
    up = marked.run("lab", "up", "--name", name, "--link", "50M", "--pods", "1", *(["--load", load] if load else []))
    assert up.returncode == 0, up.stderr
    inside = ("lab", "exec", "--name", name)
    captures = [
        marked.start(*inside, where, "--", sys.executable, CAPTURE, interface, "6", str(tmp_path / where))
        for where, interface in (BEFORE, AFTER)
    ]
    probe = marked.start(*inside, "robot-control", "--", sys.executable, "-m", "detnet.agent.probe",
                         "--to", "198.18.2.10", "--ssid", "5201")  # fmt: skip
    assert probe.stdout is not None
    windows = [msgspec.json.decode(probe.stdout.readline(), type=ProbeWindow) for _ in range(WINDOWS)]
    for pid in marked.alive("detnet.agent.probe"):
        os.kill(pid, signal.SIGKILL)
    probe.communicate(timeout=10)
    for capture in captures:
        _, err = capture.communicate(timeout=30)
        assert capture.returncode == 0, err
    assert marked.run("lab", "down", "--name", name).returncode == 0

    before, after = stamps(tmp_path / BEFORE[0]), stamps(tmp_path / AFTER[0])
    compared = 0
    for i, window in enumerate(windows):
        sequences = range(i * PER_WINDOW, (i + 1) * PER_WINDOW)
        delays_ms = sorted((after[s] - before[s]) / 1e6 for s in sequences if s in before and s in after)
        if len(delays_ms) < window.received or window.received < PER_WINDOW / 2:
            continue  # the captures began after the window did, or it was lossy
        traced_ms = quantile(delays_ms, 0.95)
        assert traced_ms is not None
        assert window.delay_p95_ms is not None
        assert window.delay_p95_ms == pytest.approx(traced_ms, abs=max(0.010, 0.02 * traced_ms))
        compared += 1
    assert compared >= 2

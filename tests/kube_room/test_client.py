"""What the client asks of the kernel: to send no longer than the lease allows."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from detnet.errors import MissingFeatureError
from detnet.kube.access import Access
from detnet.kube.client import connect
from detnet.kube.failures import ApiError
from detnet.kube.lease import Timing
from detnet.kube.views import PODS
from kube_room.fake_api import fake_api

pytestmark = pytest.mark.asyncio


def unheard_ms(port: int) -> list[int]:
    """How long the kernel goes on sending, on each of our connections to a port."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it is closed by now, or connected to nobody
            if not str(entry.readlink()).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as ours:
                if ours.family == socket.AF_INET and ours.getpeername()[1] == port:
                    found.append(ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has TCP_USER_TIMEOUT")
@pytest.mark.parametrize("unheard_s", [None, 0.4])
async def test_the_kernel_is_told_for_how_long_to_send_by_default_as_the_lease_allows(unheard_s: float | None) -> None:
    async with fake_api() as fake:
        given = {} if unheard_s is None else {"unheard_s": unheard_s}
        async with connect(Access(server=fake.url), **given) as client:
            with pytest.raises(ApiError):
                await client.get(PODS, "p", "factory")
            expected_s = Timing().write_s if unheard_s is None else unheard_s
            assert unheard_ms(urlsplit(fake.url).port or 0) == [round(expected_s * 1e3)]


@pytest.mark.lab
async def test_a_write_that_was_given_up_while_cut_off_does_not_arrive_when_the_network_is_back() -> None:
    program = str(Path(__file__).with_name("late_write.py"))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    # The kernel sends again 0.2, 0.6, 1.4, 3, 6.2, 12.6 s after the first time: where it is not told to stop, the write arrives.
    told = {"0.5": "10", "100": "60"}
    running = [
        await asyncio.create_subprocess_exec(
            sys.executable, program, unheard_s, watched_s, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        for unheard_s, watched_s in told.items()
    ]
    said = [(await it.communicate(), it.returncode) for it in running]
    if any(code == MissingFeatureError.exit_code for _, code in said):
        pytest.skip(f"this machine allows no cell: {said[0][0][1].decode()}")
    assert [(out.decode(), error.decode()) for (out, error), _ in said] == [("nothing\n", ""), ("arrived\n", "")]

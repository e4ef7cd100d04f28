"""The real process, as a pod starts and ends it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from controller.plant import CONFIG, HOME, Plant, PlantApi
from detnet.sense.scrape import fetched
from kube_room.clusters import until
from kube_room.fake_api import fake_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio
KUBECONFIG = """
current-context: here
contexts: [{{name: here, context: {{cluster: fake, user: me}}}}]
clusters: [{{name: fake, cluster: {{server: "{url}"}}}}]
users: [{{name: me, user: {{token: none}}}}]
"""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@asynccontextmanager
async def process(path: Path, url: str, port: int, config: str) -> AsyncIterator[asyncio.subprocess.Process]:
    (path / "config.yaml").write_text(config)
    (path / "kubeconfig").write_text(KUBECONFIG.format(url=url))
    line = [sys.executable, "-m", "detnet", "controller", "--config", str(path / "config.yaml"), "--host", "127.0.0.1"]
    line += ["--kubeconfig", str(path / "kubeconfig"), "--port", str(port), "--namespace", HOME, "--name", "real"]
    it = await asyncio.create_subprocess_exec(*line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    try:
        yield it
    finally:
        if it.returncode is None:
            it.kill()
            await it.communicate()


async def test_it_serves_limits_pods_and_ends_in_peace_on_sigterm(tmp_path: Path) -> None:
    port = free_port()
    async with fake_api(PlantApi) as fake:
        plant = Plant(fake)
        await plant.fill()
        async with process(tmp_path, fake.url, port, CONFIG.replace("file: ''", "file: /dev/stdout")) as it:
            await until(lambda: plant.limit("t1") > 0)  # no agent answers: the budget is what it was
            await until(lambda: plant.status().get("state") == "Blind")
            assert await fetched("127.0.0.1", port, path="/healthz") == "ok\n"
            assert await fetched("127.0.0.1", port, path="/readyz") == "ok, leading\n"
            assert "detnet_leader 1\n" in await fetched("127.0.0.1", port)
            assert '"node":"n1"' in await fetched("127.0.0.1", port, path="/decisions")
            it.send_signal(signal.SIGTERM)
            out, error = await asyncio.wait_for(it.communicate(), 30)
            assert (it.returncode, error, plant.holder) == (0, b"", "")
            assert plant.limit("t1") > 0
            assert out.splitlines()[0].startswith(b'{"schema":"detnet/journal/1"')


async def test_a_configuration_that_cannot_be_used_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    async with process(tmp_path, "http://127.0.0.1:1", free_port(), "intervalSecond: 3\n") as it:
        _, error = await asyncio.wait_for(it.communicate(), 30)
        assert it.returncode == 2
        assert error.decode().startswith('detnet: intervalSecond: "3" is not allowed; use only: intervalSeconds')
        assert len(error.splitlines()) == 1

"""Whether Cilium's bandwidth manager enforces annotations in this cluster: its own settings say so.

Two that pace the same pod are one too many: where the manager is on, the agent takes its own limits away and leaves pods alone.

Invariants: what cannot be learned changes nothing; where it could never be learned, nobody else is taken to enforce, and that is told.
Source: Cilium, `enable-bandwidth-manager` in the ConfigMap `kube-system/cilium-config`.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import field

from detnet.kube.failures import ApiError, UnreachableError
from detnet.kube.views import Kind, Object

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from detnet.kube.client import Client

NAME = "Cilium's bandwidth manager"
NAMESPACE, CONFIG, KEY = "kube-system", "cilium-config", "enable-bandwidth-manager"
EVERY_S = 60.0
RETRY_S = 2.0
_NOT_FOUND = 404


class Pacing(StrEnum):
    """Who paces."""

    AUTO = "auto"  # we, unless Cilium's settings say that it does
    ON = "on"
    OFF = "off"


class ConfigMap(Object, frozen=True):
    """Settings by name."""

    data: dict[str, str] = field(default_factory=dict)


CONFIG_MAPS = Kind(group="", version="v1", plural="configmaps", view=ConfigMap)


class Cilium:
    """Follows the setting. `left_to` is who enforces instead of us, "" if nobody does."""

    def __init__(self, client: Client, pacing: Pacing, say: Callable[..., None]) -> None:
        self._client, self._pacing, self._say = client, pacing, say
        self._told = ""
        self.left_to = "others, as --pacing off says" if pacing is Pacing.OFF else ""

    async def learned(self) -> bool:
        """Ask once; whether there was an answer."""
        if self._pacing is not Pacing.AUTO:
            return True
        try:
            found = await self._client.get(CONFIG_MAPS, CONFIG, NAMESPACE)
        except ApiError as error:
            if error.code == _NOT_FOUND:
                self._learn("", "no Cilium here")
            else:
                self._learn(self.left_to, f"cannot read {NAMESPACE}/{CONFIG}: {error}; --pacing on or off decides")
            return True
        except UnreachableError:
            return False
        on = found.data.get(KEY, "").lower() == "true"
        self._learn(NAME if on else "", f"{KEY} is {found.data.get(KEY, 'not set')}")
        return True

    async def first_learned(self) -> None:
        """Ask until there is an answer."""
        while True:
            if await self.learned():
                return
            await asyncio.sleep(RETRY_S)

    async def run(self) -> NoReturn:
        """Ask again for ever."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.learned()

    def _learn(self, left_to: str, reason: str) -> None:
        self.left_to = left_to
        if reason != self._told:
            self._say("pacing", by=left_to or "this agent", reason=reason)
        self._told = reason

"""What a replica that follows tells of the leader's work, so that the log of either says what was decided: read from policies' statuses.

Invariants: a line where a link's budget or a policy's state has changed, or a newer window was told; nothing that no status says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detnet.controller import status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from detnet.kube.views import Custom
    from detnet.policy.types import LinkStatus


class Overheard:
    """Remembers what it told of each policy's links.

    Args:
        say: the log.
    """

    def __init__(self, say: Callable[..., None]) -> None:
        self._say = say
        self._known: dict[str, Custom] = {}
        self._told: dict[str, tuple[str, list[LinkStatus]]] = {}

    def tell(self, policies: Iterable[Custom]) -> None:
        """Tell what is new since the last call."""
        known, self._known = self._known, {policy.key: policy for policy in policies}
        self._told = {key: told for key, told in self._told.items() if key in self._known}
        for key, policy in self._known.items():
            if known.get(key) is policy:  # the watch brought nothing
                continue
            said = status.read(policy.status)
            before, self._told[key] = self._told.get(key), (said.state, said.links)
            for link in said.links:
                if before is None or before[0] != said.state or link not in before[1]:
                    self._line(key, said.state, link)

    def _line(self, policy: str, state: str, link: LinkStatus) -> None:
        self._say(
            "info",
            "leader-decided",
            policy=policy,
            state=state,
            node=link.node,
            budget=link.budget,
            jitterP95=link.jitter_p95,
            delayP95=link.delay_p95,
            quality=link.quality.value,
            measuredAt=link.measured_at,
        )

"""What the controller's pages say: whether it lives, whether it is ready, what it counts, what it has decided.

Invariants: a follower that knows the cluster is ready; what only the API server can heal is no reason to be started again.
"""

from __future__ import annotations

import time
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING

from detnet.controller import metrics
from detnet.kube.annotations import PER_S
from detnet.kube.reflector import SILENCE_S
from detnet.serve.exposition import CONTENT_TYPE
from detnet.serve.http import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from detnet.controller.service import Controller

STUCK_S = 60.0  # a round comes every second or so; one that takes so long never ends


class Pages:
    """The pages of one controller."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def all(self) -> dict[str, Callable[[], Awaitable[Answer]]]:
        """Each page by its path."""
        return {"/healthz": self.healthz, "/readyz": self.readyz, "/metrics": self.metrics, "/decisions": self.decisions}

    async def healthz(self) -> Answer:
        """Whether rounds go on, where we lead."""
        rounds = self._controller.rounds
        marks_s = len(self._controller.world.pods) / PER_S  # a new leader marks every managed pod in its first round
        if rounds.leads and time.monotonic() - rounds.ended_s > STUCK_S + 2 * marks_s:
            return Answer("the last round does not end\n", HTTPStatus.SERVICE_UNAVAILABLE)
        return Answer("ok\n")

    async def readyz(self) -> Answer:
        """Whether we could lead at once."""
        for kind, health in self._controller.world.health.items():
            if health.contact_s is None:
                text = f"{kind} were not listed yet: {health.last_failure or 'waiting'}\n"
                return Answer(text, HTTPStatus.SERVICE_UNAVAILABLE)
            if time.monotonic() - health.contact_s > 2 * SILENCE_S:
                text = f"the API server is not heard about {kind}: {health.last_failure or 'silent'}\n"
                return Answer(text, HTTPStatus.SERVICE_UNAVAILABLE)
        if not self._controller.world.planned.is_set():
            return Answer("nothing was planned yet\n", HTTPStatus.SERVICE_UNAVAILABLE)
        return Answer("ok, leading\n" if self._controller.rounds.leads else "ok, following\n")

    async def metrics(self) -> Answer:
        """All metrics."""
        controller, now_s = self._controller, time.monotonic()
        readings = {node: controller.readings.latest(node) for node in controller.world.plan.links}
        heard = {kind: it.contact_s for kind, it in controller.world.health.items()}
        standing = metrics.Standing(
            leads=controller.election.may_write(),
            links=controller.rounds.links.by_node if controller.rounds.leads else {},
            reading_age_s={node: now_s - it.at_s for node, it in readings.items() if it is not None},
            watch_age_s={kind: now_s - at_s for kind, at_s in heard.items() if at_s is not None},
            policies=Counter("invalid" if isinstance(it, list) else "valid" for it in controller.world.judged.values()),
            events_lost=controller.recorder.lost,
            transition=fence.transition if (fence := controller.election.fence) is not None else None,
        )
        return Answer(metrics.page(controller.counts, standing), content_type=CONTENT_TYPE)

    async def decisions(self) -> Answer:
        """The last decisions, the oldest first, a line of JSON each, as in the journal."""
        lines = [line.decode() for line in self._controller.diary.recent]
        return Answer("\n".join([*lines, ""]) if lines else "", content_type="application/x-ndjson")

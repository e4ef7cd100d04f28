"""What the controller asked of the API server, as the API server itself wrote it down, and when it was done.

Invariants: a request is counted once: a watch when it begins, all others when they are answered; times are times of day, in seconds
since 1970, of the machine that both run on.
Source: k8s.io/apiserver/pkg/apis/audit/v1.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct, field

from detnet.bench.kube import Delay
from detnet.bench.spread import spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_DONE = 200


class _Object(Struct):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""


class _Response(Struct):
    code: int = 0


class _Event(Struct, rename="camel"):
    stage: str
    verb: str
    stage_timestamp: str
    object_ref: _Object = field(default_factory=_Object)
    response_status: _Response = field(default_factory=_Response)


class _Line(Struct):
    """As much of a line of the journal as is needed here: `detnet.controller.diary.LinkEntry`."""

    time_s: float
    at: str
    node: str


class Request(NamedTuple):
    """One request. `what`: verb and resource; `pod`: which was patched, as `namespace/name`, else empty."""

    at_s: float
    what: str
    pod: str
    done: bool


class Audit:
    """Follows the file that the API server writes."""

    def __init__(self, path: Path) -> None:
        self._path, self._at, self._rest = path, 0, b""
        self._decode = msgspec.json.Decoder(_Event).decode
        self.requests: list[Request] = []

    def look(self) -> None:
        """Take in what was written since the last look."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            read = file.read()
        self._at += len(read)
        *lines, self._rest = (self._rest + read).split(b"\n")
        for event in map(self._decode, lines):
            if (event.verb == "watch") == (event.stage == "ResponseStarted"):
                self.requests.append(_request(event))

    def between(self, began_s: float, ended_s: float) -> list[Request]:
        """Requests of a stretch of time."""
        return [it for it in self.requests if began_s <= it.at_s < ended_s]


def _request(event: _Event) -> Request:
    it = event.object_ref
    what = " ".join(filter(None, (event.verb, it.resource, it.subresource)))
    pod = f"{it.namespace}/{it.name}" if what == "patch pods" else ""
    at_s = datetime.fromisoformat(event.stage_timestamp).timestamp()
    return Request(at_s, what, pod, event.response_status.code == _DONE)


def counted(requests: Iterable[Request], seconds: float) -> dict[str, float]:
    """Requests a minute, by what was asked."""
    return {what: round(count * 60 / seconds, 1) for what, count in sorted(Counter(it.what for it in requests).items())}


def delays(journal: bytes, requests: Sequence[Request], node_of: Mapping[str, str], began_s: float, ended_s: float) -> Delay:
    """How long it took from each decision of a stretch of time to the last write that came of it.

    The journal tells a decision's time from the controller's start to the millisecond, and the time of day to the second: the largest
    difference of the two over all decisions is the time of day of that start, a few milliseconds early at most where there are many.
    A decision bears the time of its reading, so the wait for the round is part of the delay.
    """
    entries = [msgspec.json.decode(line, type=_Line) for line in journal.splitlines()]
    if not entries:
        return Delay(decisions=0, ms=None)
    zero_s = max(datetime.fromisoformat(it.at).timestamp() - it.time_s for it in entries)
    decided: dict[str, list[float]] = {}
    for it in entries:
        decided.setdefault(it.node, []).append(zero_s + it.time_s)
    last_s: dict[tuple[str, float], float] = {}
    for request in requests:
        if request.done and (node := node_of.get(request.pod)) is not None:
            before = [at_s for at_s in decided.get(node, ()) if at_s <= request.at_s]
            if before and began_s <= before[-1] < ended_s:
                last_s[node, before[-1]] = request.at_s
    took_ms = [(at_s - decided_s) * 1000 for (_, decided_s), at_s in last_s.items()]
    return Delay(decisions=len(took_ms), ms=spread(took_ms) if took_ms else None)

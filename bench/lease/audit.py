"""What the API server's audit log says of writes: who changed which lease or pod, into which version, and when.

A version (`resourceVersion`) is etcd's revision: one counter for all objects, so that writes of leases and of pods stand in one order
that no clock has a say in. Times are the API server's own.

Invariants: pure; a line is a `Write`, nothing of interest (None), or `InputError`.
Source: Kubernetes, `audit.k8s.io/v1`, level RequestResponse.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads it
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from detnet.errors import InputError
from detnet.kube.ledger import read_record
from detnet.kube.views import RECORD

if TYPE_CHECKING:
    from collections.abc import Mapping

LEASES, PODS = "leases", "pods"
_VERBS = {"create", "update", "patch"}
_CREDENTIAL = "authentication.kubernetes.io/credential-id"
_SHOWN = 120


class Write(Struct, frozen=True, kw_only=True):
    """One request to change an object, and what came of it.

    `writer` is one process: each has a token of its own. `base`: the version that it named, `version`: the one that it made; 0: none.
    `received_s` and `answered_s` are seconds since 1970 on the API server's clock; `renewed_s` is what the writer's own clock said.
    """

    user: str
    writer: str
    kind: str
    key: str
    code: int
    base: int
    version: int
    received_s: float
    answered_s: float
    holder: str = ""
    duration_s: int = 0
    transition: int | None = None  # of a lease; of a pod: that of the leadership which its record names
    renewed_s: float | None = None

    @property
    def refused(self) -> bool:
        """Whether it surely changed nothing."""
        return 400 <= self.code < 500

    @property
    def stored(self) -> bool:
        """Whether it surely changed something."""
        return 200 <= self.code < 300 and self.version > 0 and self.version != self.base


class _User(Struct):
    username: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict)


class _Reference(Struct):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""


class _Response(Struct):
    code: int = 0


class _Meta(Struct, rename="camel"):
    name: str = ""
    resource_version: str = ""
    annotations: dict[str, str | None] = field(default_factory=dict)


class _Spec(Struct, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    lease_transitions: int | None = None
    renew_time: datetime | None = None


class _Object(Struct):
    metadata: _Meta = field(default_factory=_Meta)
    spec: _Spec = field(default_factory=_Spec)


class _Event(Struct, rename="camel"):
    stage: str
    verb: str
    request_received_timestamp: datetime
    stage_timestamp: datetime
    user: _User = field(default_factory=_User)
    object_ref: _Reference = field(default_factory=_Reference)
    response_status: _Response = field(default_factory=_Response)
    request_object: _Object | None = None
    response_object: _Object | None = None


def parse(line: bytes, *, lease: str) -> Write | None:
    """Read one line. `lease`: the only one that matters, as `namespace/name`.

    Raises:
        InputError: it is no event of an audit log.
    """
    try:
        event = msgspec.json.decode(line, type=_Event)
        return _write(event, lease)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise InputError(
            "audit log", line[:_SHOWN].decode("utf-8", "replace"), f"an event of audit.k8s.io/v1 ({error})"
        ) from error


def _write(event: _Event, lease: str) -> Write | None:
    ref, asked, made = event.object_ref, event.request_object or _Object(), event.response_object or _Object()
    name = ref.name or asked.metadata.name or made.metadata.name
    key = f"{ref.namespace}/{name}"
    of_interest = ref.resource == PODS or (ref.resource == LEASES and key == lease)
    if event.stage not in {"ResponseComplete", "Panic"} or event.verb not in _VERBS or ref.subresource or not of_interest:
        return None
    code = event.response_status.code
    said = made.spec if 200 <= code < 300 else asked.spec
    of_lease = ref.resource == LEASES
    annotations = (made if 200 <= code < 300 else asked).metadata.annotations
    return Write(
        user=event.user.username,
        writer=_writer(event.user),
        kind=ref.resource,
        key=key,
        code=code,
        base=int(asked.metadata.resource_version or 0),
        version=int(made.metadata.resource_version or 0),
        holder=(said.holder_identity or "") if of_lease else "",
        duration_s=(said.lease_duration_seconds or 0) if of_lease else 0,
        transition=(said.lease_transitions or 0) if of_lease else _transition(annotations),
        received_s=event.request_received_timestamp.timestamp(),
        answered_s=event.stage_timestamp.timestamp(),
        renewed_s=said.renew_time.timestamp() if said.renew_time else None,
    )


def _writer(user: _User) -> str:
    return " ".join([user.username, *user.extra.get(_CREDENTIAL, [])])


def _transition(annotations: Mapping[str, str | None]) -> int | None:
    record = read_record(annotations.get(RECORD))
    return record.fence.transition if record else None

"""The QoSPolicy as it stands on the wire: `qos.detnet.dev/v1alpha1`, namespaced. CRD and reference are generated from these types.

Invariants: what a field allows beyond its type stands in its `Meta` (bounds, and rules of `rules.py` under `rules`), its meaning in the
same place; a default is the same here and in the CRD; an objective's default is the controller's own. Rates, times and shares are text
with a unit, as everywhere in Kubernetes. Lists are bounded: an object must fit etcd, and the API server bounds the cost of rules.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from detnet.control.laws import LONGEST_TEXT
from detnet.control.reading import Quality  # noqa: TC001 - msgspec reads the annotations at run time
from detnet.policy import rules

GROUP, VERSION, KIND, PLURAL = "qos.detnet.dev", "v1alpha1", "QoSPolicy", "qospolicies"
API_VERSION = f"{GROUP}/{VERSION}"
MAX_ENTRIES = 32  # flows, workloads
MAX_LABELS = 16  # labels, expressions, values
MAX_LINKS = 32
MAX_LIMITS = 32

RateText = Annotated[str, Meta(max_length=28, extra={"rules": (rules.RATE,)})]
TimeText = Annotated[str, Meta(max_length=16, extra={"rules": (rules.TIME,)})]
ShareText = Annotated[str, Meta(max_length=8, extra={"rules": (rules.SHARE,)})]
NameText = Annotated[str, Meta(max_length=63, extra={"rules": (rules.NAME,)})]
LabelKey = Annotated[str, Meta(max_length=rules.LONGEST_KEY, extra={"rules": (rules.LABEL_KEY,)})]
LabelValue = Annotated[str, Meta(max_length=63, extra={"rules": (rules.LABEL_VALUE,)})]
Figure = Annotated[str, Meta(max_length=32)]  # what was measured, or a limit, with its unit
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class Mode(StrEnum):
    """How far a policy goes."""

    OBSERVE = "Observe"
    DRY_RUN = "DryRun"
    ENFORCE = "Enforce"


class OnRelease(StrEnum):
    """What becomes of a limit that nobody looks after any more."""

    KEEP = "Keep"
    RESTORE = "Restore"


class Protocol(StrEnum):
    """What carries a flow."""

    UDP = "UDP"
    TCP = "TCP"


class Operator(StrEnum):
    """How an expression compares a label with its values."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class Direction(StrEnum):
    """Which way over a node's uplink."""

    EGRESS = "egress"
    INGRESS = "ingress"


class Truth(StrEnum):
    """The status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class _Wire(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How all of it is written."""


class Expression(_Wire, frozen=True, kw_only=True):
    """One condition on a label."""

    key: Annotated[LabelKey, Meta(description="The label's key.")]
    operator: Annotated[
        Operator,
        Meta(
            description="`In` and `NotIn` compare with the values; `NotIn` and `DoesNotExist` also match pods without the label."
        ),
    ]
    values: Annotated[
        list[LabelValue], Meta(max_length=MAX_LABELS, description="For `In` and `NotIn`, at least one. Else none.")
    ] = []


class LabelSelector(_Wire, frozen=True, kw_only=True):
    """Picks pods by their labels, as everywhere in Kubernetes: all that is said must hold."""

    match_labels: Annotated[
        dict[str, LabelValue],
        Meta(max_length=MAX_LABELS, extra={"rules": (rules.LABEL_KEYS,)}, description="Labels with exactly these values."),
    ] = {}
    match_expressions: Annotated[
        list[Annotated[Expression, Meta(extra={"rules": (rules.VALUES,)})]],
        Meta(max_length=MAX_LABELS, description="Further conditions on labels."),
    ] = []


Selector = Annotated[
    LabelSelector,
    Meta(
        extra={"rules": (rules.NOT_EMPTY,)},
        description="The pods, in the policy's namespace (in all, for the cluster's default).",
    ),
]


class Objectives(_Wire, frozen=True, kw_only=True):
    """What a critical flow is promised, over one window."""

    jitter_p95: Annotated[TimeText, Meta(description="p95 of one-way jitter, |IPDV| of RFC 3393.")] = "1ms"
    delay_p95: Annotated[TimeText, Meta(description="p95 of one-way delay.")] = "1.5ms"
    loss: Annotated[ShareText, Meta(description="Packets lost. Judged and reported, not steered by.")] = "0.1%"


class CriticalFlow(_Wire, frozen=True, kw_only=True):
    """Traffic that must be on time. Its pods are never paced."""

    name: Annotated[NameText, Meta(description="What reports and events call it. Unique in the list.")]
    selector: Selector
    protocol: Annotated[Protocol, Meta(description="What carries the flow.")]
    port: Annotated[int, Meta(ge=1, le=65535, description="The port by which the flow is known, at either end.")]
    objectives: Annotated[Objectives, Meta(description="What the flow is promised.")] = Objectives()


class Workload(_Wire, frozen=True, kw_only=True):
    """Best effort: pods that may be paced. All rates are for each pod."""

    name: Annotated[NameText, Meta(description="What reports and events call it. Unique in the list.")]
    selector: Selector
    floor: Annotated[RateText, Meta(description="The least that a pod may always send, whatever happens.")] = "10M"
    ceiling: Annotated[
        RateText | None,
        Meta(description="The most that a pod may send, however quiet the link is. Without it: what the link has."),
    ] = None
    weight: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="A pod's part of the budget: twice the weight is twice the share, between floor and ceiling.",
        ),
    ] = 1


class Spec(_Wire, frozen=True, kw_only=True):
    """What is asked for."""

    mode: Annotated[
        Mode,
        Meta(
            description="`Observe` measures and judges. `DryRun` also decides, and says what it would do. `Enforce` does it. "
            "Only `Enforce` changes a pod."
        ),
    ] = Mode.DRY_RUN
    on_release: Annotated[
        OnRelease,
        Meta(
            description="What becomes of a limit when the policy is deleted, no longer selects the pod, or leaves `Enforce`. `Keep`: "
            "it stays, until the pod is made anew or somebody removes it. `Restore`: the pod gets back what it had before. "
            "`Keep` is the default because it fails on the safe side: a policy deleted by mistake leaves best effort slow, and does "
            "not let it loose on the critical flows at once. To let go on purpose, set `Restore`, then delete."
        ),
    ] = OnRelease.KEEP
    law: Annotated[
        str,
        Meta(
            max_length=LONGEST_TEXT,
            extra={"rules": (rules.LAW,)},
            description="The rule from what is measured to the budget of best effort, with its parameters: `headroom:promise=2%`, "
            "`step:down=50M,up=10M`, `feedforward+autorate`. `detnet laws` lists them.",
        ),
    ] = "headroom"
    link_rate: Annotated[
        RateText | None,
        Meta(description="What a node's uplink carries, if that is known. Best effort then never gets all of it."),
    ] = None
    critical: Annotated[
        list[CriticalFlow],
        Meta(max_length=MAX_ENTRIES, extra={"keys": ("name",)}, description="The flows that must be on time."),
    ] = []
    best_effort: Annotated[
        list[Annotated[Workload, Meta(extra={"rules": (rules.FLOOR,)})]],
        Meta(
            max_length=MAX_ENTRIES,
            extra={"keys": ("name",)},
            description="The workloads that may be paced for them. A pod belongs to the first that selects it.",
        ),
    ] = []


class Condition(_Wire, frozen=True, kw_only=True, omit_defaults=False):
    """One thing that is so or not so, as everywhere in Kubernetes."""

    type: Annotated[str, Meta(max_length=316, description="What is told of: see the table of conditions.")]
    status: Annotated[Truth, Meta(description="Whether it is so.")]
    reason: Annotated[str, Meta(max_length=1024, description="Why, in a word.")]
    message: Annotated[str, Meta(max_length=32768, description="Why, in a sentence.")]
    last_transition_time: Annotated[Moment, Meta(description="When the status last changed.")]
    observed_generation: Annotated[int, Meta(ge=0, description="The generation of the policy that was judged.")]


class PodLimit(_Wire, frozen=True, kw_only=True):
    """The limit of one pod."""

    pod: Annotated[str, Meta(max_length=317, description="`namespace/name`.")]
    limit: Annotated[Figure, Meta(description="In force, as read back; in a dry run, what it would be.")]


class LinkStatus(_Wire, frozen=True, kw_only=True):
    """The last window of one link, and what came of it. What was not measured is not there."""

    node: Annotated[str, Meta(max_length=253, description="The node whose uplink it is.")]
    direction: Annotated[Direction, Meta(description="Which way over it.")]
    measured_at: Annotated[Moment, Meta(description="The end of the window.")]
    quality: Annotated[Quality, Meta(description="How far the figures can be trusted.")]
    samples: Annotated[int, Meta(ge=0, description="The packet pairs behind the quantiles.")] = 0
    jitter_p95: Annotated[Figure | None, Meta(description="p95 of one-way |IPDV|.")] = None
    pdv_p95: Annotated[Figure | None, Meta(description="p95 of delay over the least delay, RFC 5481.")] = None
    delay_p95: Annotated[Figure | None, Meta(description="p95 of one-way delay.")] = None
    loss: Annotated[Figure | None, Meta(description="Packets lost on the way there.")] = None
    budget: Annotated[Figure | None, Meta(description="What all best effort on the link may send together.")] = None
    pods: Annotated[int, Meta(ge=0, description="How many pods share the budget.")] = 0
    limits: Annotated[
        list[PodLimit],
        Meta(max_length=MAX_LIMITS, extra={"keys": ("pod",)}, description="Limits of this policy's pods, the smallest first."),
    ] = []


class Worst(_Wire, frozen=True, kw_only=True):
    """The link that is worst off, for `kubectl get`."""

    link: Annotated[str, Meta(max_length=270, description="Node and direction.")]
    jitter_p95: Annotated[Figure | None, Meta(description="p95 of one-way |IPDV| in its last window.")] = None
    objective: Annotated[Figure | None, Meta(description="What it is held against: the strictest on the link.")] = None
    budget: Annotated[Figure | None, Meta(description="What all best effort on it may send together.")] = None


class Status(_Wire, frozen=True, kw_only=True):
    """What came of it. Written by the controller."""

    observed_generation: Annotated[int, Meta(ge=0, description="The generation of the policy that this is about.")] = 0
    state: Annotated[str, Meta(max_length=63, description="The conditions in a word.")] = ""
    conditions: Annotated[list[Condition], Meta(max_length=16, extra={"keys": ("type",)}, description="See below.")] = []
    worst: Annotated[Worst | None, Meta(description="The link that is worst off.")] = None
    links_total: Annotated[int, Meta(ge=0, description="How many links carry pods of this policy.")] = 0
    links: Annotated[
        list[LinkStatus],
        Meta(
            max_length=MAX_LINKS, extra={"keys": ("node", "direction")}, description="The links that are worst off, worst first."
        ),
    ] = []


class Metadata(_Wire, frozen=True, kw_only=True):
    """What we read of an object's metadata."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    creation_timestamp: str = ""


class QoSPolicy(_Wire, frozen=True, kw_only=True, omit_defaults=False):
    """Promises to critical flows, and the best-effort workloads that may be paced to keep them."""

    metadata: Metadata
    spec: Annotated[Spec, Meta(extra={"rules": (rules.LINK_RATE, rules.SOMETHING)})]
    status: Status | None = None
    api_version: str = API_VERSION
    kind: str = KIND

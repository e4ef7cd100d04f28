"""What the controller's account must be allowed to do, and how the API server is asked whether it is.

Invariants: it is what `ml_controller_rbac.yaml` gives, and what the code uses; tests hold them together.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from detnet.controller.checkpoint import shelf_name
from detnet.kube.views import GROUP
from detnet.plugin.check import Check, fail, named, ok, warn
from detnet.policy.types import PLURAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from detnet.controller.settings import Settings

ACCOUNT = "ml-controller"


class Right(NamedTuple):
    """A verb on a resource. `home`: in the controller's namespace alone; `name`: of that object alone, made from the lease's name."""

    group: str
    resource: str
    verb: str
    home: bool = False
    name: Callable[[str], str] | None = None

    @property
    def words(self) -> str:
        """As `kubectl auth can-i` wants it."""
        return f"{self.verb} {self.resource}{'.' * bool(self.group)}{self.group}"


_LEASES = "coordination.k8s.io"
CONTROLLER = (
    Right("", "pods", "list"),
    Right("", "pods", "watch"),
    Right("", "pods", "get"),
    Right("", "pods", "patch"),
    Right("", "nodes", "list"),
    Right("", "nodes", "watch"),
    Right(GROUP, PLURAL, "list"),
    Right(GROUP, PLURAL, "watch"),
    Right(GROUP, f"{PLURAL}/status", "patch"),
    Right("events.k8s.io", "events", "create"),
    Right("events.k8s.io", "events", "patch"),
    Right(_LEASES, "leases", "create", home=True),
    Right(_LEASES, "leases", "get", home=True, name=str),
    Right(_LEASES, "leases", "patch", home=True, name=str),
)
# Only where what laws have learned is kept. One shelf stands for all: their rights are given together.
CHECKPOINT = (
    Right("", "configmaps", "create", home=True),
    Right("", "configmaps", "get", home=True, name=partial(shelf_name, number=0)),
    Right("", "configmaps", "patch", home=True, name=partial(shelf_name, number=0)),
)


def needed(settings: Settings) -> tuple[Right, ...]:
    """What a controller with these settings must be allowed to do."""
    return CONTROLLER + (CHECKPOINT if settings.checkpoint.interval_seconds else ())


def question(right: Right, home: str, lease: str) -> dict[str, str]:
    """The resource attributes of a review."""
    resource, _, part = right.resource.partition("/")
    return {
        "group": right.group,
        "resource": resource,
        "subresource": part,
        "verb": right.verb,
        "namespace": home if right.home else "",
        "name": right.name(lease) if right.name is not None else "",
    }


def subject(home: str, account: str) -> dict[str, object]:
    """Whose right it is: a service account, with the groups that each has."""
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{home}", "system:authenticated"]
    return {"user": f"system:serviceaccount:{home}:{account}", "groups": groups}


def judged(account: str, answers: Mapping[Right, bool], *, of_oneself: bool) -> Check:
    """Whether the account may do all that it must."""
    name, missing = "rights", [right.words for right, allowed in answers.items() if not allowed]
    if of_oneself:
        found = "you may do all of it" if not missing else f"you may not: {named(missing)}"
        return warn(
            name,
            f"what {account} may do is not yours to ask; {found}",
            "ask as somebody who may create subjectaccessreviews.authorization.k8s.io",
        )
    if missing:
        return fail(
            name, f"{account} may not: {named(missing)}", "kubectl apply -f manifests/ml_controller_rbac.yaml, or helm upgrade"
        )
    return ok(name, f"{account} may do all {len(answers)} things that it does")

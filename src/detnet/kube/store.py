"""What is there, by name and by index, and what changed.

Invariants: pure; every change is told once and in order: an object that is no longer listed is told as deleted, and one that was
deleted and made again under its name as deleted and added; the indexes hold exactly what the objects say now. Memory grows with the
objects that are there, not with time.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Generic

from msgspec import Struct

from detnet.kube.views import AnyObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from detnet.kube.views import Object, Pod


class Happened(StrEnum):
    """What became of an object."""

    ADDED = "added"
    CHANGED = "changed"
    DELETED = "deleted"


class Change(Struct, Generic[AnyObject], frozen=True):
    """One object's change. `now` is None once it is deleted, `before` until it was added."""

    happened: Happened
    before: AnyObject | None
    now: AnyObject | None


def by_label(it: Object) -> Iterable[str]:
    """Index by `label=value`."""
    return [f"{name}={value}" for name, value in it.metadata.labels.items()]


def by_node(pod: Pod) -> Iterable[str]:
    """Index by the node that a pod runs on."""
    return [pod.spec.node_name] if pod.spec.node_name else []


class Store(Generic[AnyObject]):
    """Objects of one kind.

    Args:
        indexes: by name, what an object is found under there.
    """

    def __init__(self, indexes: Mapping[str, Callable[[AnyObject], Iterable[str]]] | None = None) -> None:
        self._objects: dict[str, AnyObject] = {}
        self._terms = dict(indexes or {})
        self._found: dict[str, dict[str, set[str]]] = {index: {} for index in self._terms}
        self.complete = False  # whether all was listed once: until then, what is not here may well be there

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[AnyObject]:
        """Give all objects, in no order that means anything."""
        return iter(self._objects.values())

    @property
    def by_key(self) -> Mapping[str, AnyObject]:
        """All objects as they are now, by `namespace/name`: for who asks for thousands. It changes with the store."""
        return self._objects

    def get(self, key: str) -> AnyObject | None:
        """Give the object of that `namespace/name`, if there is one."""
        return self._objects.get(key)

    def all(self) -> list[AnyObject]:
        """Give all objects, by key."""
        return [self._objects[key] for key in sorted(self._objects)]

    def find(self, index: str, *terms: str) -> list[AnyObject]:
        """Give the objects that stand under all of these terms of an index, by key."""
        sets = sorted((self._found[index].get(term, set()) for term in terms), key=len)
        return [self._objects[key] for key in sorted(set.intersection(*sets))] if sets else []

    def replace(self, objects: Iterable[AnyObject]) -> list[Change[AnyObject]]:
        """Take in a whole list; tell how it differs from what was known."""
        listed = {it.key: it for it in objects}
        gone = [key for key in self._objects if key not in listed]
        changes = [change for key in gone for change in self.remove(key)]
        changes += [change for it in listed.values() for change in self.put(it)]
        self.complete = True
        return changes

    def put(self, it: AnyObject) -> list[Change[AnyObject]]:
        """Take in one object as it is now."""
        before = self._objects.get(it.key)
        if before is not None and before.metadata.uid != it.metadata.uid:
            return [*self.remove(it.key), *self.put(it)]
        if before is not None and before.metadata.resource_version == it.metadata.resource_version:
            return []
        self._unindex(before)
        self._objects[it.key] = it
        for index, terms_of in self._terms.items():
            for term in terms_of(it):
                self._found[index].setdefault(term, set()).add(it.key)
        return [Change(Happened.ADDED if before is None else Happened.CHANGED, before, it)]

    def remove(self, key: str) -> list[Change[AnyObject]]:
        """Forget one object."""
        before = self._objects.pop(key, None)
        self._unindex(before)
        return [] if before is None else [Change(Happened.DELETED, before, None)]

    def _unindex(self, it: AnyObject | None) -> None:
        if it is None:
            return
        for index, terms_of in self._terms.items():
            for term in terms_of(it):
                keys = self._found[index][term]
                keys.discard(it.key)
                if not keys:
                    del self._found[index][term]

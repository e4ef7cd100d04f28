"""YAML that still knows on which line each thing was written.

Invariants: the text is parsed once, and both the values and the lines come from that; nothing but plain values is made (`SafeLoader`);
whatever the text, an error is a `yaml.YAMLError` with its line where there is one, or a `RecursionError`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

    import msgspec

_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]*)`")
_BOOL = "tag:yaml.org,2002:bool"
_STEP = re.compile(r"\[(?P<index>[0-9]+)\]|(?P<key>[^.\[\]]+)")


class Document(NamedTuple):
    """What a YAML text says, and the tree of nodes that it was made from (None for a text without any)."""

    value: Any
    root: yaml.Node | None

    def line(self, path: Sequence[str | int]) -> int:
        """The line (from 1) of the place, or of the last thing on the way to it that is there: what is missing has no line."""
        line, node = _line(self.root), self.root
        for step in path:
            found = _below(node, step)
            if found is None:
                break
            line, node = found
        return line

    def named(self, where: str, place: str) -> str:
        """A place such as `jitter[0].from` as errors name it, with the file and the line."""
        return f"{where} line {self.line(path_of(place))}, {place or 'top'}"


def read(raw: bytes) -> Document:
    """Read one YAML document.

    Raises:
        yaml.YAMLError: it is none.
        RecursionError: it is nested too deeply.
    """
    loader = _Loader(raw)
    try:
        root = loader.get_single_node()
        return Document(None if root is None else loader.construct_document(root), root)
    finally:
        loader.dispose()


def path_of(place: str) -> list[str | int]:
    """The path that a place such as `jitter[0].from` stands for."""
    return [int(step["index"]) if step["index"] else step["key"] for step in _STEP.finditer(place)]


def place_of(error: msgspec.ValidationError) -> tuple[str, str]:
    """What msgspec refuses, and where: its `$.jitter[0]` without the `$.`, with the key at the end if that is not known."""
    reason, _, place = str(error).partition(" - at `$")
    unknown = _UNKNOWN.search(reason)
    return reason, ".".join(filter(None, (place.rstrip("`").lstrip("."), unknown["key"] if unknown else "")))


class _Loader(yaml.SafeLoader):
    """PyYAML lets other errors escape from a scalar that its tag or form promises too much of: `2020-13-45`, `!!bool x`."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - as PyYAML calls it
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, OverflowError) as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"no valid {kind}", node.start_mark) from error


# As in YAML 1.2, `on`, `off`, `yes` and `no` are words: a load goes on and off.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in known if tag != _BOOL]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF"))


def _line(node: yaml.Node | None) -> int:
    return 1 if node is None else node.start_mark.line + 1


def _below(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    """The line on which a part of a list or mapping begins, and that part."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return _line(node.value[step]), node.value[step]
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):  # of a key that stands there twice the last one counts
            if key.value == step:
                return _line(key), value
    return None

"""YAML whose values know their lines."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from detnet.scenarios.yaml_lines import path_of, read

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = st.text("abcdefgh", min_size=1, max_size=4)
TREES = st.recursive(
    st.integers(0, 10**6),
    lambda below: st.lists(below, min_size=1, max_size=4) | st.dictionaries(KEYS, below, min_size=1),
    max_leaves=12,
)


def leaves(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], int]]:
    if isinstance(tree, int):
        yield path, tree
    for step, below in enumerate(tree) if isinstance(tree, list) else tree.items() if isinstance(tree, dict) else ():
        yield from leaves(below, (*path, step))


@given(tree=TREES)
def test_every_value_is_found_on_the_line_on_which_it_stands(tree: Any) -> None:
    text = yaml.safe_dump(tree, default_flow_style=False)
    document = read(text.encode())
    assert document.value == tree
    lines = text.splitlines()
    for path, value in leaves(tree):
        assert str(value) in lines[document.line(path) - 1].replace("-", " ").replace(":", " ").split()
        assert document.line((*path, "further", 3)) == document.line(path)  # what is not there lies where its way ends


@pytest.mark.parametrize("raw", [b"", b"# nothing\n", b"5"])
def test_what_has_no_parts_lies_on_its_first_line(raw: bytes) -> None:
    assert read(raw).line(["a", 0]) == 1


def test_of_a_key_that_stands_there_twice_the_last_one_counts() -> None:
    document = read(b"a: 1\nb: 2\na: 3\n")
    assert (document.value["a"], document.line(["a"])) == (3, 3)


@given(raw=st.binary(max_size=60) | st.text("!&*[]{}:,-? \n'\"#|>%@`0123456789abinft.x", max_size=60).map(str.encode))
def test_any_text_is_read_or_refused_as_yaml(raw: bytes) -> None:
    with suppress(yaml.YAMLError):
        assert read(raw).line(["a", 0]) >= 1


def test_a_place_is_a_path() -> None:
    assert path_of("jitter[0].from") == ["jitter", 0, "from"]
    assert path_of("a.b[3][1]") == ["a", "b", 3, 1]
    assert path_of("") == []

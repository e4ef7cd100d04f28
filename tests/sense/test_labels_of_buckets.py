"""Lines of a histogram are read faster than others, and no differently."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detnet.sense.agent_page import _labels, _labels_of_many

parts = st.sampled_from(
    ['a="b"', "a=", '="', '"', ",", ',le="', 'le="1"', ' le="+Inf"', "\\", '\\"', "\\n", " ", "\t", "x", 'le="0.5"', "\n"]
)


@given(st.lists(st.lists(parts, max_size=12).map("".join), max_size=4))
def test_labels_are_the_same_whatever_came_before(texts: list[str]) -> None:
    known: dict[str, dict[str, str]] = {}
    for text in texts:
        assert _labels_of_many(text, known) == _labels(text)

"""Rates and durations, against Kubernetes itself and against their own round trips.

`data/quantities.json` holds what `resource.ParseQuantity` of k8s.io/apimachinery says of each text. It was made by a Go
program of a few lines that reads texts, calls ParseQuantity, and prints whether it succeeded, `Sign()`, `Value()`, and
whether `AsDec()` lies within an int64. To renew it, do the same with a newer version, and add the texts you doubt.
"""

from __future__ import annotations

import json
import math
import pickle
import re
from pathlib import Path
from time import perf_counter

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detnet.errors import InputError
from detnet.units import LARGEST_RATE, LONGEST_TEXT, Rate, format_duration_s, mbps, parse_duration_s


class Quantity(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    ok: bool
    sign: int | None
    value: int | None
    fits: bool | None


class Recorded(msgspec.Struct):
    source: str
    quantities: list[Quantity]


RECORDED = msgspec.json.decode((Path(__file__).parent / "data" / "quantities.json").read_bytes(), type=Recorded)
NO_DIGIT = frozenset(
    {
        *("+", "-", ".", "+.", "-.", "k", "M", "G", "E", "Ki", "Mi", "m", "n"),
        *("+M", "-M", ".M", ".Ki", "e5", "E5", ".e5", "e-5", "+e0", "-n"),
    }
)
EXPONENT_TOO_LONG = frozenset(
    {
        *("0e1000", "0e99999", "1e-1000", "1e-1001", "1e4294967296", "1e4294967297"),
        *("1e-4294967295", "2e9223372036854775807"),
    }
)
RATES = st.integers(0, LARGEST_RATE).map(Rate) | st.builds(
    lambda digits, zeros: Rate(digits * 10**zeros), st.integers(0, 9999), st.integers(0, 14)
)
REFUSED_RATES = {
    "10Mbps": 'the unit "bps" must go',
    "10 Mbps": 'no spaces; the unit "bps" must go',
    "10Mbit/s": 'the unit "bit/s" must go',
    "10MB": 'the unit "B" must go',
    "10 M": "no spaces",
    " ": "no spaces",
    "10M\n": "no spaces",
    "10\u00a0M": "no spaces",
    "": "such as 10M",
    "-10M": "rates are not negative",
    "-1n": "rates are not negative",
    "10K": "a thousand is k, 1024 is Ki",
    "NaN": "such as 10M",
    "1_000": "such as 10M",
    "M": "such as 10M",
    "\u0661\u0660M": "such as 10M",
    "10E": "at most 9223372036854775807",
    "1e1000": "at most three digits of exponent",
    "1e999999999": "at most three digits of exponent",
    "9" * 1000: "at most 128 characters",
}
REFUSED_DURATIONS = {
    "": "such as 500ms, 90s, 1h30m or plain seconds",
    "0": "a time over zero",
    "0h0m0.0s": "a time over zero",
    "-1s": "durations are not negative",
    "1 s": "no spaces",
    "1s\n": "no spaces",
    "nan": "such as 500ms",
    "inf": "such as 500ms",
    "1d": "such as 500ms",
    "5us": "such as 500ms",
    "1M": "such as 500ms",
    "1h30": "such as 500ms",
    "1m1h": "such as 500ms",
    "1s1s": "such as 500ms",
    "1e3": "such as 500ms",
    "1_0": "such as 500ms",
    "+1s": "such as 500ms",
    "s": "such as 500ms",
    ".": "such as 500ms",
    "1.2.3s": "such as 500ms",
    "\u0661s": "such as 500ms",
    "9" * 1000: "at most 128 characters",
}


def read_by_kubernetes(recorded: Quantity) -> int | None:
    """What a rate must be: the number that Kubernetes reads, or None for what must be refused."""
    if not recorded.ok or recorded.sign == -1 or not recorded.fits:
        return None
    if recorded.text in NO_DIGIT | EXPONENT_TOO_LONG or len(recorded.text) > LONGEST_TEXT:
        return None
    return recorded.value


def rate_or_none(text: str) -> Rate | None:
    try:
        return Rate.parse(text)
    except InputError:
        return None


@pytest.mark.parametrize("recorded", RECORDED.quantities, ids=lambda recorded: ascii(recorded.text)[:40])
def test_a_rate_is_read_as_kubernetes_reads_it(recorded: Quantity) -> None:
    assert rate_or_none(recorded.text) == read_by_kubernetes(recorded)


def test_the_texts_that_only_kubernetes_accepts_are_in_the_recording() -> None:
    accepted = {recorded.text for recorded in RECORDED.quantities if recorded.ok}
    assert accepted >= NO_DIGIT | EXPONENT_TOO_LONG


@pytest.mark.parametrize(("text", "reason"), REFUSED_RATES.items(), ids=lambda text: ascii(text)[:40])
def test_a_refused_rate_names_the_field_the_value_and_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=re.escape(reason)) as refused:
        Rate.parse(text, field="bestEffort[0].floor")
    assert str(refused.value).startswith("bestEffort[0].floor: ")
    assert (refused.value.field, refused.value.value) == ("bestEffort[0].floor", text)
    assert refused.value.allowed.startswith("a number with k, M or G, such as 10M")


@given(st.text() | st.from_regex(r"[+-]?[0-9.]{0,30}[eEinumkKMGTP]{0,3}[+-]?[0-9]{0,12}", fullmatch=True))
def test_any_text_is_a_rate_that_fits_or_is_refused(text: str) -> None:
    rate = rate_or_none(text)
    assert rate is None or 0 <= rate <= LARGEST_RATE


@pytest.mark.parametrize("text", ["1e999999999", "1e-999999999", "9" * 10**6, "1." + "0" * 10**6 + "1", " " * 10**6])
def test_a_hostile_text_costs_no_time(text: str) -> None:
    started = perf_counter()
    assert rate_or_none(text) is None
    with pytest.raises(InputError):
        parse_duration_s(text)
    assert perf_counter() - started < 1.0


@given(RATES)
@example(Rate(0))
@example(Rate(LARGEST_RATE))
def test_what_a_rate_writes_it_reads(rate: Rate) -> None:
    assert Rate.parse(str(rate)) == rate


@given(RATES)
def test_a_rate_is_written_as_an_integer_with_at_most_one_letter(rate: Rate) -> None:
    assert re.fullmatch(r"[0-9]+[kMG]?", str(rate))


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (10_000_000, "10M"),
        (1_500_000, "1500k"),
        (1234, "1234"),
        (0, "0"),
        (1000, "1k"),
        (1_000_000_000, "1G"),
        (10**13, "10000G"),
        (LARGEST_RATE, "9223372036854775807"),
        (-10_000_000, "-10M"),
        (-1, "-1"),
    ],
)
def test_a_rate_is_written_with_the_largest_letter_that_divides_it(bits: int, text: str) -> None:
    rate = Rate(bits)
    assert (str(rate), f"{rate}", repr(rate)) == (text, text, f"Rate({text})")


def test_a_numeric_format_formats_the_bits() -> None:
    assert f"{Rate(10_000_000):,d} {Rate(10_000_000):.1e} {Rate(5):>3}" == "10,000,000 1.0e+07   5"


def test_sums_and_differences_of_rates_are_rates() -> None:
    high, low = mbps(30), mbps(10)
    for result, bits in ((high + low, 40_000_000), (low - high, -20_000_000), (min(high, low), 10_000_000)):
        assert isinstance(result, Rate)
        assert result == bits
    assert max(high, low) is high
    assert sum([high, low], start=Rate(0)) == mbps(40)


def test_a_sum_with_a_float_is_never_cut_to_whole_bits() -> None:
    assert Rate(1) + 0.5 == 1.5
    assert Rate(1) - 0.5 == 0.5


@given(st.integers(0, 10**9).map(lambda thousandths: thousandths / 1000))
def test_mbps_gives_back_what_was_given(value: float) -> None:
    assert mbps(value).mbps == value


def test_mbps_rounds_to_the_nearest_bit() -> None:
    assert [mbps(0.1), mbps(0.000_000_4), mbps(0.000_000_6), mbps(10)] == [100_000, 0, 1, 10_000_000]


def test_a_rate_is_a_number_to_json_and_survives_pickling() -> None:
    assert json.dumps(Rate(10_000_000)) == "10000000"
    assert msgspec.json.encode(Rate(10_000_000), enc_hook=int) == b"10000000"
    assert type(pickle.loads(pickle.dumps(Rate(7)))) is Rate  # noqa: S301


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("1h30m", 5400.0),
        ("1h30m5s7ms", 5405.007),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("5.s", 5.0),
        ("1m500ms", 60.5),
        ("90", 90.0),
        ("0.5", 0.5),
        ("007", 7.0),
        ("0.001ms", 1e-6),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(("text", "reason"), REFUSED_DURATIONS.items(), ids=lambda text: ascii(text)[:40])
def test_a_refused_duration_names_the_field_the_value_and_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=re.escape(reason)) as refused:
        parse_duration_s(text, field="--for")
    assert str(refused.value).startswith("--for: ")
    assert (refused.value.field, refused.value.value) == ("--for", text)


@given(st.text() | st.from_regex(r"[0-9.]{0,9}(h|m|s|ms)?[0-9.]{0,9}(m|s|ms)?", fullmatch=True))
@example("9" * LONGEST_TEXT)
@example("." + "0" * (LONGEST_TEXT - 4) + "1ms")
def test_any_text_is_a_finite_duration_over_zero_or_is_refused(text: str) -> None:
    try:
        seconds = parse_duration_s(text)
    except InputError:
        return
    assert 0 < seconds < math.inf


@given(st.integers(1, 10**13).map(lambda ms: ms / 1000))
def test_what_a_duration_writes_it_reads(seconds: float) -> None:
    assert parse_duration_s(format_duration_s(seconds)) == seconds


@given(st.decimals(min_value="0.001", max_value="1000000", places=3))
def test_plain_seconds_are_read_as_python_reads_them(seconds: object) -> None:
    assert parse_duration_s(f"{seconds}") == parse_duration_s(f"{seconds}s") == float(f"{seconds}")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (90, "1m30s"),
        (2, "2s"),
        (0.5, "500ms"),
        (1.5, "1.5s"),
        (60, "1m"),
        (3600, "1h"),
        (3601.25, "1h1.25s"),
        (5400, "1h30m"),
        (0.9999, "1s"),
        (59.9999, "1m"),
        (59.999, "59.999s"),
        (3_600_000_000, "1000000h"),
        (0, "0ms"),
        (-1.5, "-1500ms"),
    ],
)
def test_a_duration_is_written_for_people(seconds: float, text: str) -> None:
    assert format_duration_s(seconds) == text

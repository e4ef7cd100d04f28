from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from detnet.control.reading import Quality
from detnet.errors import InputError
from detnet.sense.recording import load_recording

if TYPE_CHECKING:
    from pathlib import Path

    from detnet.control.reading import Reading


def interval(start: float, end: float, **others: object) -> dict[str, object]:
    found = {"start": start, "end": end, "seconds": end - start, "bits_per_second": 1e6, "packets": 86, "omitted": False}
    return {"streams": [], "sum": {**found, "jitter_ms": 0.021, **others}}


def output(*intervals: object, protocol: str = "UDP", **others: object) -> dict[str, object]:
    start = {"version": "iperf 3.12", "test_start": {"protocol": protocol, "num_streams": 1}}
    return {"start": start, "intervals": list(intervals), "end": {}, **others}


def without_jitter(start: float, end: float) -> dict[str, object]:
    return {"streams": [], "sum": {"start": start, "end": end, "packets": 86}}


def loaded(tmp_path: Path, content: object) -> list[Reading]:
    file = tmp_path / "udp.txt"
    file.write_text(json.dumps(content))
    return load_recording(file)


def refusal(tmp_path: Path, content: object) -> InputError:
    with pytest.raises(InputError) as refused:
        loaded(tmp_path, content)
    assert refused.value.field.startswith(f"FILE {tmp_path / 'udp.txt'}")
    assert len(str(refused.value).splitlines()) == 1
    return refused.value


def test_every_interval_of_a_udp_test_is_a_window(tmp_path: Path) -> None:
    readings = loaded(tmp_path, output(interval(0, 1.000066), interval(1.000066, 2.0, jitter_ms=1.5, packets=90)))
    assert [reading.at_s for reading in readings] == [1.000066, 2.0]
    assert [reading.window_s for reading in readings] == pytest.approx([1.000066, 0.999934])
    assert [reading.jitter_p95_ms for reading in readings] == [0.021, 1.5]
    assert [reading.samples for reading in readings] == [86, 90]
    assert all(reading.trusted for reading in readings)


def test_the_jitter_of_an_interval_without_packets_is_an_old_one_and_no_data(tmp_path: Path) -> None:
    readings = loaded(tmp_path, output(interval(0, 1), interval(1, 2, packets=0)))
    assert [reading.quality for reading in readings] == [Quality.FRESH, Quality.STALE]
    assert readings[1].jitter_p95_ms is None


def test_intervals_that_iperf3_omits_are_left_out_with_their_clock(tmp_path: Path) -> None:
    readings = loaded(
        tmp_path, output(interval(0, 1, omitted=True), interval(1, 2, omitted=True), interval(0, 1), interval(1, 2))
    )
    assert [reading.at_s for reading in readings] == [1, 2]


def test_a_test_without_intervals_is_a_recording_of_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path, output()) == []


def test_a_tcp_test_is_refused_since_it_has_no_jitter(tmp_path: Path) -> None:
    refused = refusal(tmp_path, output(without_jitter(0, 1), protocol="TCP"))
    assert refused.field.endswith("start.test_start.protocol")
    assert refused.value == "TCP"
    assert "UDP" in refused.allowed


def test_the_senders_side_of_a_udp_test_is_refused_with_what_would_do(tmp_path: Path) -> None:
    refused = refusal(tmp_path, output(without_jitter(0, 1)))
    assert refused.field.endswith("intervals[0].sum.jitter_ms")
    assert "-s -J" in refused.allowed
    assert "-R" in refused.allowed


def test_a_test_that_failed_is_refused_with_its_own_words(tmp_path: Path) -> None:
    assert refusal(tmp_path, output(error="unable to connect to server")).value == "unable to connect to server"


@pytest.mark.parametrize(
    ("second", "place"),
    [
        (interval(1, 2, jitter_ms=-0.1), "intervals[1].sum.jitter_ms"),
        (without_jitter(1, 2), "intervals[1].sum.jitter_ms"),
        (interval(1, 1), "intervals[1].sum.end"),
        (interval(1, 0.5), "intervals[1].sum.start"),
        (interval(0, 1), "intervals[1].sum.start"),
    ],
)
def test_a_figure_that_cannot_be_is_refused_with_its_place(tmp_path: Path, second: object, place: str) -> None:
    assert refusal(tmp_path, output(interval(0, 1), second)).field.endswith(f", {place}")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"intervals": 1}, "$.intervals"),
        (output({"streams": []}), "$.intervals[0]"),
        (output(interval(0, 1, jitter_ms="low")), "$.intervals[0].sum.jitter_ms"),
        (output(interval(0, 1, packets="many")), "$.intervals[0].sum.packets"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_path(tmp_path: Path, wrong: object, said: str) -> None:
    assert said in refusal(tmp_path, wrong).allowed

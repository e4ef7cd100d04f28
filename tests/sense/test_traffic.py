"""Whose the traffic of a node is, once it is known which of its pods are critical."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detnet.control.reading import LinkCounters, PodTraffic, Quality, Reading, Traffic
from detnet.sense.traffic import SILENT_PACKETS_PER_S, placed

CRITICAL, BULK = {"ns/robot"}, {"ns/a", "ns/b"}
bps = st.floats(0, 1e12)


def reading(pods: dict[str, tuple[float, float]], link_bps: float | None = 100e6, quality: Quality = Quality.FRESH) -> Reading:
    sent = {name: PodTraffic(bps=bps, packets_per_s=packets) for name, (bps, packets) in pods.items()}
    traffic = Traffic(link_bps=link_bps, dropped_packets=2, pods=sent)
    return Reading(at_s=1, window_s=1, quality=quality, quality_reason="100 pairs", traffic=traffic)


ALL = {"ns/robot": (2e6, 1000.0), "ns/a": (30e6, 3e3), "ns/b": (40e6, 4e3), "ns/stranger": (5e6, 500.0)}


def test_traffic_becomes_the_links_counters() -> None:
    found = placed(reading(ALL), critical=CRITICAL, best_effort=BULK)
    assert found.link == LinkCounters(link_bps=100e6, critical_bps=2e6, best_effort_bps=70e6, other_bps=28e6, dropped_packets=2)
    assert (found.quality, found.traffic) == (Quality.FRESH, None)


def test_a_pod_that_was_not_counted_is_not_taken_for_silent() -> None:
    without = {name: sent for name, sent in ALL.items() if name != "ns/b"}
    assert placed(reading(without), critical=CRITICAL, best_effort=BULK).link is None
    assert placed(reading(ALL, link_bps=None), critical=CRITICAL, best_effort=BULK).link is None
    assert placed(reading({**ALL, "ns/robot": (0, 0)}), critical={*CRITICAL, "ns/new"}, best_effort=BULK).quality is Quality.FRESH


def test_critical_pods_that_are_silent_make_it_idle_and_those_that_whisper_do_not() -> None:
    def quality(packets: float, before: Quality = Quality.FRESH, critical: set[str] = CRITICAL) -> Quality:
        return placed(reading({**ALL, "ns/robot": (1e3, packets)}, quality=before), critical=critical, best_effort=BULK).quality

    assert quality(0) is quality(SILENT_PACKETS_PER_S) is quality(0, Quality.THIN) is Quality.IDLE
    assert quality(2) is Quality.FRESH
    assert quality(0, critical=set()) is Quality.FRESH  # those elsewhere may well send
    assert quality(0, Quality.DEAD) is Quality.DEAD
    assert quality(0, Quality.STALE) is Quality.STALE


@given(bps, bps, bps, bps)
def test_no_part_is_more_than_the_link_carried_and_none_is_below_zero(link: float, robot: float, a: float, b: float) -> None:
    pods = {"ns/robot": (robot, 9.0), "ns/a": (a, 9.0), "ns/b": (b, 9.0)}
    found = placed(reading(pods, link_bps=link), critical=CRITICAL, best_effort=BULK).link
    assert found is not None
    assert all(0 <= part <= link for part in (found.critical_bps, found.best_effort_bps, found.other_bps))

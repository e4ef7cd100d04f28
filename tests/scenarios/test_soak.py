"""`detnet soak`: that it is as long as asked, repeats itself, and finds a law that breaks what must hold."""

from __future__ import annotations

import csv
import json
import math
from random import Random
from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec import Struct

from cli.command import called
from detnet.control.decision import Decision, Proposal, Verdict
from detnet.control.guard import GuardParams
from detnet.control.laws import LAWS, Kind
from detnet.control.objective import ROBOT_CONTROL
from detnet.control.reading import LinkCounters, Quality, Reading
from detnet.scenarios.scoreboard import average
from detnet.scenarios.soak import RATE, Plan, links, plans, soak
from detnet.scenarios.soak_watch import Invariant, Watched, nonsense
from detnet.units import Rate, mbps

if TYPE_CHECKING:
    from pathlib import Path

    from detnet.control.situation import Situation

SHORT = ("soak", "--law", "step", "--virtual", "2h")
KEYS = {
    "schema", "law", "virtual_s", "interval_s", "seed", "links", "decisions", "invariants", "first_broken", "miss_ratio",
    "longest_miss_s", "oracle_share", "changes_per_min", "recover_s", "floor_miss_ratio", "missed_s_per_h", "sent_gb_per_h", "hours",
    "state_bytes", "state_bytes_allowed", "busy_s", "decisions_per_s", "peak_rss_mib",
}  # fmt: skip


def chance() -> Random:
    return Random(1)  # noqa: S311 - the same in every run


class Nothing(Struct, frozen=True):
    """No parameters."""


class Broken:
    """A law that does what it is told to, which no law should."""

    name, follows_signal, smooths = "broken", False, False

    def __init__(self, how: str) -> None:
        self.how, self.kept = how, b""

    def propose(self, now: Situation) -> Proposal:
        if self.how == "raises":
            raise ZeroDivisionError("by zero")
        if self.how == "grows":
            self.kept += b"0123456789" * 100
        if self.how == "no-number":
            return Proposal(cast("Rate", math.nan), "who knows")
        return Proposal(now.in_force, "as it is")


def with_law(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setitem(LAWS, "broken", Kind(Nothing, lambda _: Broken(how)))


def test_a_soak_is_written_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = called(capsys, *SHORT, "--out", tmp_path, "--format", "json")
    assert done.returncode == 0
    written = json.loads(done.stdout)
    assert written.keys() == KEYS
    assert (written["schema"], written["decisions"], written["first_broken"]) == ("detnet/soak/1", 1440, [])
    assert [(one["checked"] > 0, one["broken"]) for one in written["invariants"]] == [(True, 0)] * len(Invariant)
    assert [hour["hour"] for hour in written["hours"]] == [0, 1]
    assert 0 < written["state_bytes"] < written["state_bytes_allowed"]
    assert (tmp_path / "soak.json").read_text() == done.stdout
    assert "Hour by hour" in (tmp_path / "soak.md").read_text()


def test_csv_is_a_row_an_hour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(called(capsys, *SHORT, "--out", tmp_path, "--format", "csv").stdout.splitlines()))
    assert [row["hour"] for row in rows] == ["0", "1"]


def test_the_table_names_the_invariants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = called(capsys, *SHORT, "--out", tmp_path).stdout
    assert all(invariant in shown for invariant in Invariant)


def test_the_same_seed_gives_the_same_soak() -> None:
    one, again, other = (soak(Plan("autorate", 7200, 5.0, seed)) for seed in (1, 1, 2))
    assert (one.figures, one.hours, one.checked) == (again.figures, again.hours, again.checked)
    assert one.figures != other.figures


def test_links_are_soaked_each_with_its_own_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = called(capsys, *SHORT, "--links", "2", "--seed", "5", "--out", tmp_path, "--format", "json")
    written = json.loads(done.stdout)
    alone = [soak(plan) for plan in plans("step", virtual_s=7200, interval_s=5.0, seed=5, links=2)]
    assert written["decisions"] == 2880
    assert written["miss_ratio"] == pytest.approx(average(link.figures for link in alone).miss_ratio, abs=1e-6)


@pytest.mark.parametrize("law", sorted(LAWS))
def test_no_law_breaks_what_must_hold(law: str) -> None:
    done = soak(Plan(law, 3 * 3600, 5.0, 3))
    assert (done.first_broken, sum(done.broken.values())) == ([], 0)
    assert done.decisions == 2160
    assert any(hour.unseen_ratio > 0 for hour in done.hours)
    assert 0 < done.figures.oracle_share <= 1


@pytest.mark.parametrize(("interval_s", "windows"), [(0.5, 1200), (1.0, 600), (60.0, 10)])
def test_every_interval_fills_the_time(interval_s: float, windows: int) -> None:
    assert soak(Plan("static", 600, interval_s, 1)).decisions == windows


@pytest.mark.parametrize(
    ("how", "invariant", "seen"),
    [
        ("raises", Invariant.DECIDES, "ZeroDivisionError: by zero"),
        ("no-number", Invariant.DECIDES, "NaN"),
        ("grows", Invariant.STATE, "bytes"),
    ],
)
def test_a_broken_law_is_caught(  # noqa: PLR0917 - pytest names them
    how: str, invariant: Invariant, seen: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_law(monkeypatch, how)
    done = called(capsys, "soak", "--law", "broken", "--virtual", "2h", "--out", tmp_path, "--format", "json")
    assert done.returncode == 1
    written = json.loads(done.stdout)
    broken = {one["name"]: one["broken"] for one in written["invariants"]}
    assert broken[invariant] > 0
    assert 0 < len(written["first_broken"]) <= 10
    assert invariant in written["first_broken"][0]
    assert seen in written["first_broken"][0]


def decided(limit: Any, reading: Reading, in_force: Rate) -> Decision:
    return Decision(
        at_s=reading.at_s, law="x", verdict=Verdict.HOLD, reason="", in_force=in_force, proposed=None, limit=limit, signal_ms=None,
        guard=(), reading=reading,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "quality", "jitter_ms", "invariant"),
    [
        (mbps(9), Quality.FRESH, 0.5, Invariant.BOUNDS),
        (mbps(201), Quality.FRESH, 0.5, Invariant.BOUNDS),
        (60e6, Quality.FRESH, 0.5, Invariant.WHOLE),
        (math.nan, Quality.FRESH, 0.5, Invariant.BOUNDS),
        (mbps(60), Quality.DEAD, None, Invariant.NO_BLIND_RAISE),
        (mbps(60), Quality.IDLE, None, Invariant.NO_BLIND_RAISE),
        (mbps(60), Quality.FRESH, math.nan, Invariant.NO_BLIND_RAISE),
        (mbps(60), Quality.FRESH, 0.5, None),
        (mbps(40), Quality.DEAD, None, None),
    ],
)
def test_each_invariant_is_told_from_the_others(
    limit: Any, quality: Quality, jitter_ms: float | None, invariant: Invariant | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = GuardParams(floor=mbps(10), ceiling=RATE, base=mbps(50))
    engine = Watched("static", ROBOT_CONTROL, guard, link=RATE, chance=chance())
    monkeypatch.setattr("detnet.control.engine.Engine.step", lambda self, reading: decided(limit, reading, self.in_force))
    monkeypatch.setattr("detnet.scenarios.soak_watch.NONSENSE_SHARE", 0)
    seen = engine.step(Reading(at_s=1, window_s=1, quality=quality, quality_reason="", jitter_p95_ms=jitter_ms))
    assert (seen is not None) == (invariant is None)
    assert engine.broken[invariant or Invariant.BOUNDS] == (0 if invariant is None else 1)


def test_nonsense_is_in_one_figure_and_each_is_hit() -> None:
    counters = LinkCounters(link_bps=1e6, critical_bps=1e6, best_effort_bps=0.0, other_bps=0.0, dropped_packets=0)
    good = Reading(
        at_s=1, window_s=1, quality=Quality.FRESH, quality_reason="", jitter_p95_ms=1.0, delay_p95_ms=1.0, loss_forward_ratio=0.0,
        link=counters,
    )  # fmt: skip
    luck, hit = chance(), set()
    for _ in range(200):
        bad = nonsense(good, luck)
        assert bad.link is not None
        wrong = [name for name in Reading.__struct_fields__ if getattr(bad, name) != getattr(good, name)]
        hit |= {*wrong} - {"link"} | {
            name for name in LinkCounters.__struct_fields__ if getattr(bad.link, name) != getattr(counters, name)
        }
        assert len(wrong) == 1
    assert hit == {
        "jitter_p95_ms", "delay_p95_ms", "loss_forward_ratio", "link_bps", "critical_bps", "best_effort_bps", "other_bps",
    }  # fmt: skip


def test_all_links_of_the_rate_take_part() -> None:
    assert len(links()) > 10
    assert {link.rate for link in links()} == {RATE}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("--law", "nothing"), "--law"),
        (("--virtual", "10s"), "--virtual"),
        (("--virtual", "1000000h"), "--virtual"),
        (("--virtual", "long"), "--virtual"),
        (("--links", "0"), "--links"),
        (("--links", "65"), "--links"),
        (("--seed", "-1"), "--seed"),
        (("--interval", "2h"), "--interval"),
        (("--out", "/proc/nothing"), "--out"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    arguments: tuple[str, str], field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--law": "step", "--virtual": "2h", "--out": str(tmp_path), arguments[0]: arguments[1]}
    done = called(capsys, "soak", *(text for pair in given.items() for text in pair))
    assert (done.returncode, done.stdout) == (2, "")
    assert field in done.stderr
    assert done.stderr.count("\n") == 1

"""The load of a scenario file: what is read from it, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnet.control.reading import Quality
from detnet.errors import InputError
from detnet.scenarios import spec
from detnet.scenarios.load import STEP_S, has_generator, length_s, links_of
from detnet.units import mbps

if TYPE_CHECKING:
    from pathlib import Path

    from detnet.sim.windows import VirtualLink

HEAD = "schema: detnet/scenario/1\nname: mine\ntitle: Mine\nstory: As it comes.\n"
LOAD = HEAD + "load:\n  for: 10m\n"


def scenario_of(folder: Path, text: str) -> spec.Scenario:
    path = folder / "mine.yaml"
    path.write_text(text)
    return spec.load(path)


def link_of(folder: Path, text: str) -> VirtualLink:
    (link,) = links_of(scenario_of(folder, text))
    return link


def test_all_keys_are_read_with_their_units(tmp_path: Path) -> None:
    link = link_of(
        tmp_path,
        LOAD + "  link: 100M\n  floor: 5M\n  critical: 800k\n  queue: 20ms\n  burst: 1514\n  noise: 0.01\n  loss: 0.02\n"
        "  capacity: [{shape: parts, parts: [{for: 1m, rate: 100M}, {for: 30s, rate: 50M}]}]\n"
        "  cross: [{shape: steady, rate: 20M}, {shape: onoff, low: 0M, high: 10M, on: 20s, off: 20s}]\n"
        "  demand: [{shape: pods, each: 1.5M, most: 200, every: 2s, stay: 150s}]\n"
        "  faults: [{quality: dead, first: 5m, for: 30s, every: 10m}]\n",
    )
    assert (link.name, link.rate, link.floor, link.critical_bps) == ("mine", mbps(100), mbps(5), 8e5)
    assert link.fluid == (1514, 0.02, 0.02)
    path = link.world.path(1, step_s=STEP_S, steps=400)
    assert path.plain_bps[[0, 59, 60, 89, 90]].tolist() == [1e8, 1e8, 5e7, 5e7, 1e8]
    assert set(path.cross_bps.tolist()) == {20e6, 30e6}
    assert (path.demand_bps % 1.5e6 == 0).all()
    assert [i for i, quality in enumerate(path.probe) if quality is Quality.DEAD] == [*range(300, 330)]


def test_what_is_not_given_has_the_defaults_that_the_manual_names(tmp_path: Path) -> None:
    link = link_of(tmp_path, LOAD)
    assert (link.rate, link.floor, link.critical_bps) == (mbps(200), mbps(10), 1.2e6)
    assert link.fluid == (500, 0.01, 0.0)
    path = link.world.path(1, step_s=STEP_S, steps=100)
    assert (path.plain_bps == 200e6).all()
    assert (path.cross_bps == 0).all()
    assert np.isinf(path.demand_bps).all()
    assert set(path.probe) == {Quality.FRESH}


@pytest.mark.parametrize(
    ("shape", "mean"),
    [
        ("{shape: steady, rate: 20M}", 20),
        ("{shape: parts, parts: [{for: 1s, rate: 10M}, {for: 3s, rate: 30M}]}", 25),
        ("{shape: square, low: 10M, high: 30M, period: 10s}", 20),
        ("{shape: sine, low: 10M, high: 30M, period: 10s}", 20),
        ("{shape: ramp, low: 10M, high: 30M, period: 10s}", 20),
        ("{shape: onoff, low: 10M, high: 30M, on: 2s, off: 2s}", 20),
        ("{shape: bursts, least: 10M, most: 40M, every: 2s, length: 2s}", None),
        ("{shape: walk, mean: 20M, spread: 1M, memory: 5s}", 20),
        ("{shape: crowd, every: 20s, height: 10M, rise: 2s, fall: 5s}", None),
        ("{shape: pods, each: 1M, most: 100, every: 1s, stay: 20s}", 20),
        ("{shape: trace, file: t.txt, scale: max=30M}", 20),
    ],
)
def test_every_shape_can_be_written(shape: str, mean: float | None, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1\n2\n3\n")
    scenario = scenario_of(tmp_path, LOAD + f"  cross: [{shape}]\n")
    cross = links_of(scenario)[0].world.path(1, step_s=STEP_S, steps=3000).cross_bps / 1e6
    assert cross.max() > 0
    assert mean is None or cross.mean() == pytest.approx(mean, rel=0.05)
    assert has_generator(scenario) == ("trace" not in shape)


def test_a_trace_lies_beside_the_scenario_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "x.txt").write_text("0\n4\n2\n")
    monkeypatch.chdir("/")
    link = link_of(tmp_path, LOAD + "  demand: [{shape: trace, file: traces/x.txt, scale: max=160M}]\n")
    assert link.world.path(1, step_s=STEP_S, steps=4).demand_bps.tolist() == [0, 160e6, 80e6, 0]


def test_further_links_have_names_and_all_keys(tmp_path: Path) -> None:
    text = LOAD + "other_links:\n  - {name: cold, link: 100M, cross: [{shape: steady, rate: 1M}]}\n"
    hot, cold = links_of(scenario_of(tmp_path, text))
    assert (hot.name, hot.rate, cold.name, cold.rate) == ("mine", mbps(200), "cold", mbps(100))


@given(seconds=st.integers(60, 200_000))
def test_a_load_lasts_as_long_as_it_says(seconds: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    assert length_s(scenario_of(folder, HEAD + f"load: {{for: {seconds}s}}\n")) == seconds


def test_a_scenario_with_a_jitter_alone_has_no_links(tmp_path: Path) -> None:
    scenario = scenario_of(tmp_path, HEAD + "jitter: [{for: 1m, from: 1ms}]\n")
    assert links_of(scenario) == []
    assert length_s(scenario) == 0
    assert not has_generator(scenario)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "load: {}\n", "for"),
        (HEAD + "load: {for: 59s}\n", "load.for"),
        (HEAD + "load: {for: 200001s}\n", "200,000"),
        (LOAD + "  link: 0.5M\n", "load.link"),
        (LOAD + "  link: 200Mbit\n", "load.link"),
        (LOAD + "  floor: 200M\n", "load.floor"),
        (LOAD + "  floor: 0M\n", "load.floor"),
        (LOAD + "  critical: 0M\n", "load.critical"),
        (LOAD + "  queue: 1ms\n", "load.queue"),
        (LOAD + "  queue: 1h\n", "load.queue"),
        (LOAD + "  burst: 39\n", "load.burst"),
        (LOAD + "  burst: 100001\n", "load.burst"),
        (LOAD + "  noise: 0.51\n", "load.noise"),
        (LOAD + "  noise: .nan\n", "load.noise"),
        (LOAD + "  loss: -0.1\n", "load.loss"),
        (LOAD + "  colour: red\n", "colour"),
        (LOAD + "  cross: [{shape: wiggly, rate: 1M}]\n", "wiggly"),
        (LOAD + "  cross: [{shape: steady}]\n", "rate"),
        (LOAD + "  cross: [{shape: steady, rate: fast}]\n", "load.cross[0].rate"),
        (LOAD + "  cross: [{shape: steady, rate: -1M}]\n", "load.cross[0].rate"),
        (LOAD + "  cross: [{shape: steady, rate: 1M}, {shape: sine, low: 9M, high: 1M, period: 1s}]\n", "load.cross[1].low"),
        (LOAD + "  cross: [{shape: square, low: 1M, high: 9M, period: 0s}]\n", "load.cross[0].period"),
        (LOAD + "  cross: [{shape: onoff, low: 1M, high: 9M, on: 0s, off: 1s}]\n", "load.cross[0].on"),
        (LOAD + "  cross: [{shape: onoff, low: 1M, high: 9M, on: 1s, off: 9999999h}]\n", "load.cross[0].off"),
        (LOAD + "  cross: [{shape: bursts, least: 9M, most: 1M, every: 1s, length: 1s}]\n", "load.cross[0].least"),
        (LOAD + "  cross: [{shape: parts, parts: []}]\n", "load.cross[0].parts"),
        (LOAD + f"  cross: [{{shape: parts, parts: [{'{for: 1s, rate: 1M}, ' * 501}]}}]\n", "500 parts"),
        (LOAD + f"  cross: [{'{shape: steady, rate: 1M}, ' * 21}]\n", "at most 20"),
        (LOAD + "  demand: [{shape: pods, each: 1M, most: 0, every: 1s, stay: 1s}]\n", "load.demand[0].most"),
        (LOAD + "  demand: [{shape: pods, each: 1M, most: 9, every: 1ms, stay: 9h}]\n", "load.demand[0].stay"),
        (LOAD + "  capacity: [{shape: trace, file: none.txt, scale: max=1M}]\n", "a file that is there"),
        (LOAD + '  capacity: [{shape: trace, file: "a\\0b", scale: max=1M}]\n', "load.capacity[0].file"),
        (LOAD + "  capacity: [{shape: trace, file: bad.txt, scale: max=1M}]\n", "line 2"),
        (LOAD + "  capacity: [{shape: trace, file: bad.txt, scale: 1M}]\n", "load.capacity[0].scale"),
        (LOAD + "  faults: [{quality: fresh, for: 1s}]\n", "load.faults[0].quality"),
        (LOAD + "  faults: [{quality: dead, for: 10s, every: 10s}]\n", "load.faults[0].every"),
        (LOAD + "other_links: [{name: mine}]\n", "other_links[0].name"),
        (LOAD + "other_links: [{name: ../../mine}]\n", "other_links[0].name"),
        (LOAD + "other_links: [{name: a}, {name: a}]\n", "other_links[1].name"),
        (LOAD + "other_links: [{name: a, noise: 9}]\n", "other_links[0].noise"),
        (LOAD + f"other_links: [{', '.join(f'{{name: l{i}}}' for i in range(8))}]\n", "at most 7"),
        (HEAD + "jitter: [{for: 1m, from: 1ms}]\nother_links: [{name: a}]\n", "other_links"),
        (LOAD + "interval: 1s\n", "interval"),
        (LOAD + "noise: 0.1\n", "noise"),
        (LOAD + "seed: -1\n", "seed"),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("1\nmany\n")
    with pytest.raises(InputError) as refused:
        scenario_of(tmp_path, text)
    assert said in str(refused.value)
    assert "mine.yaml line " in str(refused.value)
    assert "\n" not in str(refused.value)

from __future__ import annotations

import pytest

from detnet.act import Result
from detnet.control.reading import Quality
from detnet.report.headline import Headline, Outcome, headline
from detnet.report.run import Phase, Run, Window
from detnet.report.summary import summarise
from detnet.units import mbps
from report import synthetic
from report.synthetic import counters, entry, reading, window


def told(*windows: Window, **changed: object) -> Headline:
    return headline(summarise(Run(settings=synthetic.SETTINGS, windows=list(windows), **changed)))  # type: ignore[arg-type]


def test_met_in_every_window() -> None:
    result = told(window(1, 9.0, Phase.UNCONTROLLED), window(2, 0.5), window(3, 0.5))
    assert result.outcome is Outcome.MET
    assert result.text == "Objective met. Under control, p95 jitter was 0.500 ms (objective 1 ms), kept in every window."
    assert "Without control it was 9.00 ms, 18.0 times as much." in result.remarks


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (window(1, 1.2, delay_p95_ms=1.0), "p95 jitter was 1.20 ms (objective 1 ms)"),
        (window(1, 0.5, delay_p95_ms=2.1), "p95 delay was 2.10 ms (objective 1.5 ms)"),
        (window(1, 0.5, loss_forward_ratio=0.02), "loss was 2.0 % (objective 0.1 %)"),
    ],
)
def test_any_typical_figure_over_its_objective_is_said_plainly(seen: Window, said: str) -> None:
    result = told(seen)
    assert result.outcome is Outcome.MISSED
    assert result.text.startswith("Objective NOT met.")
    assert said in result.sentence


def test_met_in_part_says_in_how_much() -> None:
    result = told(window(1, 0.5), window(2, 0.6), window(3, 0.7), window(4, 4.0))
    assert result.outcome is Outcome.PARTLY
    assert "kept in 75.0 % of the windows" in result.sentence


def test_a_good_median_of_the_few_windows_that_were_measured_is_no_success() -> None:
    result = told(window(1, 0.5), window(2, None), window(3, None))
    assert result.outcome is Outcome.MISSED
    assert "2 of 3 windows under control were not measured and count as missed." in result.remarks


def test_what_was_not_measured_is_not_claimed() -> None:
    result = told(window(1, 0.5, delay_p95_ms=None, loss_forward_ratio=None))
    assert result.outcome is Outcome.PARTLY
    assert "delay and loss not measured" in result.sentence


@pytest.mark.parametrize(
    "windows", [[], [window(1, 9.0, Phase.UNCONTROLLED)], [window(1, None)], [window(1, None, quality=Quality.IDLE)]]
)
def test_nothing_under_control_gives_no_result(windows: list[Window]) -> None:
    assert told(*windows).outcome is Outcome.UNKNOWN


def test_a_need_that_was_not_there_is_not_credited() -> None:
    result = told(window(1, 0.9, Phase.UNCONTROLLED), window(2, 0.5))
    assert "this run does not show a need for control" in " ".join(result.remarks)


def test_control_that_made_nothing_better_is_said() -> None:
    result = told(window(1, 0.4, Phase.UNCONTROLLED), window(2, 0.5))
    assert "Control did not lower the jitter: without it, p95 was 0.400 ms." in result.remarks


def test_remarks_tell_price_noise_failures_and_the_early_end() -> None:
    result = told(
        window(1, 1.3, Phase.QUIET),
        window(2, 9.0, Phase.UNCONTROLLED, link=counters(900)),
        window(3, 0.5, link=counters(400)),
        journal=[entry(reading(3), mbps(500), mbps(450), result=Result.FAILED)],
        interrupted=True,
    )
    assert result.remarks[1:] == (
        "Best effort carried 400 Mbit/s under control, 900 Mbit/s without.",
        "Critical traffic alone already had 1.30 ms: no pacing of others can mend that.",
        "1 of 1 decisions were not enforced at once; the journal says why.",
        "The run was ended before its time: the figures rest on what came before.",
    )

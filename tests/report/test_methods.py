"""The critical flow by probe, passive counter and capture: what a report says of them."""

from __future__ import annotations

import json
from html import unescape
from io import StringIO

import msgspec
import pytest
from rich.console import Console

from detnet.control.reading import Quality
from detnet.report import methods
from detnet.report.html import html
from detnet.report.markdown import markdown
from detnet.report.readings_csv import COLUMNS
from detnet.report.run import Followed, Phase, Run, Watched, Window
from detnet.report.summary import Summary, summarise, summary_json
from detnet.report.terminal import print_summary
from detnet.sense.blame import Fault
from report import synthetic
from report.synthetic import window

PASSIVE = Followed(samples=990, sent_ms=0.3, received_ms=0.5, network_ms=0.4)
CAPTURE = Followed(samples=1000, sent_ms=0.31, received_ms=0.48, network_ms=0.5)
NETWORK = Watched(passive=PASSIVE, capture=CAPTURE, fault=Fault.NETWORK)


def seen(time_s: float, jitter_ms: float | None = 0.5, watched: Watched | None = NETWORK, **changed: object) -> Window:
    return msgspec.structs.replace(window(time_s, jitter_ms, **changed), watched=watched)  # type: ignore[arg-type]


def summary_of(*windows: Window) -> Summary:
    return summarise(Run(settings=synthetic.SETTINGS, windows=list(windows)))


def compared(*windows: Window) -> methods.Compared:
    return summary_of(*windows).methods[Phase.CONTROLLED]


def rows(*windows: Window) -> dict[str, tuple[str, ...]]:
    return {row[1]: row[2:] for row in methods.table(summary_of(*windows)).rows}


def test_a_figure_is_the_median_of_the_windows_and_samples_add_up() -> None:
    late = msgspec.structs.replace(NETWORK, passive=msgspec.structs.replace(PASSIVE, sent_ms=0.9), fault=Fault.SENDER)
    it = compared(seen(1, 0.2), seen(2, 0.4), seen(3, 0.9, late), seen(4, 9.0, settled=False))
    assert (it.windows, it.probe.network_ms, it.probe.samples) == (3, 0.4, 1200)
    assert it.passive == msgspec.structs.replace(PASSIVE, samples=2970)
    assert it.capture == msgspec.structs.replace(CAPTURE, samples=3000)
    assert it.fault is Fault.NETWORK


@pytest.mark.parametrize(
    "left_out",
    [
        seen(2, 9.0, quality=Quality.THIN),
        seen(2, 9.0, None),
        seen(2, 9.0, Watched(passive=PASSIVE, fault=Fault.SENDER)),  # the capture lost packets
        seen(2, 9.0, Watched(passive=Followed(samples=0), capture=CAPTURE, fault=Fault.UNKNOWN)),
    ],
    ids=["the probe cannot be trusted", "not watched", "no capture", "nothing counted"],
)
def test_all_methods_are_of_the_same_windows(left_out: Window) -> None:
    assert compared(seen(1, 0.2), left_out) == compared(seen(1, 0.2))


def test_the_table_says_how_far_each_is_from_the_capture() -> None:
    assert rows(seen(1, 0.5018))["active probe"][3] == "+1.8 µs +0 %"
    assert rows(seen(1, 0.49999))["active probe"][3] == "+0.0 µs +0 %"
    found = rows(seen(1, 0.49))
    assert found["active probe"] == ("0.490", "-", "400", "-10 µs -2 %", "-")
    assert found["passive eBPF"] == ("0.400", "0.500", "990", "-100 µs -20 %", "+20 µs +4 %")
    assert found["capture"] == ("0.500", "0.480", "1000", "-", "-")


def test_what_the_machine_does_not_allow_is_a_dash_and_blames_nobody() -> None:
    summary = summary_of(seen(1, 0.5, Watched(capture=CAPTURE)))
    assert rows(seen(1, 0.5, Watched(capture=CAPTURE)))["passive eBPF"] == ("-",) * 5
    assert list(methods.verdicts(summary)) == []
    assert rows(seen(1, 0.5, Watched(passive=PASSIVE, fault=Fault.NOBODY)))["active probe"][3:] == ("-", "-")


def test_every_report_shows_table_and_verdict_and_none_where_nothing_was_watched() -> None:
    for watched, shown in ((NETWORK, True), (None, False)):
        run = synthetic.run()
        run.windows = [msgspec.structs.replace(it, watched=watched) for it in run.windows]
        summary, text = summarise(run), StringIO()
        print_summary(run, summary, Console(file=text, width=80))
        for report in (markdown(run, summary), html(run, summary), text.getvalue()):
            assert ("passive eBPF" in report) is shown
            assert ("the network's fault: the sender makes 0.30 ms" in " ".join(unescape(report).split())) is shown
        assert max(map(len, text.getvalue().splitlines())) <= 80


def test_the_summary_keeps_it_and_rows_of_windows_end_with_it() -> None:
    written = json.loads(summary_json(summary_of(seen(1))))
    assert list(written["methods"]) == ["controlled"]
    assert written["methods"]["controlled"]["capture"] == {
        "samples": 1000,
        "sent_ms": 0.31,
        "received_ms": 0.48,
        "network_ms": 0.5,
    }
    assert written["methods"]["controlled"]["fault"] == "network"
    assert msgspec.json.decode(summary_json(summary_of(seen(1))), type=Summary) == summary_of(seen(1))
    assert [value(seen(1)) for value in list(COLUMNS.values())[-5:]] == [0.3, 0.5, 0.48, 0.5, "network"]
    assert {value(window(1)) for value in list(COLUMNS.values())[-5:]} == {None}

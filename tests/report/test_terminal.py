from __future__ import annotations

from io import BytesIO, StringIO, TextIOWrapper

import pytest
from rich.console import Console

from detnet.act import Result
from detnet.report.run import Run
from detnet.report.summary import summarise
from detnet.report.terminal import LiveTable, print_summary
from detnet.units import mbps
from report import synthetic
from report.synthetic import entry, reading, window


class Flushed(StringIO):
    flushes = 0

    def flush(self) -> None:
        self.flushes += 1


def printed(run: Run, width: int = 80) -> str:
    text = StringIO()
    print_summary(run, summarise(run), Console(file=text, width=width))
    return text.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_a_summary_fits_its_width_without_colours(width: int) -> None:
    text = printed(synthetic.run(), width)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= min(width, 120)
    assert "uncontrolled" in text
    assert "Objective partly met." in text


def test_eighty_columns_wrap_no_figure() -> None:
    head, _, *lines = printed(synthetic.run()).split("\n\n")[0].splitlines()[1:]
    assert head.split()[-2:] == ["/", "controlled"]
    assert len(lines) == 10
    assert all(line[:19].strip() and len(line.split()) > 6 for line in lines)


def test_a_console_of_plain_ascii_gets_no_more() -> None:
    raw = BytesIO()
    run = synthetic.run(notes=("±5 µs",))
    file = TextIOWrapper(raw, encoding="ascii")
    print_summary(run, summarise(run), Console(file=file, width=80))
    live = LiveTable(run.settings, Console(file=file, width=80))
    live.update(run.windows[-1], entry(reading(90), mbps(50), mbps(50), "±1"))
    file.flush()
    assert raw.getvalue().decode("ascii").count("?5 ?s") == 1


def test_an_interrupted_run_can_be_printed() -> None:
    assert "No result." in printed(Run(settings=synthetic.SETTINGS, interrupted=True))


def test_elsewhere_than_in_a_terminal_each_window_is_a_line_at_once() -> None:
    text = Flushed()
    with LiveTable(synthetic.SETTINGS, Console(file=text, width=80)) as live:
        live.update(window(37, 1.42, limit_mbps=450.0), entry(reading(37, 1.42), mbps(500), mbps(450)))
        live.update(window(38, None, quality_reason="3 samples\n\x1b[31m"))
    first, second = text.getvalue().splitlines()
    assert first.startswith("37 of 90 s controlled, p95 jitter 1.42 ms (objective 1 ms)")
    assert first.endswith("limit 450 Mbit/s, fresh, cut 500M to 450M (jitter over its objective)")
    assert "p95 jitter -" in second
    assert second.endswith("thin: 3 samples [31m")
    assert text.flushes >= 2


def test_a_terminal_shows_a_table_with_the_last_decision_and_its_failure() -> None:
    text = StringIO()
    with LiveTable(synthetic.SETTINGS, Console(file=text, width=80, force_terminal=True, color_system=None)) as live:
        live.update(window(2, 0.5, settled=False))
        live.update(window(37, 1.42, limit_mbps=450.0), entry(reading(37, 1.42), mbps(500), mbps(450), "[bold]", Result.FAILED))
        live.update(window(38, None))
    last = text.getvalue()
    assert "controlled (settling)" in last
    assert "38 of 90 s" in last
    assert "cut 500M to 450M" in last
    assert "[bold] (failed: read back)" in last

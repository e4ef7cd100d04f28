"""What a run on Kubernetes adds to every report: restarts of pods, the agents' probes, and the commands."""

from __future__ import annotations

import json

import msgspec
import pytest

from detnet.report.headline import headline
from detnet.report.html import html
from detnet.report.markdown import markdown
from detnet.report.readings_csv import COLUMNS
from detnet.report.run import Phase, Run, Said
from detnet.report.summary import summarise, summary_json
from detnet.report.tables import LONGEST_LINE, figures, transcript
from report import synthetic
from report.synthetic import window

HOSTILE = "</pre><script>alert(1)</script>\n```\n# x\x1b[31m"


def on_kubernetes(**changed: object) -> Run:
    made = synthetic.run(engine="kube")
    made.windows = [msgspec.structs.replace(it, probe_jitter_p95_ms=0.25) for it in made.windows]
    made.pod_restarts = 0
    made.transcript = [Said(command="kubectl get pods", printed="NAME  READY\np-1   1/1")]
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def test_the_summary_tells_restarts_and_the_agents_jitter_and_elsewhere_null() -> None:
    kube, lab = (json.loads(summary_json(summarise(run))) for run in (on_kubernetes(), synthetic.run()))
    assert (kube["pod_restarts"], lab["pod_restarts"]) == (0, None)
    for phase in Phase:
        assert kube["phases"][phase]["probe_p95_jitter_ms"] == 0.25
        assert lab["phases"][phase]["probe_p95_jitter_ms"] is None


def test_a_window_that_the_agent_did_not_measure_counts_in_no_figure_of_it() -> None:
    made = Run(settings=synthetic.settings(), windows=[window(1), msgspec.structs.replace(window(2), probe_jitter_p95_ms=0.5)])
    assert summarise(made).phases[Phase.CONTROLLED].probe_p95_jitter_ms == 0.5
    assert COLUMNS["probe_jitter_p95_ms"](made.windows[0]) is None


def test_the_table_has_the_agents_row_only_where_there_is_one() -> None:
    rows = [{row[0] for row in figures(summarise(run)).rows} for run in (on_kubernetes(), synthetic.run())]
    assert rows[0] - rows[1] == {"agents' probes: p95 jitter, ms"}


@pytest.mark.parametrize(
    ("restarts", "words"), [(0, "No pod was started again."), (1, "1 pod was started again."), (3, "3 pods were started again.")]
)
def test_restarts_are_said_in_words(restarts: int, words: str) -> None:
    assert words in headline(summarise(on_kubernetes(pod_restarts=restarts))).remarks
    assert not [it for it in headline(summarise(synthetic.run())).remarks if "started again" in it]


def test_reports_show_each_command_and_what_it_printed() -> None:
    made = on_kubernetes()
    for text in (markdown(made, summarise(made)), html(made, summarise(made))):
        assert "Commands" in text
        assert "$ kubectl get pods" in text
        assert "p-1   1/1" in text
    assert "Commands" not in markdown(synthetic.run(), summarise(synthetic.run()))


def test_what_a_command_printed_stays_text() -> None:
    made = on_kubernetes(transcript=[Said(command="kubectl logs x", printed=HOSTILE)])
    page = html(made, summarise(made))
    assert "<script>" not in page
    assert "\x1b" not in page
    lines = markdown(made, summarise(made)).splitlines()
    start = lines.index("    $ kubectl logs x")
    assert all(line.startswith("    ") for line in lines[start : start + 4])


def test_a_long_line_is_shown_without_its_end() -> None:
    made = on_kubernetes(transcript=[Said(command="kubectl logs x", printed="a" * 10_000)])
    assert max(map(len, transcript(made))) == LONGEST_LINE + len(" ...")

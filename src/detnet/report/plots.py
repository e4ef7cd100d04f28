"""The four plots of a report: jitter, throughput and delay over time, and the distribution of jitter.

Invariants: pure; the same run gives the same bytes; what was not measured is a gap, never a value.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from detnet.report.canvas import COLOURS, GRID, INK, MUTED, Plot, beside, gapped, log_axis, plot
from detnet.report.run import Distributions, Phase
from detnet.report.timeline import phase_spans
from detnet.sense.histogram import EDGES_US

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from detnet.report.run import Run, Window
    from detnet.sense.histogram import Histogram

STYLES = {Phase.QUIET: (0, (1, 1)), Phase.UNCONTROLLED: (0, (5, 1.5)), Phase.CONTROLLED: "solid"}  # not by colour alone


def plots(run: Run) -> list[Plot]:
    """Draw a run: jitter, throughput and delay over time, and the distribution of jitter."""
    objective = run.settings.objective
    return [
        plot(
            "p1",
            f"p95 jitter against its objective of {objective.jitter_ms:g} ms",
            "p95 of one-way |IPDV| in each window, on a logarithmic axis. Pale: settling, not counted.",
            lambda axes: _over_time(axes, run, lambda w: w.reading.jitter_p95_ms, "p95 jitter, ms", objective.jitter_ms),
        ),
        plot(
            "p2",
            "Best-effort throughput and its limit",
            "What the link carried for best effort in each window, and the limit that was in force.",
            lambda axes: _throughput(axes, run),
        ),
        plot(
            "p3",
            f"p95 delay against its objective of {objective.delay_ms:g} ms",
            "p95 of one-way delay in each window, on a logarithmic axis. Pale: settling, not counted.",
            lambda axes: _over_time(axes, run, lambda w: w.reading.delay_p95_ms, "p95 delay, ms", objective.delay_ms),
        ),
        plot(
            "p4",
            "How many packets jitter by more than x",
            "All settled packets of each phase, both axes logarithmic: the lower and the further left, the better.",
            lambda axes: _distribution(axes, run),
        ),
    ]


def _over_time(axes: Axes, run: Run, value: Callable[[Window], float | None], label: str, objective: float) -> None:
    """Draw a figure of each trusted window on a logarithmic axis, and a cross where there is none."""
    values = [value(window) if window.reading.trusted else None for window in run.windows]
    known = [v for v in values if v is not None and v > 0]
    axes.set_yscale("log", nonpositive="clip")
    log_axis(axes, "y", min([objective, *known]) * 0.6, max([objective, *known]) * 1.6)
    _phases(axes, run)
    _series(axes, run.windows, values)
    holes = [window.time_s for window, v in zip(run.windows, values, strict=True) if v is None]
    if holes:
        across = axes.get_xaxis_transform()
        axes.plot(
            holes, [0.05] * len(holes), "x", color=INK, markersize=4.5, markeredgewidth=1.1, transform=across, clip_on=False
        )
        axes.text(holes[0], 0.1, "x not measured", color=INK, transform=across, fontsize=8)
    axes.axhline(objective, color=INK, linewidth=1.2, linestyle=(0, (5, 3)))
    beside(axes, objective, f"objective\n{objective:g} ms")
    axes.set_ylabel(label)


def _throughput(axes: Axes, run: Run) -> None:
    link_mbps = run.settings.link_mbps
    values = [window.reading.link.best_effort_bps / 1e6 if window.reading.link else None for window in run.windows]
    limits = [window.limit_mbps for window in run.windows]
    axes.set_ylim(0, 1.12 * max([link_mbps, *(v for v in values if v is not None)]))
    _phases(axes, run)
    _series(axes, run.windows, values)
    axes.axhline(link_mbps, color=MUTED, linewidth=1.2, linestyle=(0, (1, 2)))
    beside(axes, link_mbps, f"link\n{link_mbps:g}")
    if any(limit is not None for limit in limits):
        times = [window.time_s for window in run.windows]
        axes.step(times, gapped(limits), where="pre", color=INK, linewidth=1.2, label="limit")
        last = next(limit for limit in reversed(limits) if limit is not None)
        beside(axes, min(last, 0.85 * link_mbps), "limit")  # the label of the link lies above that
    axes.set_ylabel("best effort, Mbit/s")


def _distribution(axes: Axes, run: Run) -> None:
    objective_ms = run.settings.objective.jitter_ms
    curves = [(phase, _exceeding(run.distributions.get(phase, Distributions()).ipdv)) for phase in Phase]
    drawn = [(phase, curve) for phase, curve in curves if curve]
    axes.set_xscale("log")
    axes.set_yscale("log")
    for phase, curve in drawn:
        beyond_ms, share = zip(*curve, strict=True)
        axes.plot(beyond_ms, share, color=COLOURS[phase], linestyle=STYLES[phase], label=str(phase))
    points = [point for _, curve in drawn for point in curve]
    shown = [x for x, y in points if y < 0.98] + [objective_ms]
    log_axis(axes, "x", min(shown) * 0.8, max(shown) * 1.3)
    log_axis(axes, "y", min([0.01, *(y for _, y in points)]) * 0.7, 1.4)
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    axes.axvline(objective_ms, color=INK, linewidth=1.2, linestyle=(0, (5, 3)))
    axes.text(
        objective_ms,
        1.02,
        f"objective {objective_ms:g} ms",
        ha="center",
        va="bottom",
        color=INK,
        transform=axes.get_xaxis_transform(),
    )
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_xlabel("jitter |IPDV|, ms")
    axes.set_ylabel("packets beyond")
    if drawn:
        axes.legend(loc="lower left", frameon=False, handlelength=3)


def _exceeding(histogram: Histogram) -> list[tuple[float, float]]:
    """The share of samples beyond each edge in milliseconds, as long as there are any."""
    total = histogram.total
    beyond = (1 - counted / total for counted in accumulate(histogram.counts[:-1])) if total else iter(())
    return [(edge / 1000, share) for edge, share in zip(EDGES_US, beyond, strict=False) if share > 1e-12]


def _phases(axes: Axes, run: Run) -> None:
    """Shade and name the phases, and set up the axis of time."""
    spans = phase_spans(run.windows)
    end_s = spans[-1].end_s if spans else 1.0
    for span in spans:
        axes.axvspan(span.start_s, span.end_s, facecolor=COLOURS[Phase(span.name)], alpha=0.09, linewidth=0)
        if span.start_s > 0:
            axes.axvline(span.start_s, color=MUTED, linewidth=0.8)
        middle = (span.start_s + span.end_s) / 2
        # A phase that was ended after a moment has no room for its name.
        name = span.name if (span.end_s - span.start_s) / end_s > 0.014 * len(span.name) else ""
        axes.text(
            middle,
            1.02,
            name,
            ha="center",
            va="bottom",
            weight="bold",
            color=COLOURS[Phase(span.name)],
            transform=axes.get_xaxis_transform(),
        )
    if not spans:
        axes.text(0.5, 0.3, "nothing was measured", ha="center", color=MUTED, transform=axes.transAxes)
    axes.set_xlim(0, end_s)
    axes.set_xlabel("time, s")
    axes.grid(axis="y", color=GRID, linewidth=0.6)


def _series(axes: Axes, windows: Sequence[Window], values: Sequence[float | None]) -> None:
    """Draw each phase in its colour: pale as a whole, and full where it has settled."""
    for phase in Phase:
        here = [(w, v) for w, v in zip(windows, values, strict=True) if w.phase is phase]
        times = [w.time_s for w, _ in here]
        settled = [v if w.settled else None for w, v in here]
        for shown, alpha in (([v for _, v in here], 0.4), (settled, 1.0)):
            axes.plot(times, gapped(shown), color=COLOURS[phase], alpha=alpha, marker="o", markersize=2.2)

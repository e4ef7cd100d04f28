"""The plots of a closed loop: the signal, and the budget against the oracle.

Invariants: pure; a plot of a long play shows no more than `POINTS` points a line, each the worst of its moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detnet.report.canvas import COLOURS, INK, beside, log_axis
from detnet.report.run import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from detnet.scenarios.closed import Closed

    Floats = NDArray[np.float64]

POINTS = 500


def signal(axes: Axes, closed: Closed) -> None:
    """Draw the signal on a logarithmic axis, with its objective."""
    objective_ms = closed.link.objective.jitter_ms
    times, values = _thinned(closed.history.signal_ms, closed.history.window_s, np.max)
    axes.set_yscale("log", nonpositive="clip")
    log_axis(axes, "y", min(objective_ms, values.min()) * 0.6, max(objective_ms, values.max()) * 1.6)
    axes.plot(times, values, color=COLOURS[Phase.CONTROLLED], linewidth=1.0)
    axes.axhline(objective_ms, color=INK, linewidth=1.2, linestyle=(0, (5, 3)))
    beside(axes, objective_ms, f"objective\n{objective_ms:g} ms")
    _time_axis(axes, times, "signal, ms")


def budget(axes: Axes, closed: Closed) -> None:
    """Draw the budget in force, and what could have been sent."""
    history = closed.history
    times, limits = _thinned(history.limit_bps / 1e6, history.window_s, np.min)
    _, allowed = _thinned(history.allowed_bps / 1e6, history.window_s, np.min)
    axes.set_ylim(0, 1.12 * max(limits.max(), allowed.max(), 1e-3))
    axes.step(times, allowed, where="post", color=COLOURS[Phase.UNCONTROLLED], linewidth=1.0)
    axes.step(times, limits, where="post", color=COLOURS[Phase.CONTROLLED], linewidth=1.0)
    beside(axes, float(allowed[-1]), "oracle")
    _time_axis(axes, times, "budget, Mbit/s")


def _thinned(values: Floats, window_s: float, pool: Callable[..., Floats]) -> tuple[Floats, Floats]:
    """So many windows as one point that no more than `POINTS` are left; their times are the ends of the moments."""
    size = -(-len(values) // POINTS)
    starts = np.arange(0, len(values), size)
    pooled = np.array([pool(values[start : start + size]) for start in starts])
    return np.minimum(starts + size, len(values)) * window_s, pooled


def _time_axis(axes: Axes, times: Floats, label: str) -> None:
    axes.set_xlim(0, float(times[-1]))
    axes.set_xlabel("time, s")
    axes.set_ylabel(label)

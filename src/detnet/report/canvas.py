"""Drawings as SVG to be put into a page.

Colours are not fixed in the drawing: each role is drawn in a colour of its own that nothing else uses, and that colour is then
replaced by a CSS variable, so that one drawing reads well on a light and on a dark page. Text stays text, in the page's own font.

Invariants: pure; the same data give the same bytes; an SVG refers to nothing outside itself, and its ids are unique in the page. Only
this module loads Matplotlib, and only when it draws.
"""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from html import escape
from io import StringIO
from math import log10
from typing import TYPE_CHECKING, NamedTuple

from detnet.report.run import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from matplotlib.axes import Axes

INK, MUTED, GRID = "#010201", "#010202", "#010203"
COLOURS = {Phase.QUIET: "#010204", Phase.UNCONTROLLED: "#010205", Phase.CONTROLLED: "#010206"}
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid"} | {colour: str(phase) for phase, colour in COLOURS.items()}
SIZE_INCHES = (8.4, 2.9)
FRAME = (0.09, 0.16, 0.83, 0.75)  # the same for all, so that their axes of time lie below each other
STYLE: dict[Any, object] = {
    "svg.fonttype": "none",  # text that can be read, searched and scaled
    "svg.hashsalt": "detnet",  # ids that do not change from one writing to the next
    "path.simplify": False,
    "font.family": ["DejaVu Sans"],  # comes with Matplotlib; only measures the text
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
}


class Plot(NamedTuple):
    """An SVG with its heading and the sentence that belongs below it."""

    title: str
    caption: str
    svg: str


def plot(prefix: str, title: str, caption: str, fill: Callable[[Axes], None]) -> Plot:
    """Draw one. `prefix` keeps its ids apart from those of the others on the page; `fill` draws into the axes."""
    text = StringIO()
    with _quiet():
        # Loading it takes half a second and may build a font cache: only a report pays for that.
        import matplotlib as mpl  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415

        with mpl.rc_context():
            mpl.rcdefaults()  # a matplotlibrc of the reader must not change the report
            mpl.rcParams.update(STYLE)
            figure = Figure(figsize=SIZE_INCHES, dpi=72)
            axes = figure.add_axes(FRAME)
            axes.yaxis.set_label_coords(-0.075, 0.5)
            fill(axes)
            figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return Plot(title, caption, _inline(text.getvalue(), prefix, title, caption))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Matplotlib says of caches and folders that it cannot write from the terminal; it copes with all of that."""
    log = logging.getLogger("matplotlib")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def gapped(values: Iterable[float | None]) -> list[float]:
    """Not a number where nothing was measured: the line is broken there."""
    return [float("nan") if value is None else value for value in values]


def beside(axes: Axes, height: float, text: str) -> None:
    """Label a horizontal line at the right edge."""
    axes.text(1.008, height, text, va="center", color=INK, fontsize=8, transform=axes.get_yaxis_transform())


def log_axis(axes: Axes, which: str, low: float, high: float) -> None:
    """Limit a logarithmic axis and label it with plain numbers: more of them where it spans little."""
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415 - as above

    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xlim if which == "x" else axes.set_ylim)(low, high)
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if log10(high / low) < 2 else (1.0,), numticks=20))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def _inline(svg: str, prefix: str, title: str, description: str) -> str:
    """Make a stand-alone SVG a part of a page: scalable, named for those who do not see it, in the page's colours and font."""
    body = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    body = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{prefix}-", body)
    body = body.replace("'DejaVu Sans'", "var(--plot-font)")
    for colour, name in VARIABLES.items():
        body = body.replace(colour, f"var(--{name})")
    view = re.search(r'viewBox="[^"]+"', body)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {view[0] if view else ""} '
        f'role="img" aria-labelledby="{prefix}-title {prefix}-desc">'
        f'<title id="{prefix}-title">{escape(title)}</title><desc id="{prefix}-desc">{escape(description)}</desc>'
    )
    return head + body[body.index(">") + 1 :].strip()

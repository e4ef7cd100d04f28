"""The picture of a comparison: misses against bytes.

Each law is a point, its average, with a small point for each scenario. The lines are what the informed bound and the one-behind oracle
reach: up and to the left is better, and nothing is above the informed bound but by chance. Misses are those beyond what even the
floor misses: a scenario in which nobody can help would else hide how the others differ.

Invariants: pure; the same scoreboard gives the same bytes; laws are told apart by labels and marks, not by colour alone.
"""

from __future__ import annotations

from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple, cast

from detnet.report.canvas import GRID, INK, MUTED, Plot, plot
from detnet.scenarios.scoreboard import by_scenario, mean_yards, standings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from detnet.scenarios.scoreboard import Board, Figures
    from detnet.scenarios.yardsticks import Yard

# Okabe and Ito's, which the colour-blind tell apart; without those that are pale on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#a0529a", "#7a5c00", "#56606c", "#b3124f")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
SIZE_INCHES = (8.4, 5.4)
FRAME = (0.085, 0.105, 0.89, 0.865)
LINEAR_BELOW = 0.1  # percent of misses; zero has its place on the axis
LABEL_GAP = 0.042  # of the height, between the labels of laws
LETTER = 0.0125  # of the width, in a label
MARGIN = 0.016  # of the width, between a point and its label
DPI = 150


class Palette(NamedTuple):
    """Colours of what is not a law."""

    ink: str
    muted: str
    grid: str


PAGE = Palette(INK, MUTED, GRID)  # to be replaced by the page's own
LIGHT = Palette("#1b2330", "#5f6b7a", "#d9dee5")

TITLE = "Misses against bytes"
CAPTION = (
    "Large: each law on average over all runs. Small: its average in one scenario. Lines: the informed bound at different prices per "
    "miss, and the oracle one window late with margins of 0 to 30 %, on average over all runs that have them. Up and left is better. "
    "Misses that even the floor has are left out."
)


class Pictures(NamedTuple):
    """For the page, and on their own."""

    inline: Plot
    svg: bytes
    png: bytes


def pictures(board: Board) -> Pictures:
    """Draw the trade-off."""
    svg, png = BytesIO(), BytesIO()

    def alone(axes: Axes) -> None:
        _draw(axes, board, LIGHT)
        axes.tick_params(color=LIGHT.muted, labelcolor=LIGHT.ink)
        figure = _figure(axes)
        figure.savefig(svg, format="svg", facecolor="white", metadata={"Date": None})
        figure.savefig(png, format="png", facecolor="white", dpi=DPI, metadata={"Software": None})

    plot("alone", TITLE, CAPTION, alone)
    return Pictures(plot("tradeoff", TITLE, CAPTION, partial(_draw, board=board, palette=PAGE)), svg.getvalue(), png.getvalue())


def _draw(axes: Axes, board: Board, palette: Palette) -> None:
    _figure(axes).set_size_inches(SIZE_INCHES)
    axes.set_position(FRAME)
    axes.yaxis.set_label_coords(-0.065, 0.5)
    axes.set_xscale("symlog", linthresh=LINEAR_BELOW, linscale=0.4)
    axes.set_xlim(-0.01, 100)
    axes.set_ylim(0, 103)
    ticks = (0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.grid(color=palette.grid, linewidth=0.6)
    axes.set_xlabel("windows missed beyond those of the floor, % (linear below 0.1)", color=palette.ink)
    axes.set_ylabel("bytes, % of the oracle's", color=palette.ink)
    yards = mean_yards(run for runs in board.yards.values() for run in runs)
    points = {name: [_point(yard) for yard in yards if yard.name == name] for name in ("informed", "one-behind")}
    _line(axes, points["informed"], "informed bound", palette.ink, "solid")
    _line(axes, points["one-behind"], "one-behind oracle", palette.muted, (0, (4, 2)))
    _fixed(axes, yards, palette)
    _laws(axes, board, palette)


def _figure(axes: Axes) -> Figure:
    """The whole drawing: axes of a report lie in one, never in a part of one."""
    return cast("Figure", axes.figure)


def _line(axes: Axes, points: list[tuple[float, float]], label: str, colour: str, style: object) -> None:
    curve = sorted(points)
    if not curve:
        return
    misses, shares = zip(*curve, strict=True)
    axes.plot(misses, shares, color=colour, linestyle=style, marker=".", markersize=4, linewidth=1.3)
    highest = max(curve, key=lambda point: point[1])
    axes.annotate(label, highest, (0, 5), textcoords="offset points", ha="center", va="bottom", color=colour, fontsize=8.5)


def _fixed(axes: Axes, yards: list[Yard], palette: Palette) -> None:
    for point in (_point(yard) for yard in yards if yard.name == "best-fixed"):
        axes.plot(*point, "x", color=palette.muted, markersize=7, markeredgewidth=1.6)
        axes.annotate(
            "best fixed rate",
            point,
            (-7, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            color=palette.muted,
            fontsize=8.5,
        )


def _laws(axes: Axes, board: Board, palette: Palette) -> None:
    points = []
    for i, (law, standing) in enumerate(standings(board).items()):
        colour, mark = COLOURS[i % len(COLOURS)], MARKS[i % len(MARKS)]
        small = zip(*(_point(one) for one in by_scenario(board, law).values()), strict=True)
        axes.plot(*small, mark, color=colour, alpha=0.45, markersize=3.5, markeredgewidth=0, linestyle="none")
        x, y = _point(standing.figures)
        axes.plot([x], [y], mark, color=colour, markersize=10, markeredgecolor=palette.ink, markeredgewidth=0.8, zorder=5)
        points.append((y, x, law, colour))
    last = -1.0  # labels go up with their points, and lie on none of the others
    for y, x, law, colour in sorted(points):
        across, height = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))
        last = max(height, last + LABEL_GAP)
        left = across + LETTER * (len(law) + 2) > 1
        axes.text(
            across - MARGIN if left else across + MARGIN, last, law, transform=axes.transAxes, va="center",
            ha="right" if left else "left", color=colour, weight="bold", fontsize=10, zorder=6,
        )  # fmt: skip


def _point(one: Yard | Figures) -> tuple[float, float]:
    """Where it is drawn, in percent."""
    return 100 * max(0.0, one.miss_ratio - one.floor_miss_ratio), 100 * one.oracle_share

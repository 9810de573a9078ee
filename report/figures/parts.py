"""What the figures share: their look, the cells in groups, values as arrays, legends and labels."""
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scoring.record_schema import CONFIDENCE_TITLES

TEXT_WIDTH = 7.0  # inches of a printed page; at this width no text is smaller than 8 pt
STYLE = ["default", {
    "font.size": 8, "axes.titlesize": 9, "figure.labelsize": 8, "axes.labelsize": 8, "legend.fontsize": 8,
    "xtick.labelsize": 8, "ytick.labelsize": 8, "lines.linewidth": 1.3, "lines.markersize": 4.5,
    "axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True,
}]  # fmt: skip
# The colours of Okabe and Ito, which colour-blind readers tell apart, without yellow, which is too pale on paper
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 2)))
NO_THINKING = {"color": "black", "linestyle": (0, (4, 3)), "linewidth": 1.0}  # the look of the conventional arm
GREY = "0.75"


@dataclass(frozen=True)
class ResultFigure:
    """One figure of a run: its file in `figures/`, the function that draws it from the summary, and its words.

    has_content: whether a summary has enough for it; a figure that would show nothing is not drawn.
    """

    file_name: str
    draw: Callable[[dict], Figure]
    title: str
    caption: str
    alt: str
    has_content: Callable[[dict], bool] = lambda summary: True


# --- cells and their values ---------------------------------------------------------------------------------------

def cells_by_budget(summary: dict) -> dict[int, list[dict]]:
    """Cells with thinking, by total budget, in the order of the summary."""
    budgets: dict[int, list[dict]] = {}
    for cell in summary["cells"]:
        if cell["total_budget"] > 0:
            budgets.setdefault(cell["total_budget"], []).append(_with_headline(cell, summary))
    return budgets


def conventional_cells(summary: dict) -> list[dict]:
    """The cell without thinking, alone in a list; empty if the run has no conventional arm."""
    return [_with_headline(cell, summary) for cell in summary["cells"] if cell["total_budget"] == 0]


def _with_headline(cell: dict, summary: dict) -> dict:
    return cell | {"headline": cell["confidences"][summary["headline_confidence"]]}


def headline_title(summary: dict) -> str:
    """What the headline confidence is called."""
    return CONFIDENCE_TITLES[summary["headline_confidence"]]


def numbers(values: list) -> np.ndarray:
    """(n,) floats, NaN for None, which leaves a gap in a line."""
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def metric_values(cells: list[dict], metric: str) -> np.ndarray:
    """(cells,) accuracy, or a metric of the headline confidence. The cells: as grouped above."""
    return numbers([cell["accuracy"] if metric == "accuracy" else cell["headline"][metric] for cell in cells])


def metric_ranges(cells: list[dict], metric: str) -> np.ndarray:
    """(cells, 2) low and high of the 95% interval; for ECE, of the range that a calibrated model would show.

    The coverage at target error reaches from its lower bound to its observed value.
    """
    if metric == "coverage_at_target":
        values, bounds = metric_values(cells, metric), metric_values(cells, f"{metric}_lower_bound")
        return np.column_stack([np.minimum(values, bounds), values])
    name = "ece_if_calibrated" if metric == "ece" else f"{metric}_interval"
    found = [cell["accuracy_interval"] if metric == "accuracy" else cell["headline"][name] for cell in cells]
    ends = [(None, None) if interval is None else (interval["low"], interval["high"]) for interval in found]
    return numbers([end for pair in ends for end in pair]).reshape(-1, 2)


# --- looks and words ----------------------------------------------------------------------------------------------

def line_style(index: int) -> dict:
    """Colour, marker and dash of the line with that number."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": DASHES[index % len(DASHES)],
    }


def ratio_text(cell: dict) -> str:
    """`ratio 0.5`, or `no thinking`."""
    ratio = cell["answer_thinking_ratio"]
    return "no thinking" if ratio is None else f"ratio {ratio:g}"


def counts_text(summary: dict) -> str:
    """Numbers of questions and of records without error per cell, as ranges where cells differ."""
    questions = _range_text([cell["n_questions"] for cell in summary["cells"]])
    records = _range_text([cell["n_records"] - cell["n_errors"] for cell in summary["cells"]])
    return f"n = {questions} questions, {records} records per cell"


def _range_text(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


def spread(places: list[float], gap: float, low: float, high: float) -> list[float]:
    """Places for labels: those given, rising, moved apart by at least gap; from low to high if there is room."""
    upwards, downwards = _pushed(places, gap, low), _pushed([-place for place in places[::-1]], gap, -high)[::-1]
    between = [(up - down) / 2 for up, down in zip(upwards, downwards, strict=True)]
    below_high = [-place for place in _pushed([-place for place in between[::-1]], gap, -high)[::-1]]
    return _pushed(below_high, gap, low)


def _pushed(places: list[float], gap: float, low: float) -> list[float]:
    """Each as near above its place as the one before it allows."""
    pushed: list[float] = []
    for place in places:
        pushed.append(max(place, pushed[-1] + gap if pushed else low))
    return pushed


# --- panels -------------------------------------------------------------------------------------------------------

def panel_grid(n_panels: int, per_row: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with that many panels, which share their y-axis. height: inches of a row."""
    rows = ceil(n_panels / per_row)
    columns = ceil(n_panels / rows)
    figure = Figure(figsize=(TEXT_WIDTH, 0.9 + height * rows))
    panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for panel in panels[n_panels:]:
        panel.set_axis_off()
    return figure, panels[:n_panels]


def draw_bars(panel: Axes, x: np.ndarray, ranges: np.ndarray, colour: str) -> None:
    """Vertical bars with caps, from low to high."""
    low, high = ranges.T
    panel.vlines(x, low, high, color=colour, linewidth=0.9)
    panel.plot(np.tile(x, 2), np.concatenate([low, high]), "_", color=colour, markersize=5, label="_caps")


def draw_grid(panel: Axes) -> None:
    """Thin lines at the ticks."""
    panel.grid(alpha=0.3, linewidth=0.5)


def label_figure(figure: Figure, handles: list, text: str) -> None:
    """Puts one legend above all panels and one label for their x-axes below them."""
    if handles:
        figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 5), frameon=False,
                      handlelength=3)  # fmt: skip
    figure.supxlabel(text)

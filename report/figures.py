"""Draws the figures of a run again, from its summary.json alone, into RESULTS_DIR/figures/.

    python plot_results.py results_reasoning/<run name>

Ends with exit status 2 and one line where a folder has no summary.json that this version can draw.
"""
from runs import terminal

if __name__ == "__main__":
    terminal.set_up()  # before the imports below, of which one may be missing

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

# Figures go to files only. Notebooks name a backend of their own here, and importing matplotlib fails without it.
os.environ["MPLBACKEND"] = "agg"

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.style import context as style_context

from basics.errors import UserError, one_line
from basics.files import make_folder, reason, written_anew
from basics.strict_json import OTHER_SHAPE
from demo.ideal import ideal_accuracy, ideal_aurc, ideal_coverage
from runs.results_folder import read_summary
from runs.settings import OneLineParser

DPI = 200
TEXT_WIDTH = 7.0  # inches of a printed page; at this width no text is smaller than 8 pt
STYLE = ["default", {
    "font.size": 8, "axes.titlesize": 9, "figure.labelsize": 8, "axes.labelsize": 8, "legend.fontsize": 8,
    "xtick.labelsize": 8, "ytick.labelsize": 8, "lines.linewidth": 1.3, "lines.markersize": 4.5,
    "axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True,
}]  # fmt: skip
# Okabe and Ito's colours, which the colour-blind tell apart, without yellow, which paper does not show
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 2)))
CONVENTIONAL = {"color": "black", "linestyle": (0, (4, 3)), "linewidth": 1.0}
GREY = "0.75"

CELL_FIELDS = (
    "total_budget", "answer_thinking_ratio", "answer_budget", "confidence_budget", "n_questions", "n_records",
    "n_errors", "accuracy", "accuracy_interval", "confidences", "budget_audit", "risk_coverage", "position_bias",
)  # fmt: skip
VERBALISED_FIELDS = (
    "n", "aurc", "aurc_interval", "coverage_at_target", "coverage_at_target_interval", "ece", "ece_if_calibrated",
    "bins",
)  # fmt: skip
RATIO_LABEL = "share of the budget for the answer stage (ANSWER_THINKING_RATIO)"


@dataclass(frozen=True)
class ResultFigure:
    """One figure of a run: its file in `figures/`, what draws it, and the words that go with it.

    draw: from the summary, and from the ideal reasoner's curves if `shows_ideal`, to a Figure.
    """

    file_name: str
    draw: Callable[..., Figure]
    title: str
    caption: str
    alt: str
    shows_ideal: bool = False


# --- accuracy, AURC, coverage and ECE against ratio ---------------------------------------------------------------

def draw_against_ratio(summary: dict, ideal: dict[int, dict[str, list]] | None = None) -> Figure:
    """Four panels, one line per total budget; the conventional arm is a horizontal line.

    ideal: budget -> metric -> the ideal reasoner's value for each of the budget's cells, in their order; thin lines
    behind the others.
    """
    with style_context(STYLE):
        figure = Figure(figsize=(TEXT_WIDTH, 6.0))
        panels = figure.subplots(2, 2, sharex=True).flat
        target = summary["target_error"]
        titles = {
            "accuracy": "accuracy (higher is better)",
            "aurc": "AURC (lower is better)",
            "coverage_at_target": f"coverage at {target:g} error (higher is better)",
            "ece": "ECE (lower is better); bars: if calibrated",
        }
        for panel, (metric, title) in zip(panels, titles.items(), strict=True):
            _metric_panel(panel, summary, metric, ideal or {})
            panel.set_title(title)
        panel.set_ylim(bottom=0)
        note = f"bands: 95% intervals; bars: 95% range of the ECE of a calibrated model; {_n_words(summary)}"
        _label_figure(figure, _arm_handles(summary, bool(ideal)), f"{RATIO_LABEL}\n{note}")
    return figure


def _metric_panel(panel: Axes, summary: dict, metric: str, ideal: dict[int, dict[str, list]]) -> None:
    budgets = _budgets(summary)
    for index, (budget, cells) in enumerate(budgets.items()):
        style = _budget_style(index)
        ratios = np.array([cell["answer_thinking_ratio"] for cell in cells])
        aside = 0.02 * (index - (len(budgets) - 1) / 2)
        if len(ratios) == 1:  # all budgets would lie on one another
            ratios = ratios + 2 * aside
        if metric in ideal.get(budget, {}):
            thin = style | {"linewidth": 0.6, "marker": "x" if len(ratios) == 1 else "", "markersize": 8, "zorder": 1.5}
            panel.plot(ratios, ideal[budget][metric], label=f"ideal {budget}", **thin)
        panel.plot(ratios, _values(cells, metric), label=f"budget {budget}", **style)
        if metric == "ece":
            _bars(panel, ratios + (0 if len(ratios) == 1 else aside), _ranges(cells, metric), style["color"])
        else:
            _band(panel, ratios, _ranges(cells, metric), style["color"])
    for cell in _conventional(summary):
        _conventional_line(panel, cell, metric)
    panel.set_xlim(-0.06, 1.06)
    panel.set_xticks(*_ratio_ticks([cell["answer_thinking_ratio"] for cells in budgets.values() for cell in cells]))
    panel.grid(alpha=0.3, linewidth=0.5)


def _ratio_ticks(ratios: list[float]) -> tuple[list[float], list[str]]:
    """The run's ratios where they are few enough to be read, else quarters."""
    ticks = sorted(set(ratios)) if ratios else [0, 0.25, 0.5, 0.75, 1]
    if len(ticks) > 1 and (len(ticks) > 7 or min(np.diff(ticks)) < 0.08):
        ticks = [0, 0.25, 0.5, 0.75, 1]
    return ticks, [f"{tick:g}" for tick in ticks]


def _band(panel: Axes, x: np.ndarray, ranges: np.ndarray, colour: str) -> None:
    """Fills between neighbours; a point alone gets a bar, and where there is no range there is nothing."""
    known = ~np.isnan(ranges[:, 0])
    padded = np.concatenate([[False], known, [False]])
    alone = known & ~padded[:-2] & ~padded[2:]
    if (known & ~alone).any():
        look = {"facecolor": colour, "edgecolor": "none", "alpha": 0.15}
        panel.fill_between(x, *ranges.T, where=known & ~alone, **look)
    if alone.any():
        _bars(panel, x[alone], ranges[alone], colour)


def _bars(panel: Axes, x: np.ndarray, ranges: np.ndarray, colour: str) -> None:
    """Vertical bars with caps from low to high."""
    low, high = ranges.T
    panel.vlines(x, low, high, color=colour, linewidth=0.9)
    panel.plot(np.tile(x, 2), np.concatenate([low, high]), "_", color=colour, markersize=5, label="_caps")


def _conventional_line(panel: Axes, cell: dict, metric: str) -> None:
    value = _values([cell], metric)[0]
    ranges = _ranges([cell], metric)
    if not np.isnan(value):
        panel.axhline(value, label="no thinking", zorder=1.8, **CONVENTIONAL)
    if metric == "ece":
        _bars(panel, np.array([1.045]), ranges, "black")
    elif not np.isnan(ranges).any():
        panel.axhspan(*ranges[0], facecolor="black", alpha=0.08, linewidth=0, zorder=0.5)


# --- reliability diagrams -----------------------------------------------------------------------------------------

def draw_reliability(summary: dict) -> Figure:
    """A panel per cell, rows are budgets and columns ratios: points are bins, bars the share of records in each."""
    rows = [[cell] for cell in _conventional(summary)] + list(_budgets(summary).values())
    n_columns = max(map(len, rows))
    with style_context(STYLE):
        # Beyond six columns a panel keeps its size and the figure grows: it then needs a wider page
        width = max(TEXT_WIDTH, 1.15 * n_columns)
        figure = Figure(figsize=(width, 0.9 + len(rows) * min(3.2, width / n_columns + 0.15)))
        panels = figure.subplots(len(rows), n_columns, sharex=True, sharey=True, squeeze=False)
        for row, cells in zip(panels, rows, strict=True):
            for panel, cell in zip(row, cells, strict=False):
                _reliability_panel(panel, cell)
            for panel in row[len(cells):]:
                panel.set_axis_off()
            row[0].set_ylabel(f"budget {cells[0]['total_budget']}\naccuracy, share")
        handles = [
            Line2D([], [], color=COLOURS[0], marker="o", linestyle="none", label="accuracy in the bin"),
            Patch(facecolor=GREY, label="share of the cell's records"),
            Line2D([], [], color="black", linewidth=0.7, linestyle=":", label="calibrated"),
        ]
        _label_figure(figure, handles, "verbalised confidence (mean of the bin)")
    return figure


def _reliability_panel(panel: Axes, cell: dict) -> None:
    verbalised = cell["confidences"]["confidence"]
    n = verbalised["n"]
    for row in verbalised["bins"]:
        if row["count"]:
            width = row["upper"] - row["lower"]
            panel.bar(row["lower"] + width / 2, row["count"] / n, width * 0.9, color=GREY, zorder=1)
    panel.plot([0, 1], [0, 1], color="black", linewidth=0.7, linestyle=":", zorder=2, label="calibrated")
    filled = [row for row in verbalised["bins"] if row["count"]]
    x, y = [row["mean_confidence"] for row in filled], [row["accuracy"] for row in filled]
    panel.plot(x, y, "o", color=COLOURS[0], markeredgecolor="white", markeredgewidth=0.5, zorder=3, label="accuracy")
    ratio = cell["answer_thinking_ratio"]
    panel.set_title(f"{'no thinking' if ratio is None else f'ratio {ratio:g}'}\nn = {n:,}", fontsize=8)
    panel.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    panel.set_xticklabels(["0", "0.5", "1"])
    panel.set_aspect("equal")


# --- risk-coverage ------------------------------------------------------------------------------------------------

def draw_risk_coverage(summary: dict) -> Figure:
    """A panel per total budget, a line per ratio, the conventional arm in each, the target error across."""
    budgets = _budgets(summary) or {0: []}
    ratios = sorted({cell["answer_thinking_ratio"] for cells in budgets.values() for cell in cells})
    with style_context(STYLE):
        figure, panels = _panel_grid(len(budgets), per_row=3, height=2.6)
        hollow = {"marker": "o", "markersize": 9, "markerfacecolor": "none", "markeredgewidth": 0.8, "zorder": 1.8}
        for panel, (budget, cells) in zip(panels, budgets.items(), strict=True):
            for cell in _conventional(summary):
                _risk_coverage_line(panel, cell, label="no thinking", **CONVENTIONAL | hollow)
            for cell in cells:
                style = _ratio_style(cell["answer_thinking_ratio"], ratios)
                _risk_coverage_line(panel, cell, label=f"ratio {cell['answer_thinking_ratio']:g}", **style)
            panel.axhline(summary["target_error"], color="#D55E00", linewidth=0.8, label="target error", zorder=1.2)
            panel.set_title(f"budget {budget}" if cells else "no thinking")
            panel.set(xlim=(0, 1.06), xticks=[0, 0.25, 0.5, 0.75, 1], ylim=(-0.02, None))
            panel.set_xticklabels(["0", "0.25", "0.5", "0.75", "1"])
            panel.grid(alpha=0.3, linewidth=0.5)
        top = max([0.1, *(panel.get_ylim()[1] for panel in panels)])
        for panel in panels:
            panel.set_ylim(top=min(top, 1.02))
        figure.supylabel("error rate of the answers used (lower is better)")
        handles = {handle.get_label(): handle for panel in panels for handle in panel.get_lines()}
        words = "coverage: share of answers that are used, the most confident first"
        note = f"target error {summary['target_error']:g}; {_n_words(summary)}"
        _label_figure(figure, list(handles.values()), f"{words}\n{note}")
    return figure


def _risk_coverage_line(panel: Axes, cell: dict, **style) -> None:
    """The curve, with a marker at either end."""
    coverage = _numbers(cell["risk_coverage"]["coverage"])
    risk = _numbers(cell["risk_coverage"]["selective_risk"])
    known = np.flatnonzero(~np.isnan(coverage) & ~np.isnan(risk))
    ends = sorted({int(known[0]), int(known[-1])}) if known.size else []
    panel.plot(coverage, risk, markevery=ends, **style)


# --- cost frontier ------------------------------------------------------------------------------------------------

def draw_cost_frontier(summary: dict) -> Figure:
    """Accuracy against mean thinking tokens per question, a point per cell, and the cells that none dominates."""
    with style_context(STYLE):
        figure = Figure(figsize=(TEXT_WIDTH, 4.6))
        panel = figure.subplots()
        frontier = pareto_frontier(summary["cells"])
        if frontier:
            x, y = zip(*((_mean_tokens(cell), cell["accuracy"]) for cell in frontier), strict=True)
            panel.step(x, y, where="post", color=GREY, linewidth=4, zorder=0.8, label="Pareto frontier")
        for index, (budget, cells) in enumerate(_budgets(summary).items()):
            _cost_points(panel, cells, f"budget {budget}", **_budget_style(index))
        star = {"color": "black", "marker": "*", "markersize": 8, "linestyle": "none"}
        _cost_points(panel, _conventional(summary), "no thinking", **star)
        panel.set_ylabel("accuracy (higher is better)")
        panel.margins(x=0.06, y=0.06)
        if not _budgets(summary):
            panel.set(xlim=(-1, 1), xticks=[0])
        panel.grid(alpha=0.3, linewidth=0.5)
        words = "mean thinking tokens spent per question, both stages (fewer is better)"
        note = f"labels: ANSWER_THINKING_RATIO; bars: 95% intervals; {_n_words(summary)}"
        _label_figure(figure, panel.get_legend_handles_labels()[0], f"{words}\n{note}")
        _label_points(figure, panel, [cell for cells in _budgets(summary).values() for cell in cells])
    return figure


def pareto_frontier(cells: list[dict]) -> list[dict]:
    """Cells by rising cost, each more accurate than every cell that costs as much or less."""
    known = [cell for cell in cells if None not in (cell["accuracy"], _mean_tokens(cell))]
    frontier = []
    for cell in sorted(known, key=lambda cell: (_mean_tokens(cell), -cell["accuracy"])):
        if not frontier or cell["accuracy"] > frontier[-1]["accuracy"]:
            frontier.append(cell)
    return frontier


def _mean_tokens(cell: dict) -> float | None:
    means = [cell["budget_audit"][stage]["mean_thinking_tokens"] for stage in ("answer", "confidence")]
    return None if None in means else sum(means)


def _cost_points(panel: Axes, cells: list[dict], label: str, **style) -> None:
    x, y = _numbers([_mean_tokens(cell) for cell in cells]), _values(cells, "accuracy")
    low, high = _ranges(cells, "accuracy").T
    if cells:
        panel.vlines(x, low, high, color=style["color"], linewidth=0.9, alpha=0.6)
        panel.plot(x, y, label=label, **({"linewidth": 0.7} | style))


def _label_points(figure: Figure, panel: Axes, cells: list[dict]) -> None:
    """Writes each cell's ratio beside its point, on the first of eight places that is free."""
    cells = [cell for cell in cells if None not in (cell["accuracy"], _mean_tokens(cell))]
    figure.draw_without_rendering()  # lays the panel out, so that points have places on the page
    place = panel.transData.transform
    points = [place((_mean_tokens(cell), cell["accuracy"])) for cell in cells]
    to_points = 72 / figure.dpi
    half = 4 / to_points
    taken = [(x - half, y - half, x + half, y + half) for x, y in points]
    for (x, _), (low, high) in zip(points, _ranges(cells, "accuracy"), strict=True):
        if not np.isnan(low):
            taken.append((x - 1, place((0, low))[1], x + 1, place((0, high))[1]))
    for cell, (x, y) in zip(cells, points, strict=True):
        text = f"{cell['answer_thinking_ratio']:g}"
        width, height = (4.6 * len(text)) / to_points, 8 / to_points
        boxes = {}
        for dx, dy in ((6, 4), (6, -11), (-6, 4), (-6, -11), (6, 12), (6, -20), (-6, 12), (-6, -20)):
            left = x + dx / to_points - (width if dx < 0 else 0)
            bottom = y + dy / to_points
            boxes[dx, dy] = (left, bottom, left + width, bottom + height)
        offset = min(boxes, key=lambda offset: sum(_overlap(boxes[offset], box) for box in taken))  # the first if equal
        taken.append(boxes[offset])
        panel.annotate(
            text, (_mean_tokens(cell), cell["accuracy"]), offset, textcoords="offset points",
            ha="left" if offset[0] > 0 else "right", va="bottom",
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip


def _overlap(first: tuple, second: tuple) -> float:
    """Common area of two boxes (left, bottom, right, top)."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(0.0, width) * max(0.0, height)


# --- saturation ---------------------------------------------------------------------------------------------------

def draw_saturation(summary: dict) -> Figure:
    """Share of thoughts that closed naturally within a cap, a line per stage."""
    with style_context(STYLE):
        figure = Figure(figsize=(TEXT_WIDTH, 3.2))
        panel = figure.subplots()
        for index, stage in enumerate(("answer", "confidence")):
            points = summary["saturation"][stage]
            if points:
                label = f"{stage} stage"
                x, y = [point["cap"] for point in points], _numbers([point["share_natural"] for point in points])
                style = _budget_style(index) | {"markevery": max(1, len(points) // 12)}
                panel.plot(x, y, label=label, **style)
        if not panel.get_lines():
            _say_nothing_to_show(panel, "no thought in this run")
        words = f"cap (thinking tokens of the stage)\n{_n_words(summary)}"
        _label_figure(figure, panel.get_legend_handles_labels()[0], words)
        panel.set_ylabel("share of thoughts closed naturally")
        panel.set(ylim=(-0.03, 1.03), xlim=(0, None))
        panel.grid(alpha=0.3, linewidth=0.5)
    return figure


# --- position bias ------------------------------------------------------------------------------------------------

def draw_position_bias(summary: dict) -> Figure:
    """How often each letter is chosen against how often it is right, for each budget's cell of lowest AURC.

    The conventional arm comes first. A budget without any AURC has no panel.
    """
    best = [_best_aurc(cells) for cells in _budgets(summary).values()]
    cells = _conventional(summary) + [cell for cell in best if cell is not None]
    most_letters = max((len(cell["position_bias"]) for cell in cells), default=0)
    with style_context(STYLE):
        per_row = 4 if most_letters <= 6 else 2 if most_letters <= 14 else 1
        figure, panels = _panel_grid(max(1, len(cells)), per_row, height=2.2)
        for panel, cell in zip(panels, cells, strict=False):
            letters = [row["letter"] for row in cell["position_bias"]]
            x = np.arange(len(letters))
            chosen = _numbers([row["share_chosen"] for row in cell["position_bias"]])
            correct = _numbers([row["share_correct"] for row in cell["position_bias"]])
            panel.bar(x, chosen, 0.7, color="#56B4E9", label="chosen")
            panel.plot(x, correct, "D", color="black", markersize=5, markerfacecolor="white", label="correct")
            panel.set_xticks(x, letters)
            panel.set_title(f"{_cell_words(cell)}\nn = {cell['n_records'] - cell['n_errors']:,}", fontsize=8)
            panel.set_ylim(bottom=0)
        if not cells:
            _say_nothing_to_show(panels[0], "no cell with an AURC")
        _label_figure(figure, panels[0].get_legend_handles_labels()[0], "letter of the option as shown")
        figure.supylabel("share of records")
    return figure


def _best_aurc(cells: list[dict]) -> dict | None:
    known = [cell for cell in cells if cell["confidences"]["confidence"]["aurc"] is not None]
    return min(known, key=lambda cell: cell["confidences"]["confidence"]["aurc"], default=None)


FIGURES = (
    ResultFigure(
        "against_ratio.png", draw_against_ratio, "What each split is worth",
        "Accuracy, AURC, coverage at the target error and ECE of the verbalised confidence against the share of the"
        " budget that the answer stage gets, one line per total budget. Bands: 95% intervals by bootstrap over"
        " questions. The ECE has no such interval; its vertical bars are the 95% range that a perfectly calibrated"
        " model would show at the same confidences, budgets in order from left to right, no thinking at the right edge:"
        " an ECE inside its bar is no sign of miscalibration. Dashed black: no thinking at all. A value that does not"
        " exist leaves a gap. In the built-in demo, thin lines show the ideal reasoner.",
        "Four line charts of accuracy, AURC, coverage and ECE against the answer thinking ratio, a line per budget",
        shows_ideal=True,
    ),
    ResultFigure(
        "reliability.png", draw_reliability, "Reliability diagrams",
        "Accuracy against mean verbalised confidence in ten bins of equal width, one panel per cell. On the dotted"
        " diagonal the confidence is calibrated; points below it are overconfident. Bars: share of the cell's records"
        " in the bin, on the same axis; a point over hardly any bar rests on few records.",
        "Small charts, one per cell: accuracy against confidence in ten bins, with the share of records in each bin",
    ),
    ResultFigure(
        "risk_coverage.png", draw_risk_coverage, "Risk and coverage",
        "Error rate among the answers used, when the most confident ones are used first, against the share that is"
        " used; one panel per total budget, one line per ratio, black without thinking. Markers stand at the ends of"
        " each line: a smaller coverage than at its left end cannot be had, because the answers there share one"
        " confidence; between thresholds the line only guides the eye. The horizontal line is the target error. Lower"
        " is better; these curves have no intervals.",
        "Line charts, one per budget: error rate of the answers used against coverage, a line per ratio",
    ),
    ResultFigure(
        "cost_frontier.png", draw_cost_frontier, "What accuracy costs",
        "Accuracy with 95% intervals against the thinking tokens that a question took on average, both stages"
        " together. One point per cell, labelled with its ratio; the thin line joins a budget's ratios in order. The"
        " grey steps are the Pareto frontier as observed: no other cell was as accurate at the same or a lower cost."
        " Cells whose intervals overlap may change places in another sample.",
        "Scatter chart of accuracy against mean thinking tokens, a point per cell, with the Pareto frontier",
    ),
    ResultFigure(
        "saturation.png", draw_saturation, "How much thinking is wanted",
        "Share of thoughts that the model closed by itself within a cap, per stage. Where a line is flat and high, a"
        " larger cap changes little; where it is low, most thoughts are cut.",
        "Line chart of the share of thoughts closed naturally against the cap, a line per stage",
    ),
    ResultFigure(
        "position_bias.png", draw_position_bias, "Position bias",
        "How often each letter was chosen (bars) and how often it was right (diamonds), without thinking and in the"
        " cell of lowest AURC of each total budget. A bar above its diamond: the letter is chosen too often.",
        "Bar charts, one per cell shown: share of records per letter, chosen against correct",
    ),
)  # fmt: skip


# --- what the figures share ---------------------------------------------------------------------------------------

def _budgets(summary: dict) -> dict[int, list[dict]]:
    """Cells with thinking, by total budget, in the order of the summary."""
    budgets = {}
    for cell in summary["cells"]:
        if cell["total_budget"] > 0:
            budgets.setdefault(cell["total_budget"], []).append(cell)
    return budgets


def _conventional(summary: dict) -> list[dict]:
    """The cell without any thinking, alone in a list; empty if the run has none."""
    return [cell for cell in summary["cells"] if cell["total_budget"] == 0]


def _numbers(values: list) -> np.ndarray:
    """(n,) floats, NaN for None: what has no value leaves a gap."""
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _values(cells: list[dict], metric: str) -> np.ndarray:
    """(cells,) accuracy, or a metric of the verbalised confidence."""
    return _numbers([cell["accuracy"] if metric == "accuracy" else _verbalised(cell, metric) for cell in cells])


def _ranges(cells: list[dict], metric: str) -> np.ndarray:
    """(cells, 2) low and high of the 95% interval; for the ECE, of what a calibrated model would show."""
    name = "ece_if_calibrated" if metric == "ece" else f"{metric}_interval"
    found = [cell["accuracy_interval"] if metric == "accuracy" else _verbalised(cell, name) for cell in cells]
    ends = [(None, None) if interval is None else (interval["low"], interval["high"]) for interval in found]
    return _numbers([end for pair in ends for end in pair]).reshape(-1, 2)


def _verbalised(cell: dict, name: str):
    return cell["confidences"]["confidence"][name]


def _budget_style(index: int) -> dict:
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": DASHES[index % len(DASHES)],
    }


def _ratio_style(ratio: float, ratios: list[float]) -> dict:
    """Dark to light as the ratio rises, and another dash for each."""
    index = ratios.index(ratio)
    shade = matplotlib.colormaps["viridis"](0.85 * index / max(1, len(ratios) - 1))
    look = {"marker": MARKERS[index % len(MARKERS)], "linestyle": DASHES[index % len(DASHES)]}
    return {"color": shade, **look}


def _cell_words(cell: dict) -> str:
    if cell["total_budget"] == 0:
        return "no thinking"
    return f"budget {cell['total_budget']}, ratio {cell['answer_thinking_ratio']:g}"


def _n_words(summary: dict) -> str:
    """Numbers of questions and scored records per cell, as ranges where cells differ."""
    cells = summary["cells"]
    questions = _span([cell["n_questions"] for cell in cells])
    records = _span([cell["n_records"] - cell["n_errors"] for cell in cells])
    return f"n = {questions} questions, {records} records per cell"


def _span(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


def _panel_grid(n_panels: int, per_row: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with that many panels of one y-axis; height: inches of a row."""
    rows = ceil(n_panels / per_row)
    columns = ceil(n_panels / rows)
    figure = Figure(figsize=(TEXT_WIDTH, 0.9 + height * rows))
    panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for panel in panels[n_panels:]:
        panel.set_axis_off()
    return figure, panels[:n_panels]


def _arm_handles(summary: dict, with_ideal: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], label=f"budget {budget}", **_budget_style(index))
        for index, budget in enumerate(_budgets(summary))
    ]
    handles += [Line2D([], [], label="no thinking", **CONVENTIONAL) for _ in _conventional(summary)]
    if with_ideal:
        handles.append(Line2D([], [], color="0.4", linewidth=0.6, label="ideal reasoner"))
    return handles


def _label_figure(figure: Figure, handles: list, words: str) -> None:
    """Legend above all panels, one label of their x-axes below them."""
    if handles:
        figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 5), frameon=False,
                      handlelength=3)  # fmt: skip
    figure.supxlabel(words)


def _say_nothing_to_show(panel: Axes, text: str) -> None:
    panel.text(0.5, 0.5, text, ha="center", va="center", transform=panel.transAxes)


# --- files --------------------------------------------------------------------------------------------------------

def draw_figures(folder: Path) -> list[Path]:
    """Draws every figure of FIGURES from `summary.json` into `figures/` of a run folder; the files, in that order.

    The same summary gives the same bytes. Raises UserError if the summary is missing or cannot be drawn, or if nothing
    can be written.
    """
    summary = drawable_summary(folder / "summary.json")
    ideal = demo_ideal(summary)
    paths = []
    try:
        make_folder(folder / "figures")
        for figure in FIGURES:
            drawn = figure.draw(summary, ideal) if figure.shows_ideal else figure.draw(summary)
            paths.append(folder / "figures" / figure.file_name)
            _save(drawn, paths[-1])
    except OTHER_SHAPE as error:  # a hand has been at it
        what = f"{type(error).__name__}: {error}"
        raise UserError(
            f"{folder / 'summary.json'}: cannot be drawn ({what}); the run's own command mends it"
        ) from error
    except OSError as error:
        raise UserError(f"{folder / 'figures'}: cannot be written to ({reason(error)})") from error
    return paths


def _save(figure: Figure, path: Path) -> None:
    """Under a temporary name first, so that a report never shows half a picture."""
    with style_context(STYLE), written_anew(path) as file:
        figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})


def demo_ideal(summary: dict) -> dict[int, dict[str, list]] | None:
    """The ideal reasoner's values as `draw_against_ratio` takes them; None if the run is not the demo."""
    if not summary["run"]["is_demo"]:
        return None
    curves = {}
    for budget, cells in _budgets(summary).items():
        caps = [(cell["answer_budget"], cell["confidence_budget"]) for cell in cells]
        curves[budget] = {
            "accuracy": [ideal_accuracy(answer) for answer, _ in caps],
            "aurc": [ideal_aurc(*both) for both in caps],
            "coverage_at_target": [ideal_coverage(*both, summary["target_error"]) for both in caps],
        }
    return curves


def drawable_summary(path: Path) -> dict:
    """The summary, with every field that a figure needs. Raises UserError if it is missing, broken or older."""
    summary = read_summary(path)
    lacking = _lacking_field(summary)
    if lacking is not None:
        raise UserError(
            f"{path}: has no {lacking}; another version of the program wrote it, run the experiment again with this one"
        )
    return summary


def _lacking_field(summary) -> str | None:
    """The first field that a figure needs and the summary lacks; None if it has all."""
    for value, place, fields in _needed_fields(summary):
        for name in fields:
            if not isinstance(value, dict) or name not in value:
                return f"field {place}{name}"
    return None if summary["cells"] else "cell"


def _needed_fields(summary) -> Iterator[tuple]:
    """(object, its place, fields that it must have), each object after the one that holds it."""
    yield summary, "", ("target_error", "cells", "saturation", "run")
    yield summary["saturation"], "saturation.", ("answer", "confidence")
    yield summary["run"], "run.", ("is_demo",)
    for index, cell in enumerate(summary["cells"] if isinstance(summary["cells"], list) else [None]):
        place = f"cells[{index}]."
        yield cell, place, CELL_FIELDS
        yield cell["confidences"], f"{place}confidences.", ("confidence",)
        yield cell["confidences"]["confidence"], f"{place}confidences.confidence.", VERBALISED_FIELDS


def main(argv: list[str]) -> int:
    """Draws the figures of each folder and prints their paths; returns the exit status."""
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results_dir", metavar="RESULTS_DIR", nargs="+", help="folder of a run, with a summary.json")
    try:
        for results_dir in parser.parse_args(argv).results_dir:
            for path in draw_figures(Path(results_dir)):
                print(path)
    except UserError as error:
        print(f"plot_results.py: {one_line(str(error))}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Accuracy, AURC, coverage and ECE against the ratio."""
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.style import context as style_context

from demo.ideal import ideal_accuracy, ideal_aurc, ideal_coverage
from report.figures import parts


@style_context(parts.STYLE)
def draw_against_ratio(summary: dict) -> Figure:
    """Four panels with a line per total budget; the conventional arm is a horizontal line.

    In the demo, thin lines behind the others show the ideal reasoner.
    """
    figure = Figure(figsize=(parts.TEXT_WIDTH, 6.0))
    panels = figure.subplots(2, 2, sharex=True).flat
    ideal = ideal_values(summary) if summary["run"]["is_demo"] else {}
    titles = {
        "accuracy": "accuracy (higher is better)",
        "aurc": "AURC (lower is better)",
        "coverage_at_target": f"coverage at {summary['target_error']:g} error (higher is better)",
        "ece": "ECE (lower is better); bars: if calibrated",
    }
    for panel, (metric, title) in zip(panels, titles.items(), strict=True):
        _draw_metric(panel, summary, metric, ideal)
        panel.set_title(title)
    panel.set_ylim(bottom=0)
    label = "share of the budget for the answer stage (ANSWER_THINKING_RATIO)"
    note = "bands: 95% intervals, of the coverage from its lower bound up; bars: 95% range of a calibrated model's ECE"
    note += f"\n{parts.counts_text(summary)}"
    parts.label_figure(figure, _legend_handles(summary, bool(ideal)), f"{label}\n{note}")
    return figure


def has_content(summary: dict) -> bool:
    """Whether a budget was run with two ratios."""
    return any(len(cells) > 1 for cells in parts.cells_by_budget(summary).values())


def ideal_values(summary: dict) -> dict[int, dict[str, list[float]]]:
    """Budget -> metric -> the ideal reasoner's value in each of the budget's cells, in their order."""
    values = {}
    for budget, cells in parts.cells_by_budget(summary).items():
        caps = [(cell["answer_budget"], cell["confidence_budget"]) for cell in cells]
        values[budget] = {
            "accuracy": [ideal_accuracy(answer_cap) for answer_cap, _ in caps],
            "aurc": [ideal_aurc(*both) for both in caps],
            "coverage_at_target": [ideal_coverage(*both, summary["target_error"]) for both in caps],
        }
    return values


def _draw_metric(panel: Axes, summary: dict, metric: str, ideal: dict[int, dict[str, list[float]]]) -> None:
    budgets = parts.cells_by_budget(summary)
    for index, (budget, cells) in enumerate(budgets.items()):
        style = parts.line_style(index)
        ratios = np.array([cell["answer_thinking_ratio"] for cell in cells])
        aside = 0.02 * (index - (len(budgets) - 1) / 2)
        if metric in ideal.get(budget, {}):
            thin = style | {"linewidth": 0.6, "marker": "", "zorder": 1.5}
            panel.plot(ratios, ideal[budget][metric], label=f"ideal {budget}", **thin)
        panel.plot(ratios, parts.metric_values(cells, metric), label=f"budget {budget}", **style)
        ranges = parts.metric_ranges(cells, metric)
        if metric == "ece":
            parts.draw_bars(panel, ratios + aside, ranges, style["color"])
        else:
            _draw_band(panel, ratios, ranges, style["color"])
    for cell in parts.conventional_cells(summary):
        _draw_no_thinking(panel, cell, metric)
    panel.set_xlim(-0.06, 1.06)
    panel.set_xticks(*_ratio_ticks([cell["answer_thinking_ratio"] for cells in budgets.values() for cell in cells]))
    parts.draw_grid(panel)


def _ratio_ticks(ratios: list[float]) -> tuple[list[float], list[str]]:
    """The run's ratios if their labels have room, else quarters."""
    ticks = sorted(set(ratios)) if ratios else [0, 0.25, 0.5, 0.75, 1]
    if len(ticks) > 1 and (len(ticks) > 7 or min(np.diff(ticks)) < 0.08):
        ticks = [0, 0.25, 0.5, 0.75, 1]
    return ticks, [f"{tick:g}" for tick in ticks]


def _draw_band(panel: Axes, x: np.ndarray, ranges: np.ndarray, colour: str) -> None:
    """Fills between neighbours. A point whose neighbours have no range gets a bar; without a range, nothing."""
    known = ~np.isnan(ranges[:, 0])
    padded = np.concatenate([[False], known, [False]])
    alone = known & ~padded[:-2] & ~padded[2:]
    if (known & ~alone).any():
        look = {"facecolor": colour, "edgecolor": "none", "alpha": 0.15}
        panel.fill_between(x, *ranges.T, where=known & ~alone, **look)
    if alone.any():
        parts.draw_bars(panel, x[alone], ranges[alone], colour)


def _draw_no_thinking(panel: Axes, cell: dict, metric: str) -> None:
    value = parts.metric_values([cell], metric)[0]
    ranges = parts.metric_ranges([cell], metric)
    if not np.isnan(value):
        panel.axhline(value, label="no thinking", zorder=1.8, **parts.NO_THINKING)
    if metric == "ece":
        parts.draw_bars(panel, np.array([1.045]), ranges, "black")
    elif not np.isnan(ranges).any():
        panel.axhspan(*ranges[0], facecolor="black", alpha=0.08, linewidth=0, zorder=0.5)


def _legend_handles(summary: dict, with_ideal: bool) -> list[Line2D]:
    styles = {budget: parts.line_style(index) for index, budget in enumerate(parts.cells_by_budget(summary))}
    handles = [Line2D([], [], label=f"budget {budget}", **style) for budget, style in styles.items()]
    handles += [Line2D([], [], label="no thinking", **parts.NO_THINKING) for _ in parts.conventional_cells(summary)]
    if with_ideal:
        handles.append(Line2D([], [], color="0.4", linewidth=0.6, label="ideal reasoner"))
    return handles


FIGURE = parts.ResultFigure(
    "against_ratio.png", draw_against_ratio, "What each ratio is worth",
    "Accuracy, AURC, coverage at the target error and ECE of the headline confidence against the share of the budget"
    " that the answer stage gets. Each line is one total budget. Bands: 95% intervals over questions. The coverage"
    " looks back at these answers and has none: its band reaches from the bound that holds for new answers with 95% up"
    " to the observed value. ECE has no interval either. Its vertical bars show the 95% range that a perfectly"
    " calibrated model would have at the same confidences, budgets in order from left to right, no thinking at the"
    " right edge: an ECE inside its bar is no sign of miscalibration. Dashed black: no thinking at all. A value that"
    " does not exist leaves a gap. In the built-in demo, thin lines show the ideal reasoner.",
    "Four line charts of accuracy, AURC, coverage and ECE against the answer thinking ratio, a line per budget",
    has_content,
)  # fmt: skip

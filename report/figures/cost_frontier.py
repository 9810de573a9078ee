"""Accuracy against the thinking tokens that it takes."""
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.style import context as style_context

from report.figures import parts

Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels


@style_context(parts.STYLE)
def draw_cost_frontier(summary: dict) -> Figure:
    """Accuracy against mean thinking tokens per question, a point per cell, with the Pareto frontier."""
    figure = Figure(figsize=(parts.TEXT_WIDTH, 4.6))
    panel = figure.subplots()
    budgets = parts.cells_by_budget(summary)
    frontier = pareto_frontier(summary["cells"])
    if frontier:
        x, y = [_mean_tokens(cell) for cell in frontier], [cell["accuracy"] for cell in frontier]
        panel.step(x, y, where="post", color=parts.GREY, linewidth=4, zorder=0.8, label="Pareto frontier")
    for index, (budget, cells) in enumerate(budgets.items()):
        _draw_points(panel, cells, {"label": f"budget {budget}", "linewidth": 0.7, **parts.line_style(index)})
    star = {"color": "black", "marker": "*", "markersize": 8, "linestyle": "none"}
    _draw_points(panel, parts.conventional_cells(summary), {"label": "no thinking", **star})
    panel.set_ylabel("accuracy (higher is better)")
    panel.margins(x=0.06, y=0.06)
    parts.draw_grid(panel)
    label = "mean thinking tokens per question, both stages (fewer is better)"
    note = f"labels: ANSWER_THINKING_RATIO; bars: 95% intervals; {parts.counts_text(summary)}"
    parts.label_figure(figure, panel.get_legend_handles_labels()[0], f"{label}\n{note}")
    _label_points(figure, panel, [cell for cells in budgets.values() for cell in cells if _has_point(cell)])
    return figure


def has_content(summary: dict) -> bool:
    """Whether two cells have a point."""
    return sum(map(_has_point, summary["cells"])) > 1


def pareto_frontier(cells: list[dict]) -> list[dict]:
    """Cells by rising cost, each more accurate than every cell that costs as much or less."""
    frontier: list[dict] = []
    for cell in sorted(filter(_has_point, cells), key=lambda cell: (_mean_tokens(cell), -cell["accuracy"])):
        if not frontier or cell["accuracy"] > frontier[-1]["accuracy"]:
            frontier.append(cell)
    return frontier


def _has_point(cell: dict) -> bool:
    return None not in (cell["accuracy"], _mean_tokens(cell))


def _mean_tokens(cell: dict) -> float | None:
    means = [cell["budget_audit"][stage]["mean_thinking_tokens"] for stage in ("answer", "confidence")]
    return None if None in means else sum(means)


def _draw_points(panel: Axes, cells: list[dict], style: dict) -> None:
    if cells:
        x = parts.numbers([_mean_tokens(cell) for cell in cells])
        panel.vlines(x, *parts.metric_ranges(cells, "accuracy").T, color=style["color"], linewidth=0.9, alpha=0.6)
        panel.plot(x, parts.metric_values(cells, "accuracy"), **style)


def _label_points(figure: Figure, panel: Axes, cells: list[dict]) -> None:
    """Writes each cell's ratio beside its point, at the place of eight that covers least of what is there."""
    figure.draw_without_rendering()  # lays the panel out, so that points have places on the page
    pixels = figure.dpi / 72  # of one point of text
    points = [panel.transData.transform((_mean_tokens(cell), cell["accuracy"])) for cell in cells]
    taken = [*_marker_boxes(points, 4 * pixels), *_interval_boxes(panel, points, cells)]
    for cell, (x, y) in zip(cells, points, strict=True):
        text = f"{cell['answer_thinking_ratio']:g}"
        width, height = 4.6 * len(text) * pixels, 8 * pixels
        boxes: dict[tuple[int, int], Box] = {}
        for dx, dy in ((6, 4), (6, -11), (-6, 4), (-6, -11), (6, 12), (6, -20), (-6, 12), (-6, -20)):
            left = x + dx * pixels - (width if dx < 0 else 0)
            bottom = y + dy * pixels
            boxes[dx, dy] = (left, bottom, left + width, bottom + height)
        offset = min(boxes, key=lambda offset: sum(_overlap(boxes[offset], box) for box in taken))  # the first if equal
        taken.append(boxes[offset])
        panel.annotate(
            text, (_mean_tokens(cell), cell["accuracy"]), offset, textcoords="offset points",
            ha="left" if offset[0] > 0 else "right", va="bottom",
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip


def _marker_boxes(points: list[np.ndarray], half: float) -> list[Box]:
    return [(x - half, y - half, x + half, y + half) for x, y in points]


def _interval_boxes(panel: Axes, points: list[np.ndarray], cells: list[dict]) -> list[Box]:
    place = panel.transData.transform
    ranges = parts.metric_ranges(cells, "accuracy")
    return [
        (x - 1, place((0, low))[1], x + 1, place((0, high))[1])
        for (x, _), (low, high) in zip(points, ranges, strict=True)
        if not np.isnan(low)
    ]


def _overlap(first: Box, second: Box) -> float:
    """Common area of two boxes."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(0.0, width) * max(0.0, height)


FIGURE = parts.ResultFigure(
    "cost_frontier.png", draw_cost_frontier, "What accuracy costs",
    "Accuracy with 95% intervals against the mean number of thinking tokens per question, both stages together. One"
    " point per cell, labelled with its ratio; the thin line joins the ratios of a budget in order. The grey steps are"
    " the Pareto frontier as observed: no other cell was as accurate at the same or a lower cost. Cells whose intervals"
    " overlap may change places in another sample.",
    "Scatter chart of accuracy against mean thinking tokens, a point per cell, with the Pareto frontier", has_content,
)  # fmt: skip

"""Reliability diagrams."""
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.style import context as style_context

from report.figures import parts


@style_context(parts.STYLE)
def draw_reliability(summary: dict) -> Figure:
    """A panel per cell, a row per budget: points are the bins' accuracies, bars their shares of the records."""
    rows = [[cell] for cell in parts.conventional_cells(summary)] + list(parts.cells_by_budget(summary).values())
    n_columns = max(map(len, rows))
    # With more than six columns a panel keeps its size and the figure grows wider than the page
    width = max(parts.TEXT_WIDTH, 1.15 * n_columns)
    figure = Figure(figsize=(width, 0.9 + len(rows) * min(3.2, width / n_columns + 0.15)))
    panels = figure.subplots(len(rows), n_columns, sharex=True, sharey=True, squeeze=False)
    for row, cells in zip(panels, rows, strict=True):
        for panel, cell in zip(row, cells, strict=False):
            _draw_cell(panel, cell)
        for panel in row[len(cells):]:
            panel.set_axis_off()
        row[0].set_ylabel(f"budget {cells[0]['total_budget']}\naccuracy, share")
    handles = [
        Line2D([], [], color=parts.COLOURS[0], marker="o", linestyle="none", label="accuracy in the bin"),
        Patch(facecolor=parts.GREY, label="share of the cell's records"),
        Line2D([], [], color="black", linewidth=0.7, linestyle=":", label="calibrated"),
    ]
    parts.label_figure(figure, handles, f"{parts.headline_title(summary)} (mean of the bin)")
    return figure


def _draw_cell(panel: Axes, cell: dict) -> None:
    n = cell["headline"]["n"]
    filled = [one for one in cell["headline"]["bins"] if one["count"]]
    width = 0.9 * np.array([one["upper"] - one["lower"] for one in filled])
    middle = [(one["lower"] + one["upper"]) / 2 for one in filled]
    panel.bar(middle, [one["count"] / n for one in filled], width, color=parts.GREY, zorder=1)
    panel.plot([0, 1], [0, 1], color="black", linewidth=0.7, linestyle=":", zorder=2, label="calibrated")
    x, y = [one["mean_confidence"] for one in filled], [one["accuracy"] for one in filled]
    look = {"color": parts.COLOURS[0], "markeredgecolor": "white", "markeredgewidth": 0.5, "zorder": 3}
    panel.plot(x, y, "o", label="accuracy", **look)
    panel.set_title(f"{parts.ratio_text(cell)}\nn = {n:,}", fontsize=8)
    panel.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    panel.set_xticklabels(["0", "0.5", "1"])
    panel.set_aspect("equal")


FIGURE = parts.ResultFigure(
    "reliability.png", draw_reliability, "Reliability diagrams",
    "Accuracy against the mean headline confidence in ten bins of equal width, one panel per cell. On the dotted"
    " diagonal the confidence is calibrated; points below it are overconfident. Bars: share of the cell's records in"
    " the bin, on the same axis. A point over a very short bar rests on few records.",
    "Small charts, one per cell: accuracy against confidence in ten bins, with the share of records in each bin",
)  # fmt: skip

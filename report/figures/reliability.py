"""Reliability diagrams."""
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.style import context as style_context

from report.figures import parts

STRIP = 0.28  # height of a strip of counts, with the diagram above it as 1


@style_context(parts.STYLE)
def draw_reliability(summary: dict) -> Figure:
    """A diagram per cell, a row per budget: the accuracy of each bin, and below it the share of the records in it."""
    rows = [[cell] for cell in parts.conventional_cells(summary)] + list(parts.cells_by_budget(summary).values())
    if max(map(len, rows)) == 1:
        rows = [[cell for row in rows for cell in row]]
    n_columns, top = max(map(len, rows)), _top_share(rows)
    # With more than six columns a panel keeps its size and the figure grows wider than the page
    width = max(parts.TEXT_WIDTH, 1.15 * n_columns)
    side = min(2.6, width / n_columns - 0.35)
    figure = Figure(figsize=(width, 0.9 + len(rows) * ((1 + STRIP) * side + 0.65)))
    figure.set_layout_engine("compressed")
    panels = figure.subplots(2 * len(rows), n_columns, squeeze=False, height_ratios=[1, STRIP] * len(rows))
    for row, cells in enumerate(rows):
        diagrams, strips = panels[2 * row], panels[2 * row + 1]
        budgets = {cell["total_budget"] for cell in cells}
        for diagram, strip, cell in zip(diagrams, strips, cells, strict=False):
            _draw_diagram(diagram, cell, _title(cell, with_budget=len(budgets) > 1))
            _draw_strip(strip, cell, top)
        for panel in (*diagrams[len(cells):], *strips[len(cells):]):
            panel.set_axis_off()
        for panel in (*diagrams[1:len(cells)], *strips[1:len(cells)]):
            panel.tick_params(labelleft=False)
        diagrams[0].set_ylabel(f"budget {budgets.pop()}\naccuracy" if len(budgets) == 1 else "accuracy")
        strips[0].set_ylabel("share")
    handles = [
        Line2D([], [], color=parts.COLOURS[0], marker="o", linestyle="none", label="accuracy in the bin"),
        Patch(facecolor=parts.GREY, label="share of the cell's records"),
        Line2D([], [], color="black", linewidth=0.7, linestyle=":", label="calibrated"),
    ]
    parts.label_figure(figure, handles, f"{parts.headline_title(summary)} (mean of the bin)")
    return figure


def has_content(summary: dict) -> bool:
    """Whether a record has the headline confidence."""
    bins = [one for cell in summary["cells"] for one in cell["confidences"][summary["headline_confidence"]]["bins"]]
    return any(one["count"] for one in bins)


def _draw_diagram(panel: Axes, cell: dict, title: str) -> None:
    filled = _filled(cell)
    panel.plot([0, 1], [0, 1], color="black", linewidth=0.7, linestyle=":", label="calibrated")
    x, y = [one["mean_confidence"] for one in filled], [one["accuracy"] for one in filled]
    look = {"color": parts.COLOURS[0], "markeredgecolor": "white", "markeredgewidth": 0.5}
    panel.plot(x, y, "o", label="accuracy", **look)
    panel.set_title(f"{title}\nn = {cell['headline']['n']:,}", fontsize=8)
    panel.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    panel.set_yticklabels(["0", "0.5", "1"])
    panel.tick_params(labelbottom=False)
    panel.set_box_aspect(1)


def _draw_strip(panel: Axes, cell: dict, top: float) -> None:
    filled = _filled(cell)
    left = [one["lower"] for one in filled]
    shares = [one["count"] / cell["headline"]["n"] for one in filled]
    panel.bar(left, shares, [0.9 * (one["upper"] - one["lower"]) for one in filled], align="edge", color=parts.GREY)
    panel.set(xlim=(-0.04, 1.04), ylim=(0, top), xticks=[0, 0.5, 1], yticks=[0, top])
    panel.set_xticklabels(["0", "0.5", "1"])
    panel.set_yticklabels(["0", f"{top:g}"])
    panel.set_box_aspect(STRIP)


def _title(cell: dict, with_budget: bool) -> str:
    budget = f"budget {cell['total_budget']}, " if with_budget and cell["total_budget"] else ""
    return f"{budget}{parts.ratio_text(cell)}"


def _top_share(rows: list[list[dict]]) -> float:
    """The end of all strips: the largest share of a bin, rounded up."""
    cells = [cell for row in rows for cell in row if cell["headline"]["n"]]
    largest = max(one["count"] / cell["headline"]["n"] for cell in cells for one in cell["headline"]["bins"])
    return next(top for top in (0.25, 0.5, 1.0) if largest <= top)


def _filled(cell: dict) -> list[dict]:
    return [one for one in cell["headline"]["bins"] if one["count"]]


FIGURE = parts.ResultFigure(
    "reliability.png", draw_reliability, "Reliability diagrams",
    "Accuracy against the mean headline confidence in ten bins of equal width, one diagram per cell. On the dotted"
    " diagonal the confidence is calibrated; points below it are overconfident. The strip below a diagram shows the"
    " share of the cell's records in each bin: a point above a very short bar rests on few records.",
    "Small charts, one per cell: accuracy against confidence in ten bins, with the share of records in each bin below",
    has_content,
)  # fmt: skip

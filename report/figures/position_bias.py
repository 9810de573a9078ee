"""How often each letter is chosen, and how often it is correct."""
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context as style_context

from report.figures import parts


@style_context(parts.STYLE)
def draw_position_bias(summary: dict) -> Figure:
    """Shares chosen and correct per letter: the conventional arm, then the cell of lowest AURC of each budget.

    A budget without any AURC has no panel.
    """
    cells = _shown_cells(summary)
    most_letters = max(len(cell["position_bias"]) for cell in cells)
    per_row = 4 if most_letters <= 6 else 2 if most_letters <= 14 else 1
    figure, panels = parts.panel_grid(len(cells), per_row, height=2.2)
    for panel, cell in zip(panels, cells, strict=True):
        _draw_cell(panel, cell)
    parts.label_figure(figure, panels[0].get_legend_handles_labels()[0], "letter of the option as shown")
    figure.supylabel("share of records")
    return figure


def has_content(summary: dict) -> bool:
    """Whether the options were shown in two orders; with one, a letter's share is as much the questions' as its own."""
    return any(len(cell["per_permutation"]) > 1 for cell in _shown_cells(summary))


def _shown_cells(summary: dict) -> list[dict]:
    best = [_lowest_aurc(cells) for cells in parts.cells_by_budget(summary).values()]
    return parts.conventional_cells(summary) + [cell for cell in best if cell is not None]


def _lowest_aurc(cells: list[dict]) -> dict | None:
    known = [cell for cell in cells if cell["headline"]["aurc"] is not None]
    return min(known, key=lambda cell: cell["headline"]["aurc"], default=None)


def _draw_cell(panel: Axes, cell: dict) -> None:
    letters = [row["letter"] for row in cell["position_bias"]]
    x = np.arange(len(letters))
    chosen = parts.numbers([row["share_chosen"] for row in cell["position_bias"]])
    correct = parts.numbers([row["share_correct"] for row in cell["position_bias"]])
    panel.bar(x, chosen, 0.7, color="#56B4E9", label="chosen")
    panel.plot(x, correct, "D", color="black", markersize=5, markerfacecolor="white", label="correct")
    panel.set_xticks(x, letters)
    budget = f"budget {cell['total_budget']}, " if cell["total_budget"] else ""
    panel.set_title(f"{budget}{parts.ratio_text(cell)}\nn = {cell['n_records'] - cell['n_errors']:,}", fontsize=8)
    panel.set_ylim(bottom=0)


FIGURE = parts.ResultFigure(
    "position_bias.png", draw_position_bias, "Position bias",
    "How often each letter was chosen (bars) and how often it was correct (diamonds), without thinking and in the cell"
    " of lowest AURC of each total budget. Where a bar is higher than its diamond, the letter is chosen too often.",
    "Bar charts, one per cell shown: share of records per letter, chosen against correct", has_content,
)  # fmt: skip

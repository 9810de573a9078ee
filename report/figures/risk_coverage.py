"""Risk-coverage curves."""
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context as style_context

from report.figures import parts

LABEL_HEIGHT = 9.0  # points that a ratio beside its curve takes
LABEL_PLACE = 1.09  # coverage at which the ratios stand, right of all curves


@style_context(parts.STYLE)
def draw_risk_coverage(summary: dict) -> Figure:
    """A panel per total budget, in each a curve per ratio, the conventional arm and the target error."""
    budgets = parts.cells_by_budget(summary) or {0: []}
    ratios = sorted({cell["answer_thinking_ratio"] for cells in budgets.values() for cell in cells})
    figure, panels = parts.panel_grid(len(budgets), per_row=2 if len(budgets) in (2, 4) else 3, height=2.6)
    for panel, (budget, cells) in zip(panels, budgets.items(), strict=True):
        for cell in parts.conventional_cells(summary):
            hollow = {"marker": "o", "markersize": 9, "markerfacecolor": "none", "markeredgewidth": 0.8, "zorder": 1.8}
            _draw_curve(panel, cell, parts.NO_THINKING | hollow)
        for cell in cells:
            _draw_curve(panel, cell, _ratio_style(cell["answer_thinking_ratio"], ratios))
        panel.axhline(summary["target_error"], color="#D55E00", linewidth=0.8, label="target error", zorder=1.2)
        panel.set_title(f"budget {budget}" if cells else "no thinking")
        panel.set(xlim=(0, 1.22), xticks=[0, 0.25, 0.5, 0.75, 1], ylim=(-0.02, None))
        panel.set_xticklabels(["0", "0.25", "0.5", "0.75", "1"])
        parts.draw_grid(panel)
    top = max([0.1, *(panel.get_ylim()[1] for panel in panels)])
    for panel in panels:
        panel.set_ylim(top=min(top, 1.02))
    figure.supylabel("error rate of the answers used (lower is better)")
    handles = {handle.get_label(): handle for panel in panels for handle in panel.get_lines()}
    label = f"coverage: share of answers that are used, those of highest {parts.headline_title(summary)} first"
    note = f"right of the curves: their ratios; target error {summary['target_error']:g}; {parts.counts_text(summary)}"
    parts.label_figure(figure, list(handles.values()), f"{label}\n{note}")
    figure.draw_without_rendering()  # lays the panels out, so that their heights are known
    for panel, cells in zip(panels, budgets.values(), strict=True):
        _label_curves(panel, cells, ratios)
    return figure


def has_content(summary: dict) -> bool:
    """Whether a cell has two thresholds: one is a point, which says no more than the accuracy."""
    return any(len(cell["risk_coverage"]["threshold"]) > 1 for cell in summary["cells"])


def _draw_curve(panel: Axes, cell: dict, style: dict) -> None:
    """The curve as steps, with a marker at each end."""
    coverage, risk, known = _curve(cell)
    ends = sorted({int(known[0]), int(known[-1])}) if known.size else []
    panel.plot(coverage, risk, label=parts.ratio_text(cell), markevery=ends, drawstyle="steps-post", **style)


def _curve(cell: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coverages, error rates, and the places where both are known."""
    coverage = parts.numbers(cell["risk_coverage"]["coverage"])
    risk = parts.numbers(cell["risk_coverage"]["selective_risk"])
    return coverage, risk, np.flatnonzero(~np.isnan(coverage) & ~np.isnan(risk))


def _label_curves(panel: Axes, cells: list[dict], ratios: list[float]) -> None:
    """Writes each ratio right of its curve's end, in order of their error rates; a line in its colour leads there."""
    ends = []
    for cell in cells:
        coverage, risk, known = _curve(cell)
        if known.size:
            ends.append((risk[known[-1]], coverage[known[-1]], cell["answer_thinking_ratio"]))
    ends.sort()
    low, high = panel.get_ylim()
    gap = (high - low) * LABEL_HEIGHT / (panel.get_window_extent().height * 72 / panel.figure.dpi)
    heights = parts.spread([risk for risk, _, _ in ends], gap, low, high)
    for (risk, coverage, ratio), height in zip(ends, heights, strict=True):
        colour = _ratio_style(ratio, ratios)["color"]
        panel.annotate(
            f"{ratio:g}", (coverage, risk), (LABEL_PLACE, height), va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 2},
        )  # fmt: skip


def _ratio_style(ratio: float, ratios: list[float]) -> dict:
    """Dark to light as the ratio rises, each with its own marker and dash."""
    index = ratios.index(ratio)
    shade = matplotlib.colormaps["viridis"](0.85 * index / max(1, len(ratios) - 1))
    return parts.line_style(index) | {"color": shade}


FIGURE = parts.ResultFigure(
    "risk_coverage.png", draw_risk_coverage, "Risk and coverage",
    "Error rate of the answers used against coverage, the share of answers that are used when the most confident ones"
    " are used first. One panel per total budget, one curve per ratio, dark to light as the ratio rises; black: no"
    " thinking. A curve is made of steps, because a lower threshold adds all answers of one confidence at once: a large"
    " tie is a long step. Markers stand at both ends; the left one is the smallest coverage that a threshold can give."
    " The horizontal line is the target error. Lower is better; these curves have no intervals.",
    "Step charts, one per budget: error rate of the answers used against coverage, a curve per ratio",
    has_content,
)  # fmt: skip

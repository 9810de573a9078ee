"""Risk-coverage curves."""
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context as style_context

from report.figures import parts


@style_context(parts.STYLE)
def draw_risk_coverage(summary: dict) -> Figure:
    """A panel per total budget, in each a line per ratio, the conventional arm and the target error."""
    budgets = parts.cells_by_budget(summary) or {0: []}
    ratios = sorted({cell["answer_thinking_ratio"] for cells in budgets.values() for cell in cells})
    figure, panels = parts.panel_grid(len(budgets), per_row=3, height=2.6)
    for panel, (budget, cells) in zip(panels, budgets.items(), strict=True):
        for cell in parts.conventional_cells(summary):
            hollow = {"marker": "o", "markersize": 9, "markerfacecolor": "none", "markeredgewidth": 0.8, "zorder": 1.8}
            _draw_curve(panel, cell, parts.NO_THINKING | hollow)
        for cell in cells:
            _draw_curve(panel, cell, _ratio_style(cell["answer_thinking_ratio"], ratios))
        panel.axhline(summary["target_error"], color="#D55E00", linewidth=0.8, label="target error", zorder=1.2)
        panel.set_title(f"budget {budget}" if cells else "no thinking")
        panel.set(xlim=(0, 1.06), xticks=[0, 0.25, 0.5, 0.75, 1], ylim=(-0.02, None))
        panel.set_xticklabels(["0", "0.25", "0.5", "0.75", "1"])
        parts.draw_grid(panel)
    top = max([0.1, *(panel.get_ylim()[1] for panel in panels)])
    for panel in panels:
        panel.set_ylim(top=min(top, 1.02))
    figure.supylabel("error rate of the answers used (lower is better)")
    handles = {handle.get_label(): handle for panel in panels for handle in panel.get_lines()}
    label = f"coverage: share of answers that are used, those of highest {parts.headline_title(summary)} first"
    note = f"target error {summary['target_error']:g}; {parts.counts_text(summary)}"
    parts.label_figure(figure, list(handles.values()), f"{label}\n{note}")
    return figure


def _draw_curve(panel: Axes, cell: dict, style: dict) -> None:
    """The curve, with a marker at each end."""
    coverage = parts.numbers(cell["risk_coverage"]["coverage"])
    risk = parts.numbers(cell["risk_coverage"]["selective_risk"])
    known = np.flatnonzero(~np.isnan(coverage) & ~np.isnan(risk))
    ends = sorted({int(known[0]), int(known[-1])}) if known.size else []
    panel.plot(coverage, risk, label=parts.ratio_text(cell), markevery=ends, **style)


def _ratio_style(ratio: float, ratios: list[float]) -> dict:
    """Dark to light as the ratio rises, each with its own marker and dash."""
    index = ratios.index(ratio)
    shade = matplotlib.colormaps["viridis"](0.85 * index / max(1, len(ratios) - 1))
    return parts.line_style(index) | {"color": shade}


FIGURE = parts.ResultFigure(
    "risk_coverage.png", draw_risk_coverage, "Risk and coverage",
    "Error rate of the answers used against coverage, the share of answers that are used when the most confident ones"
    " are used first. One panel per total budget, one line per ratio; black: no thinking. Markers stand at the ends of"
    " each line. Its left end is the smallest coverage that a threshold can give, because the answers up to there have"
    " the same confidence. Between thresholds the line only guides the eye. The horizontal line is the target error."
    " Lower is better; these curves have no intervals.",
    "Line charts, one per budget: error rate of the answers used against coverage, a line per ratio",
)  # fmt: skip

"""How many thoughts end by themselves within a cap."""
from matplotlib.figure import Figure
from matplotlib.style import context as style_context

from report.figures import parts


@style_context(parts.STYLE)
def draw_saturation(summary: dict) -> Figure:
    """Share of thoughts that are natural within a cap, a line per stage."""
    figure = Figure(figsize=(parts.TEXT_WIDTH, 3.2))
    panel = figure.subplots()
    for index, stage in enumerate(("answer", "confidence")):
        points = summary["saturation"][stage]
        if points:
            x, y = [point["cap"] for point in points], parts.numbers([point["share_natural"] for point in points])
            style = parts.line_style(index) | {"markevery": max(1, len(points) // 12)}
            panel.plot(x, y, label=f"{stage} stage", **style)
    label = f"cap (thinking tokens of the stage)\n{parts.counts_text(summary)}"
    parts.label_figure(figure, panel.get_legend_handles_labels()[0], label)
    panel.set_ylabel("share of natural thoughts")
    panel.set(ylim=(-0.03, 1.03), xlim=(0, None))
    parts.draw_grid(panel)
    return figure


def has_content(summary: dict) -> bool:
    """Whether a stage has a line: two caps."""
    return any(len(points) > 1 for points in summary["saturation"].values())


FIGURE = parts.ResultFigure(
    "saturation.png", draw_saturation, "How much thinking the model wants",
    "Share of thoughts that are natural within a cap, which means that the model closed them by itself; a line per"
    " stage. Where a line is high and flat, a larger cap changes little. Where it is low, the cap stops most thoughts.",
    "Line chart of the share of natural thoughts against the cap, a line per stage", has_content,
)  # fmt: skip

"""A cascade of runs: what each deployment costs and how often it errs, and who answers; from `cascade.json` alone."""
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context as style_context

from report.figures import parts

READING = "wrong_of_automated"  # the risk that is drawn
LOG_SCALE_FROM = 30  # times that the dearest deployment costs the cheapest


@style_context(parts.STYLE)
def draw_cascade(cascade: dict) -> Figure:
    """On the left cost against error on the half that judges, on the right the share that each tier answers."""
    held_out = cascade["readings"][READING]["held_out"]
    deployments = held_out["deployments"]
    figure = Figure(figsize=(parts.TEXT_WIDTH, max(3.6, 1.3 + 0.19 * len(deployments))))
    costs, shares = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _draw_costs(costs, deployments, held_out["chosen"], cascade["target_error"])
    _draw_shares(shares, deployments, [run["name"] for run in cascade["runs"]], held_out["chosen"])
    note = f"thresholds from {held_out['n_thresholds']:,} questions, judged on {held_out['n_judged']:,} others"
    parts.label_figure(figure, [], f"bars: 95% intervals; {note}")
    return figure


def _draw_costs(panel: Axes, deployments: list[dict], chosen: int | None, target_error: float) -> None:
    shown = [(place, one) for place, one in enumerate(deployments) if one[READING] is not None]
    looks = (
        ("cells", {"color": parts.COLOURS[0], "marker": "o"}, lambda place, one: not one["is_baseline"]),
        ("chosen", {"color": parts.COLOURS[1], "marker": "D", "markersize": 7}, lambda place, one: place == chosen),
        ("baselines", {"color": "black", "marker": "s"}, lambda place, one: one["is_baseline"]),
    )
    for label, style, belongs in looks:
        of_look = [one for place, one in shown if belongs(place, one)]
        if of_look:
            cost = [one["cost"] for one in of_look]
            ends = [(one[f"{READING}_interval"]["low"], one[f"{READING}_interval"]["high"]) for one in of_look]
            panel.vlines(cost, *zip(*ends, strict=True), color=style["color"], linewidth=0.9, alpha=0.7)
            panel.plot(cost, [one[READING] for one in of_look], linestyle="none", label=label, **style)
    for number, one in enumerate(one for _, one in shown if one["is_baseline"]):
        at, above = (one["cost"], one[READING]), number % 2 == 0  # neighbours are often at one height
        panel.annotate(one["name"], at, (5, 6 if above else -12), textcoords="offset points")
    expert = next(one["cost"] for one in deployments if one["name"] == "always expert")
    panel.axvline(expert, color=parts.GREY, label="expert alone")
    panel.axhline(target_error, color=parts.COLOURS[1], linewidth=0.8, label="target error")
    priced = [one["cost"] for one in deployments if one["cost"] > 0]
    if priced and max(priced) > LOG_SCALE_FROM * min(priced):
        panel.set_xscale("log")
    panel.set(xlabel="cost per question (lower is better)", ylabel="automated answers that are wrong")
    panel.margins(x=0.15, y=0.1)
    panel.legend(frameon=False, loc="best")
    parts.draw_grid(panel)


def _draw_shares(panel: Axes, deployments: list[dict], names: list[str], chosen: int | None) -> None:
    places, left = range(len(deployments)), [0.0] * len(deployments)
    for index, name in enumerate([*names, "expert"]):
        is_expert = index == len(names)
        values = [one["answered_by_expert"] if is_expert else one["answered_by_runs"][index] for one in deployments]
        colour = parts.GREY if is_expert else parts.COLOURS[(0, 2, 3, 4, 5)[index % 5]]
        panel.barh(places, values, left=left, color=colour, label=name, height=0.75)
        left = [sum(pair) for pair in zip(left, values, strict=True)]
    panel.set_yticks(places, [_label(one) + (" *" if place == chosen else "") for place, one in enumerate(deployments)])
    panel.invert_yaxis()
    panel.set(xlim=(0, 1), xlabel="share of the questions answered by")
    panel.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(4, len(names) + 1))


def _label(one: dict) -> str:
    if one["is_baseline"] or one["total_budget"] is None:
        return one["name"]
    ratio = one["answer_thinking_ratio"]
    return f"{one['total_budget']:,}" + (" no thinking" if ratio is None else f" / {ratio:g}")


FIGURE = parts.ResultFigure(
    "cascade.png", draw_cascade, "What a cascade costs",
    "Left: mean cost per question against the share of automated answers that are wrong, with exact 95% intervals, on"
    " the half of the questions that set no threshold; one point per cell of the cloud run at its cheapest certified"
    " thresholds. A cell without certified thresholds sends everything to the expert and has no point. Right: who"
    " answers; the star marks the deployment that the other half chose. Labels: total budget / ratio.",
    "Scatter chart of cost against error of the cascade's deployments, and bars of the share that each tier answers",
)  # fmt: skip

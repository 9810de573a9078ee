"""Runs side by side: accuracy and AURC of each in every cell, and their differences; from the comparison alone."""
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context as style_context

from report.figures import parts

_FIGURES = (("accuracy", "accuracy (higher is better)"), ("aurc", "AURC (lower is better)"))


@style_context(parts.STYLE)
def draw_comparison(result: dict) -> Figure:
    """Above the values of the runs by cell, below the differences to the first run with simultaneous intervals."""
    cells = _cells(result)
    rows = len(cells) * (1 + 0.25 * len(result["pairs"]))
    figure = Figure(figsize=(parts.TEXT_WIDTH, 1.6 + 2 * (0.5 + 0.17 * rows)))
    values, differences = figure.subplots(2, len(_FIGURES), sharey=True)
    for panel, (name, title) in zip(values, _FIGURES, strict=True):
        _draw_values(panel, result, cells, name)
        panel.set_xlabel(title)
    for panel, (name, title) in zip(differences, _FIGURES, strict=True):
        _draw_differences(panel, result, cells, name)
        panel.set_xlabel(f"difference to {result['runs'][0]['name']} in {title.partition(' ')[0]}")
    values[0].set_yticks(range(len(cells)), list(map(_cell_text, cells)))
    values[0].set_ylim(len(cells) - 0.4, -0.6)
    note = f"bars: simultaneous 95% intervals; n = {result['n_questions']:,} questions"
    parts.label_figure(figure, values[0].get_legend_handles_labels()[0], note)
    return figure


def _cells(result: dict) -> list[tuple]:
    found = {key for pair in result["pairs"] for key in _by_key(pair)}
    return sorted(found, key=lambda key: (key[0], -1 if key[1] is None else key[1]))


def _by_key(pair: dict) -> dict[tuple, dict]:
    return {(cell["total_budget"], cell["answer_thinking_ratio"]): cell for cell in pair["cells"]}


def _cell_text(key: tuple) -> str:
    return f"{key[0]:,}" + (" no thinking" if key[1] is None else f" / {key[1]:g}")


def _style(result: dict, run: int) -> dict:
    return parts.line_style(run) | {"linestyle": "none", "label": result["runs"][run]["name"]}


def _offset(result: dict, run: int) -> float:
    """Runs stand side by side in a cell, within a third of it."""
    n_runs = len(result["runs"])
    return (run - (n_runs - 1) / 2) * 0.66 / n_runs


def _draw_values(panel: Axes, result: dict, cells: list[tuple], name: str) -> None:
    of_first = {key: cell[name]["value_against"] for pair in result["pairs"] for key, cell in _by_key(pair).items()}
    by_run = {0: of_first}
    for pair in result["pairs"]:
        by_run[pair["run"]] = {key: cell[name]["value"] for key, cell in _by_key(pair).items()}
    for run, values in by_run.items():
        heights = [cells.index(key) + _offset(result, run) for key in values]
        panel.plot(parts.numbers(list(values.values())), heights, **_style(result, run))
    parts.draw_grid(panel)


def _draw_differences(panel: Axes, result: dict, cells: list[tuple], name: str) -> None:
    panel.axvline(0, color=parts.GREY)
    for pair in result["pairs"]:
        look = _style(result, pair["run"])
        heights = [cells.index(key) + _offset(result, pair["run"]) for key in _by_key(pair)]
        rows = [cell[name] for cell in pair["cells"]]
        panel.plot(parts.numbers([row["difference"] for row in rows]), heights, **look)
        for height, row in zip(heights, rows, strict=True):
            if interval := row["interval"]:
                panel.hlines(height, interval["low"], interval["high"], color=look["color"], linewidth=0.9)
    parts.draw_grid(panel)


FIGURE = parts.ResultFigure(
    "comparison.png", draw_comparison, "Runs side by side",
    "Above: accuracy and AURC of every run in the cells that it shares with the first run, on the common questions."
    " Below: the differences to the first run, with paired 95% intervals that hold for all cells and runs at once; a"
    " difference whose interval meets the grey line may be chance. Cells: total budget / ratio.",
    "Dot charts of accuracy and AURC by cell and run, and of their differences to the first run with intervals",
)  # fmt: skip

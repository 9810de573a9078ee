"""The figures of a run, drawn from its summary.json alone into `figures/` of the run folder.

That of a cascade is drawn from cascade.json, where there is one, and that of a comparison from its own result.
"""
import os
import sys
from contextlib import suppress
from pathlib import Path

# Figures go to files and need no backend. The environment may name one that is not installed, as notebooks do, and
# matplotlib then cannot be imported.
if "matplotlib" not in sys.modules and (backend := os.environ.pop("MPLBACKEND", "")):
    import matplotlib

    os.environ["MPLBACKEND"] = backend
    with suppress(ValueError):
        matplotlib.rcParams["backend"] = backend  # for who draws on a screen later

from matplotlib.figure import Figure
from matplotlib.style import context as style_context

from basics.errors import UserError
from basics.files import make_folder, reason, written_anew
from report.cascade_results import cascade_errors_told, read_cascade
from report.figures import (
    against_ratio,
    cascade,
    comparison,
    cost_frontier,
    position_bias,
    reliability,
    risk_coverage,
    saturation,
)
from report.figures.parts import STYLE, ResultFigure
from report.summary_errors import summary_errors_told
from runs.results_folder import read_summary

DPI = 200
FIGURES = (
    against_ratio.FIGURE,
    reliability.FIGURE,
    risk_coverage.FIGURE,
    cost_frontier.FIGURE,
    saturation.FIGURE,
    position_bias.FIGURE,
)


def figures_of(summary: dict) -> list[ResultFigure]:
    """Those of FIGURES that have something to show in this run."""
    return [figure for figure in FIGURES if figure.has_content(summary)]


def draw_figures(folder: Path) -> list[Path]:
    """Draws the figures of a run, and that of a cascade, into `figures/` of its folder; returns the files.

    The same summary gives the same bytes. The file of a figure that has nothing to show any more is removed. Raises
    UserError if the summary is missing or cannot be drawn (no file is then written), or if the files cannot be written.
    """
    path = folder / "summary.json"
    summary = read_summary(path)
    with summary_errors_told(path):
        drawn = {folder / "figures" / figure.file_name: figure.draw(summary) for figure in figures_of(summary)}
    drawn |= _cascade_figure(folder)
    return _save_all(folder, drawn, {folder / "figures" / figure.file_name for figure in FIGURES} - drawn.keys())


def draw_cascade_figure(folder: Path) -> list[Path]:
    """Draws the figure of `cascade.json` alone, if there is one, into `figures/`; returns its file in a list."""
    return _save_all(folder, _cascade_figure(folder), set())


def draw_comparison_figure(folder: Path, result: dict) -> list[Path]:
    """Draws the figure of a comparison of runs into `figures/` of its folder; returns its file in a list."""
    return _save_all(folder, {folder / "figures" / comparison.FIGURE.file_name: comparison.FIGURE.draw(result)}, set())


def _cascade_figure(folder: Path) -> dict[Path, Figure]:
    content = read_cascade(folder)
    if content is None:
        return {}
    with cascade_errors_told(folder):
        return {folder / "figures" / cascade.FIGURE.file_name: cascade.FIGURE.draw(content)}


def _save_all(folder: Path, drawn: dict[Path, Figure], stale: set[Path]) -> list[Path]:
    """Writes the figures and removes the stale files; returns the files written."""
    try:
        make_folder(folder / "figures")
        for file, figure in drawn.items():
            _save(figure, file)
        for file in stale:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{folder / 'figures'}: cannot be written to ({reason(error)})") from error
    return list(drawn)


def _save(figure: Figure, path: Path) -> None:
    """Writes the picture whole or not at all."""
    with style_context(STYLE), written_anew(path) as file:
        figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})

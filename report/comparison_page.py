"""The page of a comparison of runs: `comparison.html` beside `comparison.json`."""
from pathlib import Path

from basics.errors import UserError
from basics.files import reason
from report.comparison_results import COMPARISON_PAGE
from report.figures.comparison import FIGURE
from report.page import read_figures
from report.small_page import write_small_page
from scoring.record_schema import CONFIDENCE_TITLES

_FIGURES = {  # name in the result -> title, digits, which is better
    "accuracy": ("Accuracy", 3, "higher is better"),
    "aurc": ("AURC", 3, "lower is better"),
    "brier": ("Brier score", 3, "lower is better"),
    "thinking_tokens": ("Thinking tokens", 1, "mean of a record, both stages"),
}


def write_comparison_page(folder: Path, result: dict) -> Path:
    """Writes the page of a result into its folder, with the figure that is there; returns its path.

    Raises UserError if it cannot be written.
    """
    figures, _ = read_figures(folder / "figures", [FIGURE])
    path = folder / COMPARISON_PAGE
    title = CONFIDENCE_TITLES[result["confidence"]]
    try:
        write_small_page(
            path, "comparison.html", result=result, figures=figures, compared=_FIGURES, confidence_title=title
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({reason(error)})") from error
    return path

"""The figures that are compared: per run and cell, on the common questions and on resamples of them."""
from dataclasses import dataclass

import numpy as np

from compare.compared_run import place_among
from scoring import metrics
from scoring.record_columns import CellColumns
from scoring.record_schema import STAGES

FIGURE_TITLES = {  # name in comparison.json -> as a table's head has it
    "accuracy": "accuracy",
    "aurc": "AURC",
    "brier": "Brier score",
    "thinking_tokens": "thinking tokens",
}
LARGEST_DIFFERENCE = {"accuracy": 1.0, "aurc": 1.0, "brier": 1.0}  # of two values; tokens have none
_NO_TARGET = 0.0  # no figure here asks for a target error


@dataclass(frozen=True)
class CellFigures:
    """A cell of a run on the common questions. values: by name, None where there is none.

    resampled: by name, (resamples,) floats, NaN where there is none. n_missing: by name, records without a value.
    """

    values: dict[str, float | None]
    resampled: dict[str, np.ndarray]
    n_records: int
    n_errors: int
    n_missing: dict[str, int]


def cell_figures(cell: CellColumns, questions: np.ndarray, weights: np.ndarray, confidence: str) -> CellFigures:
    """Every figure of one cell. questions: (common,) indices into the run's questions; weights: (resamples, common).

    A question counts with all its records, that is with their mean, since every question has equally many.
    """
    question = place_among(questions, cell)
    kept, everywhere = question >= 0, np.concatenate([np.ones((1, len(questions))), weights])
    scored, answered = kept & ~cell.is_error, kept & cell.is_answered
    given, tokens = cell.confidence(confidence), _thinking_tokens(cell)
    nothing = np.full(scored.sum(), np.nan)
    plain = metrics.resampled_metrics(nothing, cell.is_correct[scored], question[scored], everywhere, _NO_TARGET)
    of_answers = given[answered], cell.is_correct[answered], question[answered]
    ranked = metrics.resampled_metrics(*of_answers, everywhere, _NO_TARGET)
    known = kept & ~np.isnan(tokens)
    found = {
        "accuracy": plain["accuracy"],
        "aurc": ranked["aurc"],
        "brier": ranked["brier"],
        "thinking_tokens": _means(tokens[known], question[known], everywhere),
    }
    has_value = {"accuracy": scored, "aurc": kept & ~np.isnan(given), "brier": kept & ~np.isnan(given)}
    has_value["thinking_tokens"] = known
    return CellFigures(
        values={name: None if np.isnan(rows[0]) else float(rows[0]) for name, rows in found.items()},
        resampled={name: rows[1:] for name, rows in found.items()},
        n_records=int(kept.sum()),
        n_errors=int((kept & cell.is_error).sum()),
        n_missing={name: int(kept.sum() - mask.sum()) for name, mask in has_value.items()},
    )


def _thinking_tokens(cell: CellColumns) -> np.ndarray:
    """(records,) tokens of both stages, NaN where a stage did not run."""
    of_stages = np.array([cell.counts[f"{stage}_thinking_tokens"] for stage in STAGES], dtype=float)
    return np.where((of_stages < 0).any(axis=0), np.nan, of_stages.sum(axis=0))


def _means(values: np.ndarray, question: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(resamples,) means over records, each weighted as its question; NaN without a record."""
    sums = np.bincount(question, weights=values, minlength=weights.shape[1])
    counts = np.bincount(question, minlength=weights.shape[1])
    with np.errstate(invalid="ignore"):
        return (weights @ sums) / (weights @ counts)

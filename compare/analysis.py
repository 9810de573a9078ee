"""The comparison of finished runs as one JSON object: every other run against the first, cell by cell."""
from itertools import chain

import numpy as np

from basics.errors import UserError
from compare.compared_run import ComparedRun, Key
from compare.figures_of_cells import FIGURE_TITLES, LARGEST_DIFFERENCE, CellFigures, cell_figures
from compare.same_answers import same_answers
from compare.words import CLAIM, best_cells_words, pair_answer
from runs.finished_runs import CommonQuestions, common_questions
from runs.what_differs import difference_words, what_differs
from scoring import metrics
from scoring.cell_intervals import FEWEST_QUESTIONS

_ROUNDING = 1e-12  # differences below that are rounding


def analyse(runs: list[ComparedRun], confidence: str, seed: int) -> dict:
    """The content of `comparison.json`. runs: two or more, the first is the reference; confidence: which of the four.

    Raises UserError if the runs have no question in common, or one has no cell in common with the first.
    """
    common = common_questions("--compare", [run.folder.name for run in runs], [run.contents for run in runs])
    _check_common_cells(runs)
    weights = metrics.question_resamples(len(common), np.random.default_rng(seed))
    figures = [
        {key: cell_figures(cell, questions, weights, confidence) for key, cell in run.cells.items()}
        for run, questions in zip(runs, common.indices, strict=True)
    ]
    differing = what_differs([run.config for run in runs])
    result = {
        "confidence": confidence,
        "seed": seed,
        "n_questions": len(common),
        "runs": [_run_entry(number, run, figures[number], common) for number, run in enumerate(runs)],
        "what_differs": differing,
        "what_differs_words": difference_words(differing),
        "pairs": _pairs(figures, len(common)),
    }
    for pair in result["pairs"]:
        numbers = [pair[place] for place in ("against", "run")]
        pair["what_differs"] = [one["name"] for one in what_differs([runs[number].config for number in numbers])]
        for cell, agreement in zip(pair["cells"], _agreements(pair, numbers, runs, common), strict=True):
            cell |= agreement
        pair["answer"] = pair_answer(pair, result)
    return result | {"best_cells_words": best_cells_words(result), "claim": CLAIM}


def _check_common_cells(runs: list[ComparedRun]) -> None:
    for run in runs[1:]:
        if not run.cells.keys() & runs[0].cells.keys():
            listed = ["; ".join(_cell_words(key) for key in one.cells) for one in (runs[0], run)]
            raise UserError(
                f"--compare: {runs[0].folder.name} ({listed[0]}) and {run.folder.name} ({listed[1]}) have no cell in"
                " common; allowed are runs that share a total budget and ratio"
            )


def _cell_words(key: Key) -> str:
    return f"budget {key[0]}" + ("" if key[1] is None else f" ratio {key[1]:g}")


def _run_entry(number: int, run: ComparedRun, figures: dict[Key, CellFigures], common: CommonQuestions) -> dict:
    settings, questions = run.config["settings"], run.config["questions"]
    ranked = {key: one.values["aurc"] for key, one in figures.items() if one.values["aurc"] is not None}
    best = min(ranked, key=ranked.get) if ranked else None
    return {
        "name": f"run {number + 1}",
        "folder": run.folder.name,
        "model_name": str(settings.get("model_name")),
        "dataset": str(settings.get("DATASET")),
        "n_questions": questions.get("used"),
        "n_left_out": common.left_out[number],
        "n_further_records": run.n_further_records,
        "n_records": sum(one.n_records for one in figures.values()),
        "n_errors": sum(one.n_errors for one in figures.values()),
        "n_without_confidence": sum(one.n_missing["aurc"] for one in figures.values()),
        "best_cell": None if best is None else _cell_names(best) | {"aurc": ranked[best]},
    }


def _cell_names(key: Key) -> dict:
    return {"total_budget": key[0], "answer_thinking_ratio": key[1]}


def _pairs(figures: list[dict[Key, CellFigures]], n_questions: int) -> list[dict]:
    """Per other run its common cells with the first, their values and differences, other minus first."""
    first, *others = figures
    shared = [[key for key in first if key in other] for other in others]
    both = [[(first[key], other[key]) for key in keys] for keys, other in zip(shared, others, strict=True)]
    family = list(chain.from_iterable(both))
    rows = {name: iter(_differences(family, name, n_questions)) for name in FIGURE_TITLES}
    return [
        {
            "run": number,
            "against": 0,
            "n_cells_left_out": len(first.keys() ^ others[number - 1].keys()),
            "cells": [
                _cell_names(key)
                | _counts(cells)
                | {name: _values(cells, name) | next(rows[name]) for name in FIGURE_TITLES}
                for key, cells in zip(keys, of_pair, strict=True)
            ],
        }
        for number, (keys, of_pair) in enumerate(zip(shared, both, strict=True), 1)
    ]


def _agreements(pair: dict, numbers: list[int], runs: list[ComparedRun], common: CommonQuestions) -> list[dict]:
    """Per cell of a pair, how many answers are the same. numbers: of its two runs."""
    both, questions = [runs[number] for number in numbers], [common.indices[number] for number in numbers]
    alike = np.array([both[0].orders[one] == both[1].orders[one] for one in common.ids])
    keys = [(cell["total_budget"], cell["answer_thinking_ratio"]) for cell in pair["cells"]]
    return [same_answers([run.cells[key] for run in both], questions, alike) for key in keys]


def _counts(cells: tuple[CellFigures, CellFigures]) -> dict:
    """Records and errors of the other run, and of the first."""
    against, one = cells
    return {
        "n_records": one.n_records,
        "n_records_against": against.n_records,
        "n_errors": one.n_errors,
        "n_errors_against": against.n_errors,
    }


def _values(cells: tuple[CellFigures, CellFigures], name: str) -> dict:
    against, one = cells
    return {
        "value": one.values[name],
        "value_against": against.values[name],
        "n_missing": one.n_missing[name],
        "n_missing_against": against.n_missing[name],
    }


def _differences(family: list[tuple[CellFigures, CellFigures]], name: str, n_questions: int) -> list[dict]:
    """Per (first, other) other minus first, with an interval that holds for the whole family at once."""
    values = np.array([[np.nan if one.values[name] is None else one.values[name] for one in cells] for cells in family])
    differences = values[:, 1] - values[:, 0]
    differences[np.abs(differences) < _ROUNDING] = 0.0
    resampled = np.stack([other.resampled[name] - first.resampled[name] for first, other in family])
    intervals = [None] * len(family)
    if n_questions >= FEWEST_QUESTIONS:
        intervals = metrics.simultaneous_intervals(differences, resampled, n_questions)
    most = LARGEST_DIFFERENCE.get(name, np.inf)
    return [
        {
            "difference": None if np.isnan(difference) else float(difference),
            "interval": interval and {"low": max(-most, interval["low"]), "high": min(most, interval["high"])},
        }
        for difference, interval in zip(differences, intervals, strict=True)
    ]

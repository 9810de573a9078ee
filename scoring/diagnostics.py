"""What stands behind a cell's metrics: how thoughts ended, which letters were chosen, how far permutations agree."""
from string import ascii_uppercase

import numpy as np

from scoring.record_columns import CellColumns
from scoring.record_schema import MASS_NAMES, STAGES, STOPS, TOKEN_NAMES

_NATURAL, _CAPPED = STOPS.index("natural"), STOPS.index("capped")
_CURVE_POINTS = 100  # caps at which the saturation curve is given, at most


def mean(values: np.ndarray) -> float | None:
    """Mean of the values that are not NaN, of truth values the share of True; None without any."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def ties(confidence: np.ndarray) -> tuple[int, float | None]:
    """Distinct values, and the share of records that have the most frequent one, None without any; NaN is left out."""
    _, counts = np.unique(confidence[~np.isnan(confidence)], return_counts=True)
    return len(counts), float(counts.max() / counts.sum()) if counts.size else None


def budget_audit(cell: CellColumns, stage: str) -> dict:
    """How the stage kept its cap: records that ran it, largest overshoot, share capped, tokens used."""
    used = cell.counts[f"{stage}_thinking_tokens"]
    used = used[used >= 0]
    stopped, cap = cell.stopped[stage], cell.cap(stage)
    thought = np.isin(stopped, (_NATURAL, _CAPPED)).sum()
    return {
        "cap": cap,
        "n_records": len(used),
        "largest_overshoot": int(max(0, used.max(initial=0) - cap)),
        "share_capped": float((stopped == _CAPPED).sum() / thought) if thought else None,
        "mean_thinking_tokens": mean(used.astype(float)),
        "max_thinking_tokens": int(used.max()) if used.size else None,
    }


def token_sums(cell: CellColumns, stage: str) -> dict[str, int]:
    """Tokens of the stage over all records, by kind, as if the cell had run alone."""
    return {name: int(cell.counts[f"{stage}_{name}"].clip(0).sum()) for name in TOKEN_NAMES}


def readout_masses(cell: CellColumns) -> dict[str, float | None]:
    """Mean mass of each read-out, in [0, 1]."""
    return {name: mean(cell.numbers[name]) for name in MASS_NAMES}


def accuracy_by_stop(cell: CellColumns) -> dict:
    """Per stage, the records without error whose thought ended naturally and those whose was capped: n and accuracy."""
    rows = {}
    for stage in STAGES:
        rows[stage] = {}
        for name, code in (("natural", _NATURAL), ("capped", _CAPPED)):
            chosen = (cell.stopped[stage] == code) & ~cell.is_error
            rows[stage][name] = {"n": int(chosen.sum()), "accuracy": mean(cell.is_correct[chosen])}
    return rows


def position_bias(cell: CellColumns) -> list[dict]:
    """Per letter, of records without error: the share that chose it, the share in which it is the right one, and their
    accuracy where it is.
    """
    scored = ~cell.is_error
    n, chosen, correct = scored.sum(), cell.chosen_option[scored], cell.correct_option[scored]
    letters = max(chosen.max(initial=-1), correct.max(initial=-1)) + 1
    counts = [np.bincount(options, minlength=letters) for options in (chosen, correct, correct[chosen == correct])]
    return [
        {
            "letter": letter,
            "share_chosen": float(n_chosen / n),
            "share_correct": float(n_correct / n),
            "accuracy_where_correct": float(n_right / n_correct) if n_correct else None,
        }
        for letter, n_chosen, n_correct, n_right in zip(ascii_uppercase, *counts, strict=False)
    ]


def answer_consistency(cell: CellColumns) -> float | None:
    """Share of a question's pairs of permutations that choose the same option, mean over questions, or None.

    Of several thoughts the first ones are paired, then the second ones, and so on.
    """
    return _agreement(cell, cell.thought)


def thought_consistency(cell: CellColumns) -> float | None:
    """Share of the pairs of thoughts on one order of a question that choose the same option, mean over orders, or None.

    How far it is below 1 is the noise of sampling, how far the answer consistency is below it that of the order.
    """
    return _agreement(cell, cell.permutation)


def _agreement(cell, number):
    """Share of pairs that choose the same option, among a question's records with the same number; mean over groups."""
    scored = ~cell.is_error
    group, n = _groups(cell.question[scored], number[scored])
    option = cell.chosen_original[scored].astype(np.int64)
    of_option, n_same = np.unique(group * 128 + option, return_counts=True)
    agreeing = np.bincount(of_option // 128, n_same * (n_same - 1), len(n))
    paired = n > 1
    return float(np.mean(agreeing[paired] / (n * (n - 1))[paired])) if paired.any() else None


def permutation_spread(cell: CellColumns, confidence: np.ndarray) -> float | None:
    """Standard deviation of a question's confidences over permutations, mean over questions; None if none has two.

    Of several thoughts the first ones are taken together, then the second ones, and so on.
    """
    has = ~np.isnan(confidence)
    group, n = _groups(cell.question[has], cell.thought[has])
    center = np.bincount(group, confidence[has]) / n
    deviation = np.sqrt(np.bincount(group, (confidence[has] - center[group]) ** 2) / n)
    return float(deviation[n > 1].mean()) if (n > 1).any() else None


def _groups(question, number):
    """Which (question, number) each record is of, counted from 0, and how many records each has."""
    _, group, n = np.unique(question * (number.max(initial=0) + 1) + number, return_inverse=True, return_counts=True)
    return group, n


def saturation(cells: list[CellColumns], stage: str) -> list[dict]:
    """Share of the stage's thoughts that closed naturally within a cap, at up to 100 caps from 1 to the largest.

    From the cells with the largest cap, whose thoughts show what every smaller cap would have seen. A thought of k
    tokens closed naturally within cap k + 1: the closing tag is a sample too. Empty where the stage never thinks.
    """
    largest = max((cell.cap(stage) for cell in cells), default=0)
    if not largest:
        return []
    closed_at = []
    for cell in cells:
        if cell.cap(stage) == largest:
            used, stopped = cell.counts[f"{stage}_thinking_tokens"], cell.stopped[stage]
            thought = np.isin(stopped, (_NATURAL, _CAPPED))
            closed_at.append(np.where(stopped[thought] == _NATURAL, used[thought] + 1, largest + 1))
    closed_at = np.concatenate(closed_at)
    caps = np.unique(np.linspace(1, largest, min(largest, _CURVE_POINTS)).round().astype(int))
    return [
        {"cap": int(cap), "share_natural": float(np.mean(closed_at <= cap)) if closed_at.size else None} for cap in caps
    ]

"""Which split is better: paired differences between cells with simultaneous intervals, and what they allow to say."""
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations

import numpy as np

from scoring import answers, metrics
from scoring.best_set import best_set, questions_needed
from scoring.cell_intervals import NO_INTERVAL
from scoring.criteria import AURC, Criterion, criteria
from scoring.diagnostics import ties
from scoring.record_columns import CellColumns
from scoring.utility import pseudo_variances

DESCRIBING = ("brier", "auroc")  # metrics that name no best ratio: their differences stand beside those of the criteria
METRIC_NAMES = (*(one.name for one in criteria([])), *DESCRIBING)  # and one utility per declared cost
MOST_MISSING = 0.01  # share of records without a confidence above which no verdict is given
FEWEST_QUESTIONS = 20  # below that no verdict: the intervals were simulated down to 20 questions only
REFERENCE_RATIO = 0.5  # the cell compared with the conventional arm has the ratio nearest to it, at the largest budget
FEWEST_DISTINCT = 10  # with fewer distinct confidences in a cell the answer warns: the curve has fewer points
LARGEST_TIE_SHARE = 0.5  # above it the answer warns: most answers cannot be told apart


@dataclass(frozen=True)
class Arm:
    """A cell as it is compared. values: metric -> observed value or None; resampled: metric -> (resamples,) floats.

    The resamples are the same for every arm, NaN where a metric has no value. confidence: which of the four it is.
    shares_given: of answers, by the name of the utility.
    """

    columns: CellColumns
    values: dict[str, float | None]
    resampled: dict[str, np.ndarray]
    confidence: str = "confidence"
    shares_given: dict[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Answer thinking ratio; None for the conventional arm."""
        return self.columns.answer_thinking_ratio

    @property
    def confidences(self) -> np.ndarray:
        """(records,) floats, NaN where there is none."""
        return self.columns.confidence(self.confidence)

    @property
    def n_scored(self) -> int:
        """Records that have the confidence and no error."""
        return int((~np.isnan(self.confidences)).sum())


@dataclass(frozen=True)
class Comparison:
    """What all comparisons of a run share.

    n_units: (question, permutation) that each cell should have records of; n_questions: those resampled.
    smallest_difference: of AURC, 0 for no statement about equivalence.
    """

    n_units: int
    n_questions: int
    wrong_answer_costs: Sequence[float] = ()
    smallest_difference: float = 0.0
    criteria: list[Criterion] = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "criteria", criteria(list(self.wrong_answer_costs)))


def compare(
    arms: list[Arm],
    n_units: int,
    n_questions: int,
    wrong_answer_costs: Sequence[float] = (),
    smallest_difference: float = 0.0,
    other_confidences: Sequence[list[Arm]] = (),
) -> dict:
    """Comparisons within each total budget, and of one cell with the conventional arm.

    arms: every cell, by one confidence; other_confidences: the same cells, in the same order, by others. The rest: as
    in Comparison.
    """
    shared = Comparison(n_units, n_questions, wrong_answer_costs, smallest_difference)
    budgets = sorted({arm.columns.total_budget for arm in arms} - {0})
    by_budget = []
    for budget in budgets:
        chosen = [number for number, arm in enumerate(arms) if arm.columns.total_budget == budget]
        others = [[of_other[number] for number in chosen] for of_other in other_confidences]
        by_budget.append(([arms[number] for number in chosen], others))
    conventional = [arm for arm in arms if arm.columns.total_budget == 0]
    has_both = bool(by_budget and conventional)
    return {
        "claims": answers.claims(len(budgets)),
        "by_budget": [_compare_ratios(of_budget, others, shared) for of_budget, others in by_budget],
        "conventional": _compare_with_conventional(by_budget[-1][0], conventional[0], shared) if has_both else None,
    }


def _compare_ratios(arms, others, shared):
    pairs = list(combinations(range(len(arms)), 2))
    differences = _all_differences(arms, pairs, shared)
    missing, no_verdict = _verdict_obstacle(arms, shared)
    if no_verdict is None and len(arms) == 1:
        no_verdict = "only one ratio was run"
    if no_verdict is None and any(row["interval"] is None for row in differences["aurc"]):
        no_verdict = "an AURC has no interval"
    beaten = set()
    for (first, second), row in zip(pairs, differences["aurc"], strict=True):
        if not answers.contains_zero(row["interval"]):
            beaten.add(arms[first if row["difference"] > 0 else second].ratio)
    best = _best_ratio(arms, AURC, None)
    entry = {
        "total_budget": arms[0].columns.total_budget,
        "ratios": [arm.ratio for arm in arms],
        "n_records": len(arms) * shared.n_units,
        "n_missing": missing,
        "no_verdict": no_verdict,
        "best_ratio": {one.name: _best_ratio(arms, one, best) for one in shared.criteria},
        "unbeaten_ratios": None if no_verdict else [arm.ratio for arm in arms if arm.ratio not in beaten],
        "best_sets": {
            one.name: None if no_verdict else _best_set(arms, one, shared)
            for one in shared.criteria
            if one.name not in NO_INTERVAL
        },
        "differences": {
            name: [
                {"ratio": arms[first].ratio, "against_ratio": arms[second].ratio, **row}
                for (first, second), row in zip(pairs, rows, strict=True)
            ]
            for name, rows in differences.items()
        },
        "warnings": _warnings(arms),
    }
    entry["equivalent_pairs"] = _equivalent_pairs(entry["differences"]["aurc"], shared.smallest_difference)
    entry["by_other_confidences"] = _by_other_confidences(arms, others, best, shared)
    values = {arm.ratio: arm.values for arm in arms}
    return entry | {"answer": answers.budget_answer(entry, values, shared)}


def _compare_with_conventional(arms, conventional, shared):
    """The comparison declared in advance: largest budget, ratio nearest REFERENCE_RATIO, the larger of two as near."""
    # Rounded: 0.55 is further from 0.5 than 0.45 is by the last bit of a float.
    arm = min(arms, key=lambda arm: (round(abs(arm.ratio - REFERENCE_RATIO), 9), -arm.ratio))
    both = [arm, conventional]
    differences = {name: rows[0] for name, rows in _all_differences(both, [(0, 1)], shared).items()}
    missing, no_verdict = _verdict_obstacle(both, shared)
    if no_verdict is None and differences["aurc"]["interval"] is None:
        no_verdict = "an AURC has no interval"
    entry = {
        "total_budget": arm.columns.total_budget,
        "answer_thinking_ratio": arm.ratio,
        "n_records": 2 * shared.n_units,
        "n_missing": missing,
        "no_verdict": no_verdict,
        "differences": differences,
        "warnings": _warnings([conventional]),
    }
    return entry | {"answer": answers.conventional_answer(entry, arm.values, conventional.values)}


def _all_differences(arms, pairs, shared):
    """Metric -> one row per pair: of every criterion, then of the metrics that only describe."""
    rows = {one.name: _differences(arms, pairs, one, shared) for one in shared.criteria}
    describing = {name: _differences(arms, pairs, Criterion(name, name), shared) for name in DESCRIBING}
    return rows | describing


def _differences(arms, pairs, criterion, shared):
    """Per pair (first, second) of arms: first minus second, simultaneous interval, questions to tell them apart."""
    if not pairs:
        return []
    values, resampled = _values(arms, criterion.name)
    first, second = np.array(pairs).T
    measured = values[first] - values[second], resampled[first] - resampled[second], shared.n_questions
    intervals = needed = [None] * len(pairs)
    if criterion.name not in NO_INTERVAL:
        added = _added_variances(arms, criterion, shared)[first, second]
        intervals, needed = metrics.simultaneous_intervals(*measured, added), questions_needed(*measured)
    possible = partial(_possible, largest=criterion.largest_difference)
    return [
        {
            "difference": None if np.isnan(difference) else float(difference),
            "interval": possible(interval),
            "questions_needed": n,
        }
        for difference, interval, n in zip(measured[0], intervals, needed, strict=True)
    ]


def _added_variances(arms, criterion, shared):
    """(arms, arms), for utilities; else zeros."""
    if criterion.wrong_answer_cost is None:
        return np.zeros((len(arms), len(arms)))
    shares = np.array([arm.shares_given[criterion.name] for arm in arms])
    return pseudo_variances(shares, criterion.wrong_answer_cost, shared.n_questions)


def _values(arms, name):
    """(arms,) observed, NaN for None, and (arms, resamples)."""
    values = np.array([np.nan if arm.values[name] is None else arm.values[name] for arm in arms])
    return values, np.stack([arm.resampled[name] for arm in arms])


def _possible(interval, largest):
    """The interval without what no difference of two values can be."""
    return interval and {"low": max(-largest, interval["low"]), "high": min(largest, interval["high"])}


def _verdict_obstacle(arms, shared):
    """Records missing, and the reason why no verdict can be given, or None."""
    n_records = len(arms) * shared.n_units
    missing = n_records - sum(arm.n_scored for arm in arms)
    if missing > MOST_MISSING * n_records:
        return missing, f"{missing:,} of {n_records:,} records are missing or have no confidence, more than 1%"
    if shared.n_questions < FEWEST_QUESTIONS:
        return missing, f"{shared.n_questions:,} questions are too few, {FEWEST_QUESTIONS} are needed"
    return missing, None


def _best_ratio(arms, criterion, preferred):
    """The ratio with the best value; of equal ones the preferred, else the smallest.

    None if no arm has a value, and where a gain is needed if no arm has one: nothing is covered, or withholding every
    answer is worth as much.
    """
    sign = 1 if criterion.lower_is_better else -1
    known = [arm for arm in arms if arm.values[criterion.name] is not None]
    ranked = [(sign * arm.values[criterion.name], arm.ratio != preferred, arm.ratio) for arm in known]
    gains = any(arm.values[criterion.name] > 0 for arm in known)
    return min(ranked)[2] if ranked and (gains or not criterion.needs_gain) else None


def _best_set(arms, criterion, shared):
    """Ratios among which the best one is with 95%, or None."""
    sign = -1 if criterion.lower_is_better else 1
    values, resampled = _values(arms, criterion.name)
    chosen = best_set(sign * values, sign * resampled, shared.n_questions, _added_variances(arms, criterion, shared))
    return None if chosen is None else [arm.ratio for arm, is_in in zip(arms, chosen, strict=True) if is_in]


def _equivalent_pairs(rows, smallest_difference):
    """Pairs of ratios whose AURCs differ by less than the smallest difference that matters; None if there is none."""
    if not smallest_difference:
        return None
    known = [row for row in rows if row["interval"]]
    return [
        [row["ratio"], row["against_ratio"]]
        for row in known
        if -smallest_difference < row["interval"]["low"] and row["interval"]["high"] < smallest_difference
    ]


def _by_other_confidences(arms, others, best, shared):
    """Per other confidence its best ratio by AURC, and that AURC minus the best one by the confidence of `arms`.

    The intervals hold for all ratios of all other confidences at once, so that choosing the best of them is covered.
    """
    place = next((number for number, arm in enumerate(arms) if arm.ratio == best), None)
    if place is None or not others:
        return []
    everywhere = [arms[place], *(arm for of_other in others for arm in of_other)]
    pairs = [(number, 0) for number in range(1, len(everywhere))]
    rows = _differences(everywhere, pairs, AURC, shared)
    chosen = []
    for index, of_other in enumerate(others):
        ratio = _best_ratio(of_other, AURC, best)
        number = next((number for number, arm in enumerate(of_other) if arm.ratio == ratio), None)
        if number is not None:
            row, arm = rows[index * len(arms) + number], of_other[number]
            chosen.append({"confidence": arm.confidence, "best_ratio": ratio, "aurc": arm.values["aurc"], **row})
    return chosen


def _warnings(arms):
    """In words, where the confidence takes so few values that it hardly ranks."""
    few = []
    for arm in arms:
        n_distinct, share = ties(arm.confidences)
        if n_distinct and (n_distinct < FEWEST_DISTINCT or share > LARGEST_TIE_SHARE):
            few.append((arm.ratio, n_distinct, share))
    return [answers.few_values(arms[0].confidence, few)] if few else []

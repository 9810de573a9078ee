"""Which split is better: paired differences between cells with simultaneous intervals, and what they allow to say."""
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from scoring import metrics
from scoring.cell_intervals import NO_INTERVAL
from scoring.record_columns import CellColumns

METRIC_NAMES = ("aurc", "accuracy", "coverage_at_target", "brier", "auroc")  # the first decides, the others describe
LOWER_IS_BETTER = ("aurc",)  # of the metrics that name a best ratio
MOST_MISSING = 0.01  # share of records without a confidence above which no verdict is given
FEWEST_QUESTIONS = 20  # below that no verdict: the intervals were simulated down to 20 questions only
REFERENCE_RATIO = 0.5  # the cell compared with the conventional arm has the ratio nearest to it, at the largest budget


@dataclass(frozen=True)
class Arm:
    """A cell as it is compared. values: metric -> observed value or None; resampled: metric -> (resamples,) floats.

    The resamples are the same for every arm, NaN where a metric has no value. n_scored: records that have a confidence.
    """

    columns: CellColumns
    values: dict[str, float | None]
    resampled: dict[str, np.ndarray]

    @property
    def ratio(self) -> float | None:
        """Answer thinking ratio; None for the conventional arm."""
        return self.columns.answer_thinking_ratio

    @property
    def n_scored(self) -> int:
        """Records that have a verbalised confidence and no error."""
        return int((~np.isnan(self.columns.confidence("confidence"))).sum())


def compare(arms: list[Arm], n_units: int, n_questions: int) -> dict:
    """Comparisons within each total budget, and of one cell with the conventional arm.

    arms: every cell; n_units: (question, permutation) that each should have records of; n_questions: those resampled.
    """
    budgets = sorted({arm.columns.total_budget for arm in arms} - {0})
    by_budget = [[arm for arm in arms if arm.columns.total_budget == budget] for budget in budgets]
    conventional = [arm for arm in arms if arm.columns.total_budget == 0]
    return {
        "by_budget": [_compare_ratios(of_budget, n_units, n_questions) for of_budget in by_budget],
        "conventional": (
            _compare_with_conventional(by_budget[-1], conventional[0], n_units, n_questions)
            if by_budget and conventional
            else None
        ),
    }


def _compare_ratios(arms, n_units, n_questions):
    pairs = list(combinations(range(len(arms)), 2))
    differences = {name: _differences(arms, pairs, name, n_questions) for name in METRIC_NAMES}
    missing, no_verdict = _verdict_obstacle(arms, n_units, n_questions)
    if no_verdict is None and len(arms) == 1:
        no_verdict = "only one ratio was run"
    if no_verdict is None and any(row["interval"] is None for row in differences["aurc"]):
        no_verdict = "an AURC has no interval"
    beaten = set()
    for (first, second), row in zip(pairs, differences["aurc"], strict=True):
        if not _contains_zero(row["interval"]):
            beaten.add(arms[first if row["difference"] > 0 else second].ratio)
    best = _best_ratio(arms, "aurc", None)
    entry = {
        "total_budget": arms[0].columns.total_budget,
        "ratios": [arm.ratio for arm in arms],
        "n_records": len(arms) * n_units,
        "n_missing": missing,
        "no_verdict": no_verdict,
        "best_ratio": {
            "aurc": best,
            "accuracy": _best_ratio(arms, "accuracy", best),
            "coverage_at_target": _best_ratio(arms, "coverage_at_target", best),
        },
        "unbeaten_ratios": None if no_verdict else [arm.ratio for arm in arms if arm.ratio not in beaten],
        "differences": {
            name: [
                {"ratio": arms[first].ratio, "against_ratio": arms[second].ratio, **row}
                for (first, second), row in zip(pairs, rows, strict=True)
            ]
            for name, rows in differences.items()
        },
    }
    return entry | {"answer": _budget_answer(entry, {arm.ratio: arm.values for arm in arms})}


def _compare_with_conventional(arms, conventional, n_units, n_questions):
    """The comparison declared in advance: largest budget, ratio nearest REFERENCE_RATIO, the larger of two as near."""
    # Rounded: 0.55 is further from 0.5 than 0.45 is by the last bit of a float.
    arm = min(arms, key=lambda arm: (round(abs(arm.ratio - REFERENCE_RATIO), 9), -arm.ratio))
    both = [arm, conventional]
    differences = {name: _differences(both, [(0, 1)], name, n_questions)[0] for name in METRIC_NAMES}
    missing, no_verdict = _verdict_obstacle(both, n_units, n_questions)
    if no_verdict is None and differences["aurc"]["interval"] is None:
        no_verdict = "an AURC has no interval"
    entry = {
        "total_budget": arm.columns.total_budget,
        "answer_thinking_ratio": arm.ratio,
        "n_records": 2 * n_units,
        "n_missing": missing,
        "no_verdict": no_verdict,
        "differences": differences,
    }
    return entry | {"answer": _conventional_answer(entry, arm.values, conventional.values)}


def _differences(arms, pairs, name, n_questions):
    """Per pair (first, second) of arms: difference of the metric, first minus second, and simultaneous interval."""
    if not pairs:
        return []
    values = np.array([np.nan if arm.values[name] is None else arm.values[name] for arm in arms])
    first, second = np.array(pairs).T
    observed = values[first] - values[second]
    resampled = np.stack([arm.resampled[name] for arm in arms])
    intervals = [None] * len(pairs)
    if name not in NO_INTERVAL:
        intervals = metrics.simultaneous_intervals(observed, resampled[first] - resampled[second], n_questions)
    return [
        {"difference": None if np.isnan(difference) else float(difference), "interval": _possible(interval)}
        for difference, interval in zip(observed, intervals, strict=True)
    ]


def _possible(interval):
    """The interval without what no difference of two values in [0, 1] can be."""
    return interval and {"low": max(-1.0, interval["low"]), "high": min(1.0, interval["high"])}


def _verdict_obstacle(arms, n_units, n_questions):
    """Records missing, and the reason why no verdict can be given, or None."""
    n_records = len(arms) * n_units
    missing = n_records - sum(arm.n_scored for arm in arms)
    if missing > MOST_MISSING * n_records:
        return missing, f"{missing:,} of {n_records:,} records are missing or have no confidence, more than 1%"
    if n_questions < FEWEST_QUESTIONS:
        return missing, f"{n_questions:,} questions are too few, {FEWEST_QUESTIONS} are needed"
    return missing, None


def _contains_zero(interval):
    """Whether the difference may be chance; so it is without an interval."""
    return interval is None or interval["low"] <= 0 <= interval["high"]


def _best_ratio(arms, name, preferred):
    """The ratio with the best value; of equal ones the preferred, else the smallest.

    None if no arm has a value, and for the coverage if every arm covers nothing.
    """
    sign = 1 if name in LOWER_IS_BETTER else -1
    ranked = [
        (sign * arm.values[name], arm.ratio != preferred, arm.ratio) for arm in arms if arm.values[name] is not None
    ]
    covers_nothing = name == "coverage_at_target" and not any(value for value, _, _ in ranked)
    return min(ranked)[2] if ranked and not covers_nothing else None


# --- in words ----------------------------------------------------------------------------------------------------


def _budget_answer(entry, values):
    start = f"Total budget {entry['total_budget']:,}: "
    if entry["no_verdict"]:
        return f"{start}no verdict, {entry['no_verdict']}."
    best, unbeaten = entry["best_ratio"]["aurc"], entry["unbeaten_ratios"]
    worse = [ratio for ratio in entry["ratios"] if ratio not in unbeaten]
    as_good = [ratio for ratio in unbeaten if ratio != best]
    aurc = f"AURC {values[best]['aurc']:.3f}, lower is better"
    if not worse:
        words = [f"{start}no ratio is shown to be better than another. Ratio {best:g} looks best ({aurc})."]
    elif not as_good:
        words = [f"{start}use ratio {best:g} ({aurc}). Every other ratio is worse."]
    else:
        words = [f"{start}use ratio {best:g} ({aurc}). {_ratios(as_good)} may be as good;"]
        words.append(f" {_listed(worse)} {_plural(worse, 'is', 'are')} worse.")
    for name, use, value_words in (
        ("accuracy", "To use every answer, take", "accuracy"),
        ("coverage_at_target", "To use most answers at the target error, take", "coverage"),
    ):
        other = entry["best_ratio"][name]
        if other not in (None, best):
            words.append(
                f" {use} ratio {other:g} ({value_words} {values[other][name]:.3f} against"
                f" {values[best][name]:.3f}{_not_apart(entry, name, other, best)})."
            )
    return "".join(words)


def _ratios(ratios):
    return f"{_plural(ratios, 'Ratio', 'Ratios')} {_listed(ratios)}"


def _not_apart(entry, name, ratio, against):
    """A clause where the interval of the two ratios' difference contains 0 or does not exist."""
    for row in entry["differences"][name]:
        if {row["ratio"], row["against_ratio"]} == {ratio, against} and _contains_zero(row["interval"]):
            return ", a difference that may be chance"
    return ""


def _conventional_answer(entry, values, conventional):
    cell = f"total budget {entry['total_budget']:,}, ratio {entry['answer_thinking_ratio']:g}, chosen in advance"
    start = f"Reasoning ({cell})"
    if entry["no_verdict"]:
        return f"{start} against conventional (no thinking): no verdict, {entry['no_verdict']}."
    difference = entry["differences"]["aurc"]
    low, high = difference["interval"]["low"], difference["interval"]["high"]
    verdict = "no difference is shown"
    if not _contains_zero(difference["interval"]):
        verdict = "reasoning is better" if high < 0 else "reasoning is worse"
    return (
        f"{start} against conventional (no thinking): AURC {values['aurc']:.3f} against {conventional['aurc']:.3f},"
        f" difference {difference['difference']:+.3f} [{low:+.3f}, {high:+.3f}]: {verdict}. Accuracy"
        f" {values['accuracy']:.3f} against {conventional['accuracy']:.3f}."
    )


def _listed(ratios):
    words = [f"{ratio:g}" for ratio in ratios]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _plural(items, one, many):
    return one if len(items) == 1 else many

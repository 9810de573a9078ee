"""One cell's entry in `summary.json`, and the cell as an arm of the comparisons."""
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scoring import diagnostics, metrics
from scoring.cell_intervals import NO_INTERVAL, metric_intervals
from scoring.comparisons import METRIC_NAMES, Arm
from scoring.fields import in_order
from scoring.guaranteed_thresholds import coverage_lower_bound, guaranteed_threshold, target_errors
from scoring.recalibration import recalibrated
from scoring.record_columns import CellColumns, RecordColumns
from scoring.record_schema import CELL_NAMES, CONFIDENCE_NAMES, MASS_OF, STAGES
from scoring.summary_schema import CELL_FIELDS, CONFIDENCE_FIELDS
from scoring.utility import break_even, expected_utility, resampled_utilities, share_given, utility_name
from scoring.variance_components import variance_components


@dataclass(frozen=True)
class Scoring:
    """What the summaries of all cells share; headline: the confidence that decides; weights: of the resamples."""

    run: RecordColumns
    weights: np.ndarray
    target_error: float
    seed: int
    headline: str
    wrong_answer_costs: Sequence[float]


def cell_summary(cell: CellColumns, scoring: Scoring) -> tuple[dict, dict[str, Arm]]:
    """The cell's entry in `summary.json`, its fields as declared, and per confidence the cell as an arm."""
    scored = ~cell.is_error
    # Without any confidence the metrics are those of accuracy alone, over all records without error.
    unranked = np.full(scored.sum(), np.nan), cell.is_correct[scored], cell.question[scored]
    accuracies = metrics.resampled_metrics(*unranked, scoring.weights, scoring.target_error)["accuracy"]
    accuracy = diagnostics.mean(cell.is_correct[scored])
    confidences, arms = {}, {}
    for name in CONFIDENCE_NAMES:
        confidences[name] = _confidence_summary(name, cell, scoring)
        arms[name] = _arm(name, cell, scoring, confidences[name], accuracy, accuracies)
    headline, answered = cell.confidence(scoring.headline), cell.is_answered
    groups = {
        "permutation": (cell.permutation, np.unique(cell.permutation).tolist()),
        "category": (cell.category, scoring.run.categories),
    }
    fields = {
        **{name: getattr(cell, name) for name in CELL_NAMES},
        "n_questions": len(np.unique(cell.question)),
        "n_records": len(cell),
        "n_errors": int(cell.is_error.sum()),
        "accuracy": accuracy,
        "accuracy_interval": metric_intervals(*unranked, scoring.target_error)["accuracy"],
        "accuracy_variance": _variance(cell, cell.is_correct, scored),
        "answer_consistency": diagnostics.answer_consistency(cell),
        "thought_consistency": diagnostics.thought_consistency(cell),
        "confidences": confidences,
        "risk_coverage": metrics.risk_coverage_curve(headline[answered], cell.is_correct[answered]),
        "readout_masses": diagnostics.readout_masses(cell),
        "accuracy_by_stop": diagnostics.accuracy_by_stop(cell),
        "position_bias": diagnostics.position_bias(cell),
        **{f"per_{name}": _per_group(name, *of, cell, scoring) for name, of in groups.items()},
        "budget_audit": {stage: diagnostics.budget_audit(cell, stage) for stage in STAGES},
        "tokens": {stage: diagnostics.token_sums(cell, stage) for stage in STAGES},
    }
    return in_order(CELL_FIELDS, fields), arms


def _arm(name, cell, scoring, scores, accuracy, accuracies):
    """The cell as it is compared by one confidence; accuracy is over all records without error."""
    ranked, costs = _ranked(name, cell), scoring.wrong_answer_costs
    values = {metric: scores[metric] for metric in METRIC_NAMES if metric != "accuracy"} | {"accuracy": accuracy}
    values |= {utility_name(row["wrong_answer_cost"]): row["utility"] for row in scores["utilities"]}
    resampled = metrics.resampled_metrics(*ranked, scoring.weights, scoring.target_error) | {"accuracy": accuracies}
    utilities = resampled_utilities(*ranked, scoring.weights, costs)
    resampled |= {utility_name(cost): row for cost, row in zip(costs, utilities, strict=True)}
    shares_given = {utility_name(row["wrong_answer_cost"]): row["share_given"] for row in scores["utilities"]}
    return Arm(cell, values, resampled, name, {name: share or 0.0 for name, share in shares_given.items()})


def _ranked(name, cell):
    """Confidence, correctness and question of each record that has an answer."""
    answered = cell.is_answered
    return cell.confidence(name)[answered], cell.is_correct[answered], cell.question[answered]


def _confidence_summary(name, cell, scoring):
    """Calibration over the records that have the confidence; ranking over all with an answer, missing ones last.

    What holds for independent answers only rests on one answer per question: ECE, guaranteed thresholds, bound of the
    coverage.
    """
    confidence, is_correct, question = _ranked(name, cell)
    has = ~np.isnan(confidence)
    given, outcome = confidence[has], is_correct[has]
    is_first = cell.is_first[cell.is_answered]
    independent = confidence[is_first], is_correct[is_first]
    observed = metrics.observed_metrics(confidence, is_correct, scoring.target_error)
    costs = scoring.wrong_answer_costs
    intervals = metric_intervals(confidence, is_correct, question, scoring.target_error, costs)
    declared = [one.name for one in CONFIDENCE_FIELDS if one.name in metrics.METRICS]
    n_distinct, largest_tie_share = diagnostics.ties(given)
    rng = np.random.default_rng(scoring.seed)
    fields = {
        "n": int(has.sum()),
        "n_missing": len(cell) - int(has.sum()),
        "n_distinct": n_distinct,
        "largest_tie_share": largest_tie_share,
        "readout_mass": diagnostics.mean(cell.numbers[MASS_OF[name]]),
        "mean_confidence": diagnostics.mean(given),
        **metrics.ece_beside_calibrated(given, outcome, is_first[has], rng),
        "recalibrated": recalibrated(given, outcome, question[has], is_first[has], rng),
        **metrics.brier_parts(given, outcome),
        **{metric: observed[metric] for metric in declared},
        **{f"{metric}_interval": intervals[metric] for metric in declared if metric not in NO_INTERVAL},
        "utilities": [
            {
                "wrong_answer_cost": cost,
                "break_even": break_even(cost),
                "share_given": share_given(confidence, cost),
                "utility": expected_utility(confidence, is_correct, cost),
                "utility_interval": intervals[utility_name(cost)],
            }
            for cost in costs
        ],
        "coverage_at_target_lower_bound": coverage_lower_bound(*independent, scoring.target_error),
        "permutation_spread": diagnostics.permutation_spread(cell, cell.confidence(name)),
        "variance": _variance(cell, cell.confidence(name), ~np.isnan(cell.confidence(name))),
        "bins": metrics.reliability_bins(given, outcome),
        "guaranteed_thresholds": [
            guaranteed_threshold(*independent, target) for target in target_errors(scoring.target_error)
        ],
    }
    return in_order(CONFIDENCE_FIELDS, fields)


def _variance(cell, values, counts):
    """The variance components of the cell's values, of the records that count."""
    return variance_components(values[counts], cell.question[counts], cell.permutation[counts])


def _per_group(name, group_of_record, groups, cell, scoring):
    """Records without error, accuracy and ECE per permutation or per category of the cell, in sorted order."""
    rows, confidence = [], cell.confidence(scoring.headline)
    one_per_question = cell.is_first if name == "category" else cell.thought == 0
    for group, value in sorted(enumerate(groups), key=lambda pair: (pair[1] is None, pair[1])):
        inside = group_of_record == (value if name == "permutation" else group)
        if inside.any():
            scored = inside & ~cell.is_error
            has = scored & one_per_question & ~np.isnan(confidence)
            questions, question = np.unique(cell.question[scored], return_inverse=True)
            unranked = np.full(scored.sum(), np.nan), cell.is_correct[scored], question
            rows.append(
                {
                    name: value,
                    "n": int(scored.sum()),
                    "n_questions": len(questions),
                    "accuracy": diagnostics.mean(cell.is_correct[scored]),
                    "accuracy_interval": metric_intervals(*unranked, scoring.target_error)["accuracy"],
                    "ece": metrics.expected_calibration_error(confidence[has], cell.is_correct[has]),
                }
            )
    return rows

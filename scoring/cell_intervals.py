"""95% intervals of the metrics of one cell, made to hold at the edges too: high accuracy, few errors, few questions.

The ends are Wilson's (1927), with the number of records replaced by an effective one, as for surveys with clusters
(Korn and Graubard 1998; Dean and Pagano 2015): a question's permutations depend on each other, and a metric is no
proportion. A percentile interval of resamples is [1, 1] where no answer is wrong, and too short where few are.
"""
import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from scoring import metrics
from scoring.utility import break_even, expected_utility, resampled_utilities, utility_name

FEWEST_QUESTIONS = 10  # below that a metric has no interval
FEWEST_OF_A_CLASS = 5  # questions with a right answer, and with a wrong one, below which AUROC has no interval
MOST_GROUPS = 100  # groups of questions that the jackknife leaves out one at a time; with fewer questions each is one
NO_INTERVAL = ("coverage_at_target",)  # jumps when one answer changes; it has a lower bound instead
SPANS = {  # smallest and largest value of those not in [0, 1]
    "overconfidence": (-1.0, 1.0),
    "augrc": (0.0, 0.5),
    "log_score": (0.0, -math.log(metrics.LOG_SCORE_CLIP)),
}
AREAS = ("aurc", "augrc", "e_aurc")  # of errors: no more is known of them than of the accuracy


def metric_intervals(
    confidence: np.ndarray,
    is_correct: np.ndarray,
    question_index: np.ndarray,
    target_error: float,
    wrong_answer_costs: Sequence[float] = (),
) -> dict[str, dict[str, float] | None]:
    """95% interval of every metric of `metrics.METRICS` but those of NO_INTERVAL, and of the utility at each cost.

    By name low and high, or None. Arguments as in `metrics.resampled_metrics`: (n,) each, NaN where the confidence is
    missing. None: the metric has no value, it is the same whatever the answers (the Brier score if every confidence is
    0.5, the utility if every answer is withheld), or there are fewer than FEWEST_QUESTIONS questions or for AUROC
    FEWEST_OF_A_CLASS. An interval lies in the metric's span and contains the observed value.

    Two pseudo-questions are added, one all wrong and one all right, their confidences spread evenly over the observed
    ones, and the standard error is that of the jackknife over questions with them. It is thus above zero without a
    single error. The effective number of records is how many independent ones a proportion would need for that error.
    Student's t with the number of groups less one stands in for the normal quantile. An accuracy has Wilson's interval.
    The others are more skewed than a proportion: theirs is the hull of the ends around the observed value and of those
    around the value with the pseudo-questions.
    """
    utilities = {utility_name(cost): cost for cost in wrong_answer_costs}
    names = [name for name in metrics.METRICS if name not in NO_INTERVAL]
    questions, question_index = np.unique(question_index, return_inverse=True)
    if len(questions) < FEWEST_QUESTIONS:
        return dict.fromkeys([*names, *utilities])
    observed = metrics.observed_metrics(confidence, is_correct, target_error)
    centre, error, n_groups = _jackknife(confidence, is_correct, question_index, target_error, utilities)
    quantile = -stdtrit(n_groups - 1, 0.025)
    per_question = np.bincount(question_index)
    n_independent = _independent_records(centre["accuracy"], error["accuracy"], per_question)
    intervals = {}
    for name in names:
        too_few = name == "auroc" and _fewest_of_a_class(confidence, is_correct, question_index) < FEWEST_OF_A_CLASS
        has_interval = observed[name] is not None and not too_few and error[name] > metrics.ROUNDING
        values = observed[name], centre[name], error[name]
        intervals[name] = _interval(name, values, n_independent, quantile) if has_interval else None
    for name, cost in utilities.items():
        given = np.any(confidence >= break_even(cost))
        value = expected_utility(confidence, is_correct, cost)
        margin = quantile * _utility_error(value, error[name], cost, len(questions))
        ends = {"low": max(-cost, value - margin), "high": min(1.0, value + margin)}
        intervals[name] = {end: float(number) for end, number in ends.items()} if given else None
    return intervals


def _interval(name, values, n_independent, quantile):
    """low and high of a metric. values: observed, then centre and error with pseudo-questions, as of _jackknife."""
    observed, centre, error = values
    low, high = SPANS.get(name, (0.0, 1.0))
    width = high - low
    shares = (observed - low) / width, (centre - low) / width
    n = shares[1] * (1 - shares[1]) / (error / width) ** 2
    if name == "accuracy":
        n, shares = n_independent, shares[:1]
    elif name in AREAS:
        n = min(n, n_independent)
    lower, upper = np.array([wilson_interval(share, n, quantile) for share in shares]).T
    return {
        "low": float(max(low, min(observed, low + width * lower.min()))),
        "high": float(min(high, max(observed, low + width * upper.max()))),
    }


def _utility_error(value, error, cost, n_questions):
    """The standard error with two further questions, one answered right and one wrong, whatever the confidences.

    The pseudo-questions of _jackknife withhold their answers as often as the others do, and so say too little of a loss
    that is rare and large: at cost 19 and 200 questions intervals without these held the truth in 0.65 to 0.94.
    """
    return np.sqrt(error**2 + ((1 - value) ** 2 + (cost + value) ** 2) / n_questions**2)


def _fewest_of_a_class(confidence, is_correct, question_index):
    """Questions with a right answer that has a confidence, or those with such a wrong one, whichever are fewer."""
    has = ~np.isnan(confidence)
    return min(len(np.unique(question_index[has & of_class])) for of_class in (is_correct, ~is_correct))


def wilson_interval(share: float, n: float, quantile: float) -> tuple[float, float]:
    """Ends of Wilson's score interval of a share in [0, 1] among n > 0 records, which need not be a whole number."""
    weight = quantile**2 / n
    middle = (share + weight / 2) / (1 + weight)
    margin = np.sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
    return float(middle - margin), float(middle + margin)


def _independent_records(accuracy, error, per_question):
    """How many independent records carry what these say of the accuracy: n over the design effect (Kish 1965).

    accuracy, error: with pseudo-questions, as _jackknife returns them; per_question: (q,) records of each question. The
    design effect is at least 1 and at most what it is where all permutations of a question agree.
    """
    n = per_question.sum()
    n_with_pseudo = n * (1 + 2 / len(per_question))
    design_effect = error**2 * n_with_pseudo / (accuracy * (1 - accuracy))
    return n / np.clip(design_effect, 1.0, (per_question**2).sum() / n)


def _jackknife(confidence, is_correct, question_index, target_error, utilities=None):
    """Metrics with the pseudo-questions, their standard errors over questions, both by name, and the number of groups.

    The groups are left out one at a time; pseudo-questions are groups of their own (unequal ones: Busing et al. 1999).
    """
    n_questions = int(question_index.max()) + 1
    added = pseudo_confidences(confidence, n_questions)
    confidence = np.concatenate([confidence, added, added])
    is_correct = np.concatenate([is_correct, np.zeros(len(added), dtype=bool), np.ones(len(added), dtype=bool)])
    pseudo = np.repeat([n_questions, n_questions + 1], len(added))
    question_index = np.concatenate([question_index, pseudo])
    n_groups = min(n_questions, MOST_GROUPS)
    group = np.append(np.arange(n_questions) % n_groups, [n_groups, n_groups + 1])
    weights = np.vstack([np.ones(len(group), bool), group != np.arange(n_groups + 2)[:, None]]).astype(np.uint8)
    values = metrics.resampled_metrics(confidence, is_correct, question_index, weights, target_error)
    if utilities:
        worths = resampled_utilities(confidence, is_correct, question_index, weights, list(utilities.values()))
        values |= dict(zip(utilities, worths, strict=True))
    left = weights[1:].mean(axis=1)  # share of the questions that is left
    scale = (n_groups + 2) / (n_groups + 1)
    centre = {name: value[0] for name, value in values.items()}
    error = {name: np.sqrt(scale * np.sum((left * (value[1:] - value[0])) ** 2)) for name, value in values.items()}
    return centre, error, n_groups


def pseudo_confidences(confidence: np.ndarray, n_questions: int) -> np.ndarray:
    """Of a pseudo-question: as many as a question has on average, spread evenly over the observed ones, missing too."""
    n = len(confidence)
    n_added = max(1, round(n / n_questions))
    return np.sort(confidence)[((np.arange(n_added) + 0.5) / n_added * n).astype(int)]

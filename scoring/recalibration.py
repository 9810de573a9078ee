"""What a confidence would be worth after recalibration: maps learnt on some questions and judged on the others.

It shows how much of a bad Brier score, ECE or log score a simple map would mend. No verdict rests on it.
"""
from collections.abc import Callable

import numpy as np
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, log_expit, logit

from scoring.metrics import LOG_SCORE_CLIP, expected_calibration_error, observed_metrics
from scoring.summary_schema import RECALIBRATIONS

N_FOLDS = 5  # parts of the questions; each is judged by a map learnt on the others
FEWEST_QUESTIONS = 20  # with a confidence; below that a map is learnt on fewer than 16 questions
SCORES = ("brier", "ece", "log_score")

Map = Callable[[np.ndarray], np.ndarray]


def isotonic_map(confidence: np.ndarray, is_correct: np.ndarray) -> Map:
    """The non-decreasing map that fits the outcomes best by squares (Zadrozny and Elkan 2002).

    Straight between the confidences it was learnt on, constant beyond them. confidence: (n,), n >= 1.
    """
    values, mean, counts = _by_value(confidence, is_correct)
    fitted = isotonic_regression(mean, weights=counts).x
    return lambda given: np.interp(given, values, fitted)


def platt_map(confidence: np.ndarray, is_correct: np.ndarray) -> Map:
    """A sigmoid of a line in the logit of the confidence, fitted by likelihood to Platt's smoothed outcomes.

    Platt 1999: a right answer counts as (r + 1) / (r + 2) of r right ones, a wrong one as 1 / (w + 2) of w wrong ones,
    so that a fit exists even where one threshold tells them apart. Confidences are clipped to LOG_SCORE_CLIP from 0 and
    1. confidence: (n,), n >= 1.
    """
    values, mean, counts = _by_value(confidence, is_correct)
    n_right = float(counts @ mean)
    n_wrong = counts.sum() - n_right
    right, wrong = (n_right + 1) / (n_right + 2), 1 / (n_wrong + 2)
    x, targets = _logit(values), mean * right + (1 - mean) * wrong
    total = counts.sum()

    def loss(line: np.ndarray) -> tuple[float, np.ndarray]:
        z = line[0] * x + line[1]
        error = counts * (expit(z) - targets) / total
        value = -(counts @ (targets * log_expit(z) + (1 - targets) * log_expit(-z))) / total
        return value, np.array([error @ x, error.sum()])

    def curvature(line: np.ndarray) -> np.ndarray:
        chance = expit(line[0] * x + line[1])
        weights = counts * chance * (1 - chance) / total
        return np.array([[weights @ x**2, weights @ x], [weights @ x, weights.sum()]])

    start = np.array([1.0, 0.0])
    slope, intercept = minimize(loss, start, jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-8}).x
    return lambda given: expit(slope * _logit(given) + intercept)


METHODS = dict(zip(RECALIBRATIONS, (isotonic_map, platt_map), strict=True))


def recalibrated(
    confidence: np.ndarray,
    is_correct: np.ndarray,
    question: np.ndarray,
    is_first: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, dict[str, float | None]]:
    """Per method of METHODS the SCORES of the recalibrated confidences; all None with fewer than FEWEST_QUESTIONS.

    confidence: (n,) floats in [0, 1], none missing; is_correct: (n,) bools; question: (n,) ints, the question of each
    record: a question's records stay together, so none is judged by a map that saw its question. is_first: (n,) bools,
    whether a record is its question's first: the ECE is of those alone, as that of the confidence itself.
    """
    ids, index = np.unique(question, return_inverse=True)
    if len(ids) < FEWEST_QUESTIONS:
        return {method: dict.fromkeys(SCORES) for method in METHODS}
    fold = rng.permutation(np.arange(len(ids)) % N_FOLDS)[index]
    scores = {}
    for method, learn in METHODS.items():
        mapped = np.empty(len(confidence))
        for number in range(N_FOLDS):
            judged = fold == number
            mapped[judged] = learn(confidence[~judged], is_correct[~judged])(confidence[judged])
        mapped = np.clip(mapped, 0, 1)
        observed = observed_metrics(mapped, is_correct, 0.5)
        ece = expected_calibration_error(mapped[is_first], is_correct[is_first])
        scores[method] = {"brier": observed["brier"], "ece": ece, "log_score": observed["log_score"]}
    return scores


def _by_value(confidence, is_correct):
    """Distinct confidences, ascending, the share of right answers and the number of answers at each."""
    values, index, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    return values, np.bincount(index, is_correct) / counts, counts.astype(float)


def _logit(confidence):
    return logit(np.clip(confidence, LOG_SCORE_CLIP, 1 - LOG_SCORE_CLIP))

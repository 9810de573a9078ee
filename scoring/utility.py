"""What answers are worth to a user who can abstain: a right one 1, a wrong one minus its cost, abstaining 0."""
from collections.abc import Sequence

import numpy as np

from scoring.metrics import BLOCK_CELLS


def break_even(wrong_answer_cost: float) -> float:
    """Confidence from which on an answer is worth giving, in (0, 1): at it a calibrated answer is worth 0 on average.

    p 1 - (1 - p) c = 0 at p = c / (1 + c) (Chow 1970).
    """
    return wrong_answer_cost / (1 + wrong_answer_cost)


def utility_name(wrong_answer_cost: float) -> str:
    """Name of the metric in comparisons: `utility_at_cost_9`."""
    return f"utility_at_cost_{wrong_answer_cost:.12g}"


def expected_utility(confidence: np.ndarray, is_correct: np.ndarray, wrong_answer_cost: float) -> float | None:
    """Mean worth of an answer, in [-wrong_answer_cost, 1], higher is better; None without answers.

    confidence: (n,) floats in [0, 1], NaN where missing; is_correct: (n,) bools. An answer is given if its confidence
    is at least break_even, so the confidence is taken at its word: one that is too sure loses. Without a confidence the
    answer is withheld.
    """
    worth = _worth(confidence, is_correct, wrong_answer_cost)
    return float(worth.mean()) if worth.size else None


def share_given(confidence: np.ndarray, wrong_answer_cost: float) -> float | None:
    """Share of answers that are given at this cost, in [0, 1]; None without answers."""
    return float(np.mean(confidence >= break_even(wrong_answer_cost))) if len(confidence) else None


def resampled_utilities(
    confidence: np.ndarray,
    is_correct: np.ndarray,
    question_index: np.ndarray,
    question_weights: np.ndarray,
    wrong_answer_costs: Sequence[float],
) -> np.ndarray:
    """expected_utility at each cost on every resample, (costs, resamples) floats, NaN where it has no value.

    question_index and question_weights: as in metrics.resampled_metrics.
    """
    n_questions = question_weights.shape[1]
    by_question = [np.bincount(question_index, minlength=n_questions).astype(float)]  # answers, then their worth
    for cost in wrong_answer_costs:
        by_question.append(np.bincount(question_index, _worth(confidence, is_correct, cost), n_questions))
    by_question = np.stack(by_question, axis=1)
    rows = max(1, BLOCK_CELLS // n_questions)
    blocks = [question_weights[start : start + rows] for start in range(0, len(question_weights), rows)]
    n, *worths = np.concatenate([block.astype(float) @ by_question for block in blocks]).T
    with np.errstate(invalid="ignore"):
        return np.array(worths).reshape(len(worths), len(n)) / n


def pseudo_variances(shares_given: np.ndarray, wrong_answer_cost: float, n_questions: int) -> np.ndarray:
    """(arms, arms) what two pseudo-questions add to the variance of the difference of two arms' utilities.

    shares_given: (arms,), each in [0, 1]. In one question the first arm is right and the second wrong, in the other the
    reverse; an arm that gives any answer gives both of these. A loss of 20 that happens once in a hundred questions is
    missing from many a sample, whose variance then says nothing of it; the pseudo-questions do (as added counts do for
    matched pairs: Agresti and Min 2005).
    """
    gives = (shares_given > 0).astype(float)
    right, wrong = gives[:, None], -wrong_answer_cost * gives[None, :]
    return ((right - wrong) ** 2 + (right - wrong).T ** 2) / n_questions**2


def _worth(confidence, is_correct, wrong_answer_cost):
    given = confidence >= break_even(wrong_answer_cost)  # False for NaN
    return np.where(given, np.where(is_correct, 1.0, -wrong_answer_cost), 0.0)

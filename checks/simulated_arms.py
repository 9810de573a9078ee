"""Arms over common questions, equal or with a planted difference, for checks/simulate_statistics.py."""
import numpy as np

from scoring import metrics
from scoring.comparisons import METRIC_NAMES, Arm
from scoring.record_columns import CellColumns

TARGET_ERROR = 0.1  # of the arms' coverage at target


def make_arm(ratio: float, confidence: np.ndarray, is_correct: np.ndarray, weights: np.ndarray) -> Arm:
    """A cell of one permutation as the comparisons see it."""
    n, question = len(confidence), np.arange(len(confidence))
    zeros, nothing = np.zeros(n, dtype=np.int8), np.zeros(n, dtype=bool)
    columns = CellColumns(
        total_budget=200,
        answer_thinking_ratio=ratio,
        answer_budget=100,
        confidence_budget=100,
        question=question,
        permutation=zeros,
        thought=zeros,
        unit=question,
        category=zeros,
        is_error=nothing,
        is_answered=~nothing,
        is_correct=is_correct,
        chosen_option=zeros,
        correct_option=zeros,
        chosen_original=zeros,
        numbers={"confidence": confidence},
        counts={},
        stopped={},
    )
    resampled = metrics.resampled_metrics(confidence, is_correct, question, weights, TARGET_ERROR)
    values = metrics.observed_metrics(confidence, is_correct, TARGET_ERROR)
    return Arm(columns, values, {name: resampled[name] for name in METRIC_NAMES})


def paired_arms(n_questions: int, gains: list[float], shared: float, rng: np.random.Generator) -> list[Arm]:
    """Arms over the same questions, each right with the question's own probability plus its gain.

    shared: probability that an arm's answer to a question, and so its confidence, hangs on the same draw as that of
    the other arms.
    """
    easiness, common, noise = rng.beta(2, 1.2, n_questions), rng.random(n_questions), rng.standard_normal(n_questions)
    weights = metrics.question_resamples(n_questions, rng)
    arms = []
    for number, gain in enumerate(gains):
        is_shared = rng.random(n_questions) < shared
        draw = np.where(is_shared, common, rng.random(n_questions))
        error = 0.2 * np.where(is_shared, noise, rng.standard_normal(n_questions))
        confidence = np.round(np.clip(easiness + error, 0, 1), 2)
        arms.append(make_arm(number / 4, confidence, draw < easiness + gain, weights))
    return arms

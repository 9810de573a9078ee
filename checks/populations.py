"""Populations of answers whose true figures are worked out exactly: what checks/simulate_statistics.py draws from.

"easy" is the one that everything does well on. The others are what real models do: nearly always right, confidences
that say nothing, half of the answers at 1.00, an error rate that rises and falls with the confidence.
"""
from dataclasses import dataclass
from math import log

import numpy as np

from scoring.metrics import LOG_SCORE_CLIP
from scoring.utility import break_even


@dataclass(frozen=True)
class Population:
    """Confidences that can be stated, falling, with their shares of all answers and the accuracy at each."""

    confidence: np.ndarray
    share: np.ndarray
    accuracy: np.ndarray

    def __post_init__(self):
        """Without the confidences that are never stated; the shares add up to 1."""
        stated = np.asarray(self.share) > 0
        for name in ("confidence", "share", "accuracy"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=float)[stated])
        object.__setattr__(self, "share", self.share / self.share.sum())

    def truth(self, target_error: float) -> dict[str, float]:
        """Exact values of the metrics, in the limit of many questions."""
        value, share, right = self.confidence, self.share, self.share * self.accuracy
        wrong = share - right
        used, errors = np.cumsum(share), np.cumsum(wrong)
        pairs = sum(right[i] * (wrong[i + 1 :].sum() + wrong[i] / 2) for i in range(len(value)))
        pairs_wrong_way = right.sum() * wrong.sum() - pairs
        area = wrong[0]
        for i in range(1, len(value)):
            rate = wrong[i] / share[i]
            area += wrong[i] + (errors[i - 1] - used[i - 1] * rate) * log(used[i] / used[i - 1])
        clipped = np.clip(value, LOG_SCORE_CLIP, 1 - LOG_SCORE_CLIP)
        return {
            "accuracy": right.sum(),
            "brier": (right * (1 - value) ** 2 + wrong * value**2).sum(),
            "log_score": -(right * np.log(clipped) + wrong * np.log(1 - clipped)).sum(),
            "auroc": pairs / (right.sum() * wrong.sum()),
            "aurc": area,
            "e_aurc": area - (wrong.sum() + right.sum() * log(right.sum())),
            "augrc": pairs_wrong_way + wrong.sum() ** 2 / 2,
            "overconfidence": (share * value).sum() - right.sum(),
            "coverage_at_target": used[errors / used <= target_error].max(initial=0),
        }

    def utility(self, wrong_answer_cost: float) -> float:
        """Exact expected utility at a cost."""
        given = self.confidence >= break_even(wrong_answer_cost)
        return float((self.share * given * (self.accuracy - wrong_answer_cost * (1 - self.accuracy))).sum())

    def error_above(self, threshold: float) -> float:
        """True error rate of the answers with at least this confidence; 0.0 where there are none."""
        above = self.confidence >= threshold
        return float((self.share * (1 - self.accuracy))[above].sum() / max(self.share[above].sum(), 1e-300))

    def draw(
        self, n_questions: int, n_permutations: int, correlation: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Confidence, correctness, question and permutation of (questions x permutations) answers.

        correlation: of the outcomes, and of the confidences, of two permutations of a question, in [0, 1]. Each
        permutation takes the question's own answer with probability sqrt(correlation), and else a new one.
        """
        common = self._answers(n_questions, rng)
        columns = []
        for _ in range(n_permutations):
            takes_common = rng.random(n_questions) < np.sqrt(correlation)
            own = self._answers(n_questions, rng)
            columns.append([np.where(takes_common, *both) for both in zip(common, own, strict=True)])
        confidence, is_correct = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        question = np.tile(np.arange(n_questions), n_permutations)
        return confidence, is_correct, question, np.repeat(np.arange(n_permutations), n_questions)

    def _answers(self, n_questions, rng):
        group = rng.choice(len(self.share), n_questions, p=self.share)
        return self.confidence[group], rng.random(n_questions) < self.accuracy[group]


_STATED = np.arange(100, -1, -1) / 100  # every confidence that can be stated
_HIGH = (_STATED + 0.01) ** 2  # shares that grow with the confidence


def easy() -> Population:
    """101 confidences, most of them high, a little too sure; coverage at the target is not close to a jump."""
    return Population(_STATED, _HIGH, np.clip(1.02 * _STATED**1.1, 0.02, 0.98))


def flat(accuracy: float) -> Population:
    """Confidences from 0.50 to 1.00 that say nothing: every answer is right with the same probability."""
    return Population(_STATED, _STATED >= 0.5, np.full(101, accuracy))


def sure_and_right() -> Population:
    """Nearly every confidence is close to 1, and 97% of the answers are right; the few errors are less sure."""
    return Population(_STATED, _STATED**20, np.clip(1 - 1.4 * (1 - _STATED) ** 1.2, 0.05, 0.999))


def half_at_one() -> Population:
    """Half of the answers are stated with 1.00, the others with three more numbers."""
    return Population([1.0, 0.98, 0.9, 0.6], [0.5, 0.25, 0.15, 0.1], [0.99, 0.97, 0.9, 0.5])


def two_numbers() -> Population:
    """Half of the answers at 1.00, none of them wrong; half at 0.98, every fifth wrong."""
    return Population([1.0, 0.98], [0.5, 0.5], [1.0, 0.8])


def wrong_at_the_top() -> Population:
    """The surest answers are bad, and the error rate above a threshold falls, rises and falls on the way down."""
    steps = [_STATED >= 0.97, _STATED >= 0.9, _STATED >= 0.8, _STATED >= 0.6]
    share = np.select(steps, [0.005, 0.03, 0.01, 0.02], 0.275 / 60)
    return Population(_STATED, share, np.select(steps, [0.8, 0.99, 0.85, 0.995], 0.6))


def at_the_edge(target_error: float) -> Population:
    """At every threshold the error rate is a hair above the target: every certified threshold is a failure."""
    return Population(_STATED, _HIGH, np.full(101, 1 - target_error - 1e-9))


def waves_at_the_edge(target_error: float) -> Population:
    """From every start of a walk on the error rate is a hair above the target, and below it in between.

    A walk that is lucky at its start meets good thresholds and passes its level to the next bad one.
    """
    starts = (100, 95, 90, 80, 60, 40, 20)
    share, wrong = np.full(101, 1 / 101), np.zeros(101)
    for place in range(101):  # from 1.00 down
        used = (place + 1) / 101
        is_bad = 100 - place in starts
        wanted = (target_error + 1e-9 if is_bad else 0.9 * target_error) * used
        wrong[place] = np.clip(wanted - wrong[:place].sum(), 0, share[place])
    return Population(_STATED, share, 1 - wrong / share)


def calibrated() -> Population:
    """Every confidence is right as often as it says."""
    return Population(_STATED[1:-1], _HIGH[1:-1], _STATED[1:-1])


def calibrated_and_sure() -> Population:
    """The same with most confidences close to 1."""
    return Population(_STATED[1:], _STATED[1:] ** 12, _STATED[1:])


FOR_INTERVALS = {
    "easy": easy(),
    "flat 0.5": flat(0.5),
    "flat 0.97": flat(0.97),
    "flat 0.99": flat(0.99),
    "sure, 0.97 right": sure_and_right(),
    "half at 1.00": half_at_one(),
    "wrong at the top": wrong_at_the_top(),
}
FOR_CALIBRATION = {"calibrated": calibrated(), "calibrated, sure": calibrated_and_sure()}


def for_thresholds(target_error: float) -> dict[str, Population]:
    """Populations in which a threshold is sought."""
    return {
        "easy": easy(),
        "half at 1.00": half_at_one(),
        "two numbers": two_numbers(),
        "wrong at the top": wrong_at_the_top(),
        "at the edge": at_the_edge(target_error),
        "waves at the edge": waves_at_the_edge(target_error),
    }

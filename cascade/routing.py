"""The rule of a cascade: which tier answers a question, or the expert, and what that costs."""
from dataclasses import dataclass

import numpy as np

from cascade.tiers import Tier


@dataclass(frozen=True)
class Thresholds:
    """What decides at each tier of a cascade, in its order. uncertainty: None under the plain rule.

    A tier answers at a confidence of `confidence` or more and an uncertainty below `uncertainty`.
    """

    confidence: tuple[float, ...]
    uncertainty: tuple[float, ...] | None

    @property
    def rule(self) -> str:
        """One of RULES."""
        return "plain" if self.uncertainty is None else "uncertainty"


@dataclass(frozen=True)
class Routed:
    """What became of each question; arrays are (questions,).

    answered_by: index of the tier, the number of tiers for the expert; is_wrong: automated, and not the key; cost:
    money, of every tier that was asked and of the expert.
    """

    answered_by: np.ndarray
    is_automated: np.ndarray
    is_wrong: np.ndarray
    cost: np.ndarray


def route(tiers: list[Tier], thresholds: Thresholds, expert_cost: float) -> Routed:
    """Sends every question through the cascade.

    Plain rule: a tier that is not sure enough hands the question on. Uncertainty rule (Hou et al. 2025, arXiv
    2512.20012): a tier whose uncertainty is too high, or unknown, hands it on; one that is certain, yet not sure enough
    of its answer, hands it to the expert. The last tier hands everything to the expert. Without a confidence a tier
    does not answer.
    """
    n = len(tiers[0])
    answered_by, cost = np.full(n, len(tiers)), np.zeros(n)
    is_wrong, here = np.zeros(n, dtype=bool), np.ones(n, dtype=bool)
    for index, tier in enumerate(tiers):
        cost[here] += tier.cost[thresholds.rule][here]
        answers, goes_on = decisions(tier, thresholds, index)
        answered_by[here & answers] = index
        is_wrong |= here & answers & ~tier.is_correct
        here = here & goes_on
    is_automated = answered_by < len(tiers)
    cost[~is_automated] += expert_cost
    return Routed(answered_by, is_automated, is_wrong, cost)


def decisions(tier: Tier, thresholds: Thresholds, index: int) -> tuple[np.ndarray, np.ndarray]:
    """(questions,) bools: the tier answers; the tier hands on to the next. Neither: the expert gets the question."""
    is_sure = tier.confidence >= thresholds.confidence[index]  # False for NaN
    if thresholds.uncertainty is None:
        return is_sure, ~is_sure
    is_certain = tier.uncertainty < thresholds.uncertainty[index]
    return is_certain & is_sure, ~is_certain


def route_to_expert(n_questions: int, expert_cost: float) -> Routed:
    """What becomes of the questions where no thresholds are certified: the expert answers all of them."""
    nothing = np.zeros(n_questions, dtype=bool)
    return Routed(np.zeros(n_questions, dtype=int), nothing, nothing, np.full(n_questions, expert_cost))

"""Thresholds of a cascade with a guarantee for new questions, over all that the search looked at.

docs/cascade.md tells the procedure and proves it. Everything here but the counts is fixed before any record is seen.
"""
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.special import bdtr

from cascade.routing import Thresholds, decisions
from cascade.tiers import Tier

ERROR_LEVEL = 0.05  # probability that anything is certified whose risk is not under the target, over the whole search
READINGS = {  # of the risk
    "wrong_of_automated": "share of automated answers that are wrong",
    "automated_and_wrong": "share of all questions that are automated and wrong",
}
GRID = np.arange(100, -1, -1) / 100  # confidence thresholds of the last tier, in the order in which they are tested
# Of GRID: where level enters a walk, for wrong_of_automated. Few answers are surer than the first, some models are
# never sure, and the last is every answer.
STARTS = (0.95, 0.8, 0.5, 0.25, 0.0)
EARLY_CONFIDENCES = (0.98, 0.95, 0.9, 0.8, 0.5)  # confidence thresholds of every tier before the last
UNCERTAINTIES = (0.05, 0.15)  # uncertainty thresholds of every tier


@dataclass(frozen=True)
class Walk:
    """Settings that differ in the last tier's confidence threshold alone, in the order of GRID.

    early, uncertainty: the other thresholds, as in Thresholds. n_automated, n_wrong: (len(GRID),) questions; cost:
    (len(GRID),) money, of all questions together.
    """

    early: tuple[float, ...]
    uncertainty: tuple[float, ...] | None
    n_automated: np.ndarray
    n_wrong: np.ndarray
    cost: np.ndarray

    def thresholds(self, step: int) -> Thresholds:
        """The setting at a step of GRID."""
        return Thresholds((*self.early, float(GRID[step])), self.uncertainty)


@dataclass(frozen=True)
class Certified:
    """Thresholds whose risk is under the target, and what they do on the sample that certifies them.

    n: questions of the sample; cost: mean per question, money; p_value, level: of the test that certified them.
    """

    thresholds: Thresholds
    n: int
    n_automated: int
    n_wrong: int
    cost: float
    p_value: float
    level: float


# --- counts --------------------------------------------------------------------------------------------------------


def walks(tiers: list[Tier], rule: str, expert_cost: float) -> list[Walk]:
    """Every setting of the search over these tiers under a rule, in the order in which they are tested."""
    *early, last = tiers
    spreads = product(UNCERTAINTIES, repeat=len(tiers)) if rule == "uncertainty" else [None]
    confidences = list(product(EARLY_CONFIDENCES, repeat=len(early)))
    return [_walk(early, last, Thresholds(one, spread), expert_cost) for spread in spreads for one in confidences]


def _walk(early: list[Tier], last: Tier, thresholds: Thresholds, expert_cost: float) -> Walk:
    here, n_automated, n_wrong, cost = np.ones(len(last), dtype=bool), 0, 0, 0.0
    for index, tier in enumerate(early):
        answers, goes_on = decisions(tier, thresholds, index)
        n_automated += np.count_nonzero(here & answers)
        n_wrong += np.count_nonzero(here & answers & ~tier.is_correct)
        cost += tier.cost[thresholds.rule][here].sum() + expert_cost * np.count_nonzero(here & ~answers & ~goes_on)
        here = here & goes_on
    can_answer = here & ~np.isnan(last.confidence)
    if thresholds.uncertainty is not None:
        can_answer &= last.uncertainty < thresholds.uncertainty[-1]
    # Place in GRID of the first threshold that lets the answer through; GRID falls.
    step = len(GRID) - np.searchsorted(GRID[::-1], last.confidence[can_answer], side="right")
    wrong = step[~last.is_correct[can_answer]]
    added, added_wrong = (np.cumsum(np.bincount(steps, minlength=len(GRID))) for steps in (step, wrong))
    cost += last.cost[thresholds.rule][here].sum() + expert_cost * (np.count_nonzero(here) - added)
    return Walk(thresholds.confidence, thresholds.uncertainty, n_automated + added, n_wrong + added_wrong, cost)


# --- tests ---------------------------------------------------------------------------------------------------------


def p_values(n_automated: np.ndarray, n_wrong: np.ndarray, n: int, reading: str, target_error: float) -> np.ndarray:
    """Of the hypotheses "the risk is the target error or more": exact binomial tails.

    n_automated, n_wrong: of n questions, which must be independent draws with one outcome each.
    """
    trials = n_automated if reading == "wrong_of_automated" else np.full_like(n_automated, n)
    return bdtr(n_wrong, trials, target_error)


def start_levels(n_walks: int, reading: str, level: float) -> np.ndarray:
    """(walks, len(GRID)) the level with which each test begins; they add up to `level`."""
    levels = np.zeros((n_walks, len(GRID)))
    if reading == "automated_and_wrong":  # the risk only grows along a walk, and the first steps have power already
        levels[:, 0] = level / n_walks
    else:
        levels[:, np.isin(GRID, STARTS)] = level / n_walks / len(STARTS)
    return levels


def fallback(p_value: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The level at which each test that rejects its hypothesis does so; NaN where it does not. Same shape as p_value.

    The fallback procedure (Wiens 2003; Wiens and Dmitrienko 2005), in the order of the flattened arrays: a test has its
    own level, and that of the test before it if that one rejected.
    """
    used, carried = np.full(p_value.size, np.nan), 0.0
    for place, (p, own) in enumerate(zip(p_value.ravel().tolist(), levels.ravel().tolist(), strict=True)):
        carried += own
        if carried > 0 and p <= carried:
            used[place] = carried
        else:
            carried = 0.0
    return used.reshape(p_value.shape)


def cheapest_certified(found: list[Walk], n: int, reading: str, target_error: float, level: float) -> Certified | None:
    """The cheapest certified setting of these walks over n questions; of equally cheap ones the first. None if none is.

    level: what of ERROR_LEVEL these walks may use under this reading.
    """
    automated, wrong, cost = (
        np.array([getattr(walk, name) for walk in found]) for name in ("n_automated", "n_wrong", "cost")
    )
    p = p_values(automated, wrong, n, reading, target_error)
    used = fallback(p, start_levels(len(found), reading, level))
    if np.isnan(used).all():
        return None
    best = np.unravel_index(np.argmin(np.where(np.isnan(used), np.inf, cost)), used.shape)
    return Certified(
        thresholds=found[best[0]].thresholds(int(best[1])),
        n=n,
        n_automated=int(automated[best]),
        n_wrong=int(wrong[best]),
        cost=float(cost[best] / n),
        p_value=float(p[best]),
        level=float(used[best]),
    )

"""Tiers of a cascade without a run: random ones, and those of a table."""
import numpy as np

from cascade.tiers import Tier


def tier(confidence, is_correct, uncertainty=None, cost=1.0, cost_of_all=None):
    """A tier from lists; None is a missing value. cost: per question, in the order as given; cost_of_all: in all."""
    n = len(confidence)
    spread = [None] * n if uncertainty is None else uncertainty
    costs = {"plain": np.full(n, cost), "uncertainty": np.full(n, cost if cost_of_all is None else cost_of_all)}
    confidence, spread = np.array(confidence, dtype=float), np.array(spread, dtype=float)
    return Tier(confidence, spread, np.array(is_correct, dtype=bool), costs)


def random_tier(n, rng, accuracy=0.8, p_missing=0.05):
    """Confidences in steps of 0.01 and spreads, some missing, costs of their own for each question."""
    confidence, spread = np.round(rng.beta(3, 1, n), 2), np.round(0.3 * rng.random(n), 2)
    confidence[rng.random(n) < p_missing] = np.nan
    spread[np.isnan(confidence) | (rng.random(n) < p_missing)] = np.nan
    costs = {"plain": rng.random(n), "uncertainty": 1 + rng.random(n)}
    return Tier(confidence, spread, rng.random(n) < accuracy, costs)

"""From which confidence on may answers be automated, with a guarantee for new questions (learn then test)."""
import numpy as np
from scipy.special import bdtr, betaincinv

GRID = np.arange(101) / 100  # thresholds that are tested, fixed before any record is seen
STARTS = (1.0, 0.95, 0.9, 0.8, 0.6, 0.4, 0.2)  # thresholds with a level of their own, declared in advance
ERROR_LEVEL = 0.05  # probability that a threshold is certified although the error rate above it exceeds the target
FIXED_TARGETS = (0.1, 0.2)  # target error rates beside the user's own


def target_errors(target_error: float) -> list[float]:
    """The target error rates that the deployment table has, ascending."""
    return sorted({target_error, *FIXED_TARGETS})


def guaranteed_threshold(
    confidence: np.ndarray, is_correct: np.ndarray, target_error: float, error_level: float = ERROR_LEVEL
) -> dict:
    """A threshold above which the error rate of new answers is at most the target, with probability 95%.

    confidence: (n,) floats in [0, 1], NaN where missing: never used, but counted in the coverage; is_correct: (n,)
    bools; the n answers must be independent draws, so one permutation per question. error_level: in (0, 1). Returns
    target_error, n, threshold, coverage (share of n with at least this confidence), n_used and n_wrong among them; the
    last four are None where no threshold was certified. Of the certified thresholds it is one that uses most answers,
    and of those that use the same answers the highest.

    Learn then test (Angelopoulos et al. 2021, arXiv 2110.01052): the hypothesis "above this threshold the error rate
    exceeds the target" has the exact binomial tail as its p-value, since among the answers above a fixed threshold
    errors are binomial. Thresholds picked from the observed answers would void the guarantee.
    """
    used = np.array([np.sum(confidence >= threshold) for threshold in GRID])
    wrong = np.array([np.sum((confidence >= threshold) & ~is_correct) for threshold in GRID])
    certified = rejected_by_fallback(bdtr(wrong, used, target_error), error_level)
    step = max(np.flatnonzero(certified & (used == used[certified].max())), default=None) if certified.any() else None
    found = step is not None
    return {
        "target_error": target_error,
        "n": len(confidence),
        "threshold": float(GRID[step]) if found else None,
        "coverage": float(used[step] / len(confidence)) if found else None,
        "n_used": int(used[step]) if found else None,
        "n_wrong": int(wrong[step]) if found else None,
    }


def rejected_by_fallback(p_values: np.ndarray, error_level: float = ERROR_LEVEL) -> np.ndarray:
    """Which hypotheses of the grid the fallback procedure rejects (Wiens 2003; Wiens and Dmitrienko 2005).

    p_values: (101,), in the order of GRID; returns (101,) bools. From 1.00 down, a hypothesis is tested at its own
    level, an equal share of error_level at each of STARTS and 0 elsewhere, plus the level of the one above it if that
    was rejected. A level is lost where a hypothesis stands. The probability that a true one is rejected is at most
    error_level, however the p-values depend on each other: docs/statistics.md has the proof.
    """
    own_level = np.where(np.isin(GRID, STARTS), error_level / len(STARTS), 0.0)
    rejected = np.zeros(len(GRID), dtype=bool)
    passed_on = 0.0
    for step in reversed(range(len(GRID))):
        level = own_level[step] + passed_on
        rejected[step] = level > 0 and p_values[step] <= level
        passed_on = level if rejected[step] else 0.0
    return rejected


def coverage_lower_bound(confidence: np.ndarray, is_correct: np.ndarray, target_error: float) -> float | None:
    """The least share of new answers that can be used at the target error rate, with probability 95%; in [0, 1].

    Arguments as in guaranteed_threshold. 0.0 where no threshold was certified; None without answers. Half of the error
    level certifies a threshold. The other half bounds the share of new answers above it: Clopper and Pearson's exact
    lower limit at a level shared by all thresholds of the grid, because the threshold was chosen on these answers.
    """
    n = len(confidence)
    if not n:
        return None
    found = guaranteed_threshold(confidence, is_correct, target_error, ERROR_LEVEL / 2)
    if not found["n_used"]:
        return 0.0
    n_used = found["n_used"]
    return float(betaincinv(n_used, n - n_used + 1, ERROR_LEVEL / 2 / len(GRID)))

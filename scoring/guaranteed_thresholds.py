"""From which confidence on may answers be automated, with a guarantee for new questions (learn then test)."""
import numpy as np
from scipy.special import bdtr

GRID = np.arange(101) / 100  # thresholds that are tested, fixed before any record is seen
STARTS = (0.98, 0.95, 0.9, 0.8, 0.5)  # where a walk down the grid begins; declared in advance, they share ERROR_LEVEL
ERROR_LEVEL = 0.05  # probability that a threshold is given although the error rate above it exceeds the target
FIXED_TARGETS = (0.1, 0.2)  # target error rates beside the user's own


def target_errors(target_error: float) -> list[float]:
    """The target error rates that the deployment table has, ascending."""
    return sorted({target_error, *FIXED_TARGETS})


def guaranteed_threshold(confidence: np.ndarray, is_correct: np.ndarray, target_error: float) -> dict:
    """Lowest threshold above which the error rate of new answers is at most the target, with probability 95%.

    confidence: (n,) floats in [0, 1], NaN where missing: never used, but counted in the coverage; is_correct: (n,)
    bools; the n answers must be independent draws, so one permutation per question. Returns target_error, n, threshold,
    coverage (share of n with at least this confidence), n_used and n_wrong among them; the last four are None where no
    threshold can be guaranteed.

    Learn then test (Angelopoulos et al. 2021, arXiv 2110.01052): the hypothesis "above this threshold the error rate
    exceeds the target" has the exact binomial tail as its p-value, since among the answers above a fixed threshold
    errors are binomial. From each start the grid is walked downwards until a hypothesis stands (fixed-sequence
    testing), at ERROR_LEVEL shared equally among the starts. Thresholds picked from the observed confidences would void
    the guarantee; a single start at 1.00 has no power, since few answers are that sure.
    """
    used = np.array([np.sum(confidence >= threshold) for threshold in GRID])
    wrong = np.array([np.sum((confidence >= threshold) & ~is_correct) for threshold in GRID])
    rejected = bdtr(wrong, used, target_error) <= ERROR_LEVEL / len(STARTS)
    lowest = None
    for start in STARTS:
        step = round(start * 100)
        while step >= 0 and rejected[step]:
            lowest = step if lowest is None else min(lowest, step)
            step -= 1
    found = lowest is not None
    return {
        "target_error": target_error,
        "n": len(confidence),
        "threshold": float(GRID[lowest]) if found else None,
        "coverage": float(used[lowest] / len(confidence)) if found else None,
        "n_used": int(used[lowest]) if found else None,
        "n_wrong": int(wrong[lowest]) if found else None,
    }

"""Which arms may be the best: a set that holds the truly best one with 95%; and how many questions would tell more."""
import math

import numpy as np
from scipy.special import ndtri

from scoring.metrics import MAX_UNDEFINED_SHARE, critical_value, max_t, standard_errors

POWER = 0.8  # probability with which the questions that `questions_needed` names tell two arms apart


def best_set(
    values: np.ndarray, resampled: np.ndarray, n_questions: int, added_variances: np.ndarray | None = None
) -> np.ndarray | None:
    """(m,) bools, the arms among which the best is with 95%; None if an arm has no value or too few resamples have one.

    values: (m,) observed, higher is better; resampled: (m, resamples), the same values on common resamples of
    n_questions questions, n_questions >= 2; added_variances: (m, m), of the pairs' differences, beyond what the
    resamples show. An arm is in the set unless another one is better beyond chance: it is
    compared with all others at once, one-sided, by the bootstrap of the largest t (multiple comparisons with the best,
    Hsu 1981; subset selection, Gupta 1965). The best arm itself is left out in at most 5%, so no correction for all
    pairs is needed, and the set is never larger than that of the arms which no interval of all pairs shows to be worse.
    """
    undefined = np.isnan(resampled)
    if n_questions < 2 or np.isnan(values).any() or (undefined.mean(axis=1) > MAX_UNDEFINED_SHARE).any():
        return None
    resampled = resampled[:, ~undefined.any(axis=0)]
    added = np.zeros((len(values), len(values))) if added_variances is None else added_variances
    return np.array([
        _may_be_best(arm, values, resampled, n_questions, np.delete(added[arm], arm)) for arm in range(len(values))
    ])


def _may_be_best(arm, values, resampled, n_questions, added):
    behind = np.delete(values, arm) - values[arm]
    behind_resampled = np.delete(resampled, arm, axis=0) - resampled[arm]
    errors = standard_errors(behind_resampled, n_questions)
    varies = errors > 0
    t = (behind_resampled[varies] - behind[varies, None]) / errors[varies, None]
    critical = critical_value(t.max(axis=0, initial=0.0), n_questions)
    return bool(np.all(behind <= critical * np.sqrt(errors**2 + added) + 1e-12))


def questions_needed(differences: np.ndarray, resampled: np.ndarray, n_questions: int) -> list[int | None]:
    """Per difference the questions with which its simultaneous interval would exclude 0 with probability POWER.

    Arguments as in metrics.simultaneous_intervals. It takes the observed difference for the true one, and standard
    errors that fall as one over the root of the questions: a rough guide, itself as uncertain as the difference. None
    where there is no interval, where the difference is 0, and where it is the same on every resample.
    """
    errors, critical = max_t(differences, resampled, n_questions)
    needed = []
    for difference, error in zip(differences, errors, strict=True):
        known = error > 0 and abs(difference) > 1e-12 and np.isfinite(critical)
        ratio = (critical + ndtri(POWER)) * error / abs(difference) if known else None
        needed.append(math.ceil(n_questions * ratio**2) if known else None)
    return needed

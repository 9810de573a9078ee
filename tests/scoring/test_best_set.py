import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from scoring import metrics
from scoring.best_set import best_set, questions_needed

MANY = 10_000  # questions: Student's t is the normal distribution there


def independent(values, resamples=40_000, seed=0, error=1.0):
    """Values whose resamples vary independently around them."""
    values = np.asarray(values, dtype=float)
    noise = np.random.default_rng(seed).standard_normal((len(values), resamples))
    return values, values[:, None] + error * noise


def one_sided_critical(n_others):
    """The 95% quantile of the largest of n equally correlated (1/2) normals, by bisection of scipy's integral."""
    distribution = multivariate_normal(cov=np.full((n_others, n_others), 0.5) + 0.5 * np.eye(n_others), seed=1)
    low, high = 1.0, 3.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if distribution.cdf(np.full(n_others, middle)) < 0.95 else (low, middle)
    return low


@pytest.mark.parametrize("n_arms", [2, 3, 5])
def test_an_arm_leaves_the_set_at_dunnetts_one_sided_critical_value(n_arms):
    """Hsu's comparison with the best, for independent arms of equal variance: known from the normal integral."""
    error = np.sqrt(2)  # of a difference
    critical = one_sided_critical(n_arms - 1)
    near, far = ([0.0] * (n_arms - 1) + [-factor * critical * error] for factor in (0.96, 1.04))
    assert best_set(*independent(near), MANY).tolist() == [True] * n_arms
    assert best_set(*independent(far), MANY).tolist() == [True] * (n_arms - 1) + [False]


def test_the_set_is_never_larger_than_that_of_the_arms_no_pair_shows_to_be_worse():
    rng = np.random.default_rng(1)
    n_smaller = 0
    for seed in range(60):
        values, resampled = independent(2.5 * rng.random(4), resamples=1000, seed=seed, error=0.6)
        chosen = best_set(values, resampled, 100)
        first, second = np.triu_indices(4, 1)
        intervals = metrics.simultaneous_intervals(
            values[first] - values[second], resampled[first] - resampled[second], 100
        )
        beaten = {first[i] for i, row in enumerate(intervals) if row["high"] < 0}
        beaten |= {second[i] for i, row in enumerate(intervals) if row["low"] > 0}
        assert not beaten & set(np.flatnonzero(chosen))
        assert chosen[values.argmax()]
        n_smaller += chosen.sum() < 4 - len(beaten)
    assert n_smaller > 5


def test_arms_that_differ_by_the_same_on_every_resample_differ_for_certain():
    values = np.array([0.5, 0.5, 0.4])
    resampled = np.tile(values[:, None], 10)
    assert best_set(values, resampled, 50).tolist() == [True, True, False]


def test_an_added_variance_keeps_an_arm_in_the_set():
    values, resampled = independent([0.0, -3.5])
    assert best_set(values, resampled, MANY).tolist() == [True, False]
    assert best_set(values, resampled, MANY, np.full((2, 2), 4.0)).tolist() == [True, True]


def test_no_set_without_values():
    values, resampled = independent([0.1, 0.2])
    assert best_set(np.array([0.1, np.nan]), resampled, 50) is None
    resampled[0, : len(resampled[0]) // 10] = np.nan
    assert best_set(values, resampled, 50) is None
    assert best_set(*independent([0.1, 0.2]), 1) is None
    assert best_set(*independent([0.1]), 50).tolist() == [True]


def test_the_questions_named_tell_two_arms_apart_with_probability_four_fifths():
    """One pair of normal means: the two-sided 5% test's power by its definition."""
    resampled = np.array([[0.02, -0.02] * 500]) + 0.03  # standard error 0.02 around a difference of 0.03
    (n,) = questions_needed(np.array([0.03]), resampled, MANY)
    (error,), critical = metrics.max_t(np.array([0.03]), resampled, MANY)
    shift = 0.03 / (error * np.sqrt(MANY / n))
    assert norm.sf(critical - shift) == pytest.approx(0.8, abs=1e-3)


def test_questions_are_named_only_where_they_can_tell():
    resampled = np.array([[0.1, -0.1] * 50, [0.3] * 100, [np.nan] * 100])
    assert questions_needed(np.array([0.0, 0.3, 0.1]), resampled, 50) == [None, None, None]
    assert questions_needed(np.array([0.1]), resampled[:1], 1) == [None]
    never_what_was_observed = 0.5 + 1e-9 * np.random.default_rng(0).standard_normal((1, 1000))
    assert questions_needed(np.array([0.1]), never_what_was_observed, 50) == [None]

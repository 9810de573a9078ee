import numpy as np
import pytest
from scipy import stats

from scoring import guaranteed_thresholds
from scoring.guaranteed_thresholds import guaranteed_threshold, target_errors


def answers(*groups):
    """Groups of (confidence, number right, number wrong) as arrays."""
    confidence = np.concatenate([np.full(right + wrong, value) for value, right, wrong in groups])
    is_correct = np.concatenate([np.arange(right + wrong) < right for _, right, wrong in groups])
    return confidence, is_correct


def test_targets_are_the_users_and_two_fixed_ones():
    assert target_errors(0.05) == [0.05, 0.1, 0.2]
    assert target_errors(0.1) == [0.1, 0.2]
    assert target_errors(0.3) == [0.1, 0.2, 0.3]


def test_by_hand_the_walk_goes_down_to_the_last_threshold_that_the_binomial_tail_allows():
    # 100 answers at 0.95 without an error, 100 at 0.9 with 10, 100 at 0.5 with 60
    confidence, is_correct = answers((0.95, 100, 0), (0.9, 90, 10), (0.5, 40, 60))
    assert stats.binom.cdf(10, 200, 0.1) <= 0.05 / 5 < stats.binom.cdf(70, 300, 0.1)
    assert guaranteed_threshold(confidence, is_correct, 0.1) == {
        "target_error": 0.1, "n": 300, "threshold": 0.51, "coverage": 200 / 300, "n_used": 200, "n_wrong": 10,
    }  # fmt: skip
    # at 0.05 ten errors in 200 are too many, none in 100 is not
    assert stats.binom.cdf(0, 100, 0.05) <= 0.05 / 5 < stats.binom.cdf(10, 200, 0.05)
    found = guaranteed_threshold(confidence, is_correct, 0.05)
    assert (found["threshold"], found["n_used"], found["n_wrong"]) == (0.91, 100, 0)


def test_without_a_guarantee_everything_is_null():
    confidence, is_correct = answers((0.95, 20, 0))
    assert stats.binom.cdf(0, 20, 0.05) > 0.05
    assert guaranteed_threshold(confidence, is_correct, 0.05) == {
        "target_error": 0.05, "n": 20, "threshold": None, "coverage": None, "n_used": None, "n_wrong": None,
    }  # fmt: skip
    assert guaranteed_threshold(np.array([]), np.array([], dtype=bool), 0.05)["threshold"] is None


def test_a_later_start_finds_what_too_few_answers_hide_from_an_earlier_one():
    # from 0.98 and from 0.95 on there are 5 answers only; from 0.9 on enough
    confidence, is_correct = answers((0.99, 5, 0), (0.9, 200, 2))
    assert guaranteed_threshold(confidence, is_correct, 0.05)["n_used"] == 207


def test_a_good_group_below_a_bad_one_is_not_reached():
    # Above 0.7 the error rate is 1/2; below, all together would pass. Each walk stops at its first failure.
    confidence, is_correct = answers((0.85, 50, 50), (0.3, 5000, 0))
    assert stats.binom.cdf(50, 5100, 0.05) < 1e-9
    assert guaranteed_threshold(confidence, is_correct, 0.05)["threshold"] is None


def test_missing_confidences_count_and_are_never_used():
    confidence, is_correct = answers((0.95, 150, 0))
    confidence, is_correct = np.append(confidence, [np.nan] * 50), np.append(is_correct, [False] * 50)
    found = guaranteed_threshold(confidence, is_correct, 0.05)
    assert (found["n"], found["n_used"], found["coverage"]) == (200, 150, 0.75)


@pytest.mark.parametrize("start", guaranteed_thresholds.STARTS)
def test_every_start_lies_on_the_grid_exactly(start):
    assert start == guaranteed_thresholds.GRID[round(start * 100)]


@pytest.mark.parametrize("target", [0.01, 0.05, 0.1, 0.2, 0.5])
def test_the_tail_is_that_of_scipys_binomial(target):
    wrong, used = np.meshgrid(np.arange(40), np.append(np.arange(200), 10_000))
    wrong, used = wrong[wrong <= used], used[wrong <= used]
    np.testing.assert_allclose(
        guaranteed_thresholds.bdtr(wrong, used, target), stats.binom.cdf(wrong, used, target), rtol=1e-9, atol=1e-300
    )


def test_the_starts_share_the_error_level():
    """Without an error n answers meet 5% by chance with probability 0.95 ** n, which a fifth of 0.05 allows from 90."""
    assert 0.95**90 <= 0.05 / 5 < 0.95**89
    assert guaranteed_threshold(*answers((0.99, 89, 0)), 0.05)["threshold"] is None
    assert guaranteed_threshold(*answers((0.99, 90, 0)), 0.05)["n_used"] == 90


def test_the_walk_may_end_at_zero_where_every_answer_is_used():
    found = guaranteed_threshold(*answers((0.99, 200, 0), (0.0, 50, 0)), 0.05)
    assert (found["threshold"], found["coverage"], found["n_used"]) == (0.0, 1.0, 250)

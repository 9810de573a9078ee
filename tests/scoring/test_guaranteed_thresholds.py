import numpy as np
import pytest
from scipy import stats

from scoring import guaranteed_thresholds
from scoring.guaranteed_thresholds import (
    ERROR_LEVEL,
    GRID,
    STARTS,
    coverage_lower_bound,
    guaranteed_threshold,
    rejected_by_fallback,
    target_errors,
)


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
    # 100 answers at 0.95 without an error, 100 at 0.9 with 8, 100 at 0.5 with 60
    confidence, is_correct = answers((0.95, 100, 0), (0.9, 92, 8), (0.5, 40, 60))
    assert stats.binom.cdf(8, 200, 0.1) <= 2 * 0.05 / 7 < stats.binom.cdf(68, 300, 0.1)
    assert guaranteed_threshold(confidence, is_correct, 0.1) == {
        "target_error": 0.1, "n": 300, "threshold": 0.9, "coverage": 200 / 300, "n_used": 200, "n_wrong": 8,
    }  # fmt: skip
    # at 0.05 eight errors in 200 are too many, none in 100 is not
    assert stats.binom.cdf(0, 100, 0.05) <= 0.05 / 7 < 3 * 0.05 / 7 < stats.binom.cdf(8, 200, 0.05)
    found = guaranteed_threshold(confidence, is_correct, 0.05)
    assert (found["threshold"], found["n_used"], found["n_wrong"]) == (0.95, 100, 0)


def test_without_a_guarantee_everything_is_null():
    confidence, is_correct = answers((0.95, 20, 0))
    assert stats.binom.cdf(0, 20, 0.05) > 0.05
    assert guaranteed_threshold(confidence, is_correct, 0.05) == {
        "target_error": 0.05, "n": 20, "threshold": None, "coverage": None, "n_used": None, "n_wrong": None,
    }  # fmt: skip
    assert guaranteed_threshold(np.array([]), np.array([], dtype=bool), 0.05)["threshold"] is None


def test_a_later_start_finds_what_too_few_answers_hide_from_an_earlier_one():
    # from 0.95 on there are 5 answers only; from 0.9 on enough
    confidence, is_correct = answers((0.99, 5, 0), (0.9, 200, 2))
    assert guaranteed_threshold(confidence, is_correct, 0.05)["n_used"] == 207


def test_what_is_plain_at_the_very_top_is_seen():
    confidence, is_correct = answers((1.0, 2500, 0), (0.98, 2000, 500))
    found = guaranteed_threshold(confidence, is_correct, 0.05)
    assert (found["threshold"], found["n_used"], found["n_wrong"]) == (1.0, 2500, 0)


def test_of_thresholds_that_use_the_same_answers_the_highest_certified_one_is_given():
    # Nothing lies between 0.95 and 0.3: every threshold from 0.31 to 0.95 uses the same 303 answers.
    found = guaranteed_threshold(*answers((0.95, 300, 3), (0.3, 0, 100)), 0.05)
    assert (found["threshold"], found["n_used"]) == (0.95, 303)
    # The same from 0.93 on, which is no start: the walk from 0.95 has found nothing, that from 0.9 starts below.
    found = guaranteed_threshold(*answers((0.93, 300, 3), (0.3, 0, 100)), 0.05)
    assert (found["threshold"], found["n_used"]) == (0.9, 303)


def test_a_good_group_below_a_bad_one_is_not_reached():
    # At 0.2 half are wrong; below it all together would pass, but no start lies there and the level was lost.
    confidence, is_correct = answers((0.25, 50, 50), (0.15, 5000, 0))
    assert stats.binom.cdf(50, 5100, 0.05) < 1e-9
    assert guaranteed_threshold(confidence, is_correct, 0.05)["threshold"] is None


def test_missing_confidences_count_and_are_never_used():
    confidence, is_correct = answers((0.95, 150, 0))
    confidence, is_correct = np.append(confidence, [np.nan] * 50), np.append(is_correct, [False] * 50)
    found = guaranteed_threshold(confidence, is_correct, 0.05)
    assert (found["n"], found["n_used"], found["coverage"]) == (200, 150, 0.75)


@pytest.mark.parametrize("start", STARTS)
def test_every_start_lies_on_the_grid_exactly(start):
    assert start == GRID[round(start * 100)]


@pytest.mark.parametrize("target", [0.01, 0.05, 0.1, 0.2, 0.5])
def test_the_tail_is_that_of_scipys_binomial(target):
    wrong, used = np.meshgrid(np.arange(40), np.append(np.arange(200), 10_000))
    wrong, used = wrong[wrong <= used], used[wrong <= used]
    np.testing.assert_allclose(
        guaranteed_thresholds.bdtr(wrong, used, target), stats.binom.cdf(wrong, used, target), rtol=1e-9, atol=1e-300
    )


def test_the_starts_share_the_error_level():
    """Without an error n answers meet 5% by chance with probability 0.95 ** n, which 0.05 / 7 allows from 97."""
    assert 0.95**97 <= 0.05 / 7 < 0.95**96
    assert guaranteed_threshold(*answers((1.0, 96, 0)), 0.05)["threshold"] is None
    assert guaranteed_threshold(*answers((1.0, 97, 0)), 0.05)["n_used"] == 97


def test_the_walk_may_end_at_zero_where_every_answer_is_used():
    found = guaranteed_threshold(*answers((0.99, 200, 0), (0.0, 50, 0)), 0.05)
    assert (found["threshold"], found["coverage"], found["n_used"]) == (0.0, 1.0, 250)


# --- the fallback procedure ------------------------------------------------------------------------------------------


def test_a_rejected_hypothesis_passes_its_level_on_and_a_standing_one_keeps_nothing():
    share = ERROR_LEVEL / len(STARTS)
    p_values = np.ones(101)
    p_values[100:94:-1] = share  # the walk from 1.00 reaches 0.95 ...
    p_values[95] = 2 * share  # ... and there has two shares
    p_values[94] = 2.001 * share  # too much: the level is lost
    p_values[93:90:-1] = 0.0  # without a level of their own nothing rejects them
    p_values[90] = 1.001 * share  # one share again, not three
    p_values[80] = 0.999 * share
    assert np.flatnonzero(rejected_by_fallback(p_values)).tolist() == [80, 95, 96, 97, 98, 99, 100]


def test_all_levels_together_reach_the_end_when_everything_is_rejected():
    p_values = np.zeros(101)
    p_values[:21] = 0.05
    assert rejected_by_fallback(p_values).all()
    p_values[0] = 0.0501
    assert np.flatnonzero(~rejected_by_fallback(p_values)).tolist() == [0]


@pytest.mark.parametrize("truths", ["all", "starts", "every other", "below 0.9", "one"])
def test_the_fallback_rejects_a_true_hypothesis_in_at_most_five_percent(truths):
    """Independent p-values, the worst case of the union bound up to (1 - 0.05/7) ** 7; those of false ones are 0."""
    rng = np.random.default_rng(0)
    is_true = {
        "all": np.ones(101, dtype=bool), "starts": np.isin(GRID, STARTS), "every other": np.arange(101) % 2 == 0,
        "below 0.9": GRID < 0.9, "one": GRID == 0.2,
    }[truths]  # fmt: skip
    false_rejections = 0
    for _ in range(3000):
        rejected = rejected_by_fallback(np.where(is_true, rng.random(101), 0.0))
        false_rejections += (rejected & is_true).any()
    assert false_rejections / 3000 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 3000)
    assert false_rejections > 0


# --- the lower bound of the coverage ---------------------------------------------------------------------------------


def test_the_lower_bound_of_the_coverage_is_clopper_and_pearsons_at_the_shared_level():
    confidence, is_correct = answers((1.0, 500, 0), (0.3, 250, 250))
    (low, _) = stats.binomtest(500, 1000).proportion_ci(1 - 2 * 0.025 / 101)
    assert coverage_lower_bound(confidence, is_correct, 0.05) == pytest.approx(low, rel=1e-9)
    assert 0.44 < low < 0.45


def test_the_lower_bound_of_the_coverage_is_zero_where_none_was_certified_and_none_without_answers():
    assert coverage_lower_bound(*answers((1.0, 20, 0)), 0.05) == 0.0
    assert coverage_lower_bound(np.array([]), np.array([], dtype=bool), 0.05) is None
    assert coverage_lower_bound(np.full(50, np.nan), np.ones(50, dtype=bool), 0.05) == 0.0

import numpy as np
import pytest

from scoring import metrics, utility

NAN = float("nan")


def test_the_worth_of_answers_by_hand():
    confidence = np.array([0.95, 0.9, 0.9, 0.89, NAN])
    is_correct = np.array([True, True, False, False, True])
    # At cost 9 answers are given from 0.9 on: 1 + 1 - 9 of 5; at cost 1 from 0.5 on: 1 + 1 - 1 - 1.
    assert utility.expected_utility(confidence, is_correct, 9) == pytest.approx(-7 / 5)
    assert utility.expected_utility(confidence, is_correct, 1) == 0
    assert utility.expected_utility(confidence, is_correct, 19) == pytest.approx(1 / 5)
    assert utility.share_given(confidence, 9) == 3 / 5


def test_nothing_has_a_value_without_answers():
    empty = np.array([]), np.array([], dtype=bool)
    assert utility.expected_utility(*empty, 9) is None
    assert utility.share_given(empty[0], 9) is None
    weights = np.ones((3, 2), dtype=np.uint8)
    resampled = utility.resampled_utilities(*empty, np.array([], dtype=int), weights, [9, 19])
    assert resampled.shape == (2, 3) and np.isnan(resampled).all()
    assert utility.resampled_utilities(*empty, np.array([], dtype=int), weights, []).shape == (0, 3)


@pytest.mark.parametrize(("cost", "stated"), [(1, 0.5), (3, 0.75), (4, 0.8), (9, 0.9), (19, 0.95), (99, 0.99)])
def test_a_stated_confidence_equal_to_the_break_even_is_enough(cost, stated):
    """The numbers that a confidence can be are hundredths; a quotient must not miss them by a bit."""
    assert utility.break_even(cost) == stated == round(100 * stated) / 100
    assert utility.share_given(np.array([stated]), cost) == 1


@pytest.mark.parametrize("cost", [1, 9, 19, 0.5])
def test_answering_from_the_break_even_on_is_the_best_policy_for_a_calibrated_confidence(cost):
    """No other threshold earns more: the definition of the break-even, by trial of every threshold."""
    rng = np.random.default_rng(3)
    confidence = np.round(rng.random(400_000), 1)
    is_correct = rng.random(400_000) < confidence
    worth = np.where(is_correct, 1.0, -cost)
    by_threshold = {t: np.mean(np.where(confidence >= t, worth, 0)) for t in np.arange(12) / 10}
    value = utility.expected_utility(confidence, is_correct, cost)
    assert value == pytest.approx(max(by_threshold.values()), abs=0.01)


def test_a_resample_equals_the_mean_over_replicated_records():
    rng = np.random.default_rng(4)
    confidence = np.where(rng.random(90) < 0.2, NAN, np.round(rng.random(90), 2))
    is_correct, question = rng.random(90) < 0.6, rng.integers(30, size=90)
    weights = metrics.question_resamples(30, rng, resamples=20)
    resampled = utility.resampled_utilities(confidence, is_correct, question, weights, [1, 9])
    for row, values in zip(weights, resampled.T, strict=True):
        copies = row[question]
        replicated = np.repeat(confidence, copies), np.repeat(is_correct, copies)
        assert list(values) == pytest.approx([utility.expected_utility(*replicated, cost) for cost in (1, 9)])


def test_the_added_variance_is_that_of_two_pseudo_questions_by_hand():
    # First arm right and second wrong: 1 - (-9); the reverse: -9 - 1. Both divided by the 100 questions.
    variances = utility.pseudo_variances(np.array([1.0, 0.5, 0.0]), 9, 100)
    assert variances[0, 1] == variances[1, 0] == pytest.approx(2 * 10**2 / 100**2)
    assert variances[0, 2] == variances[2, 0] == pytest.approx((1 + 9**2) / 100**2)  # the third withholds both
    assert not utility.pseudo_variances(np.zeros(2), 9, 100).any()


def test_the_name_of_a_cost_is_as_short_as_the_number():
    assert [utility.utility_name(cost) for cost in (1.0, 9, 0.5, 1_000_000.0)] == [
        "utility_at_cost_1", "utility_at_cost_9", "utility_at_cost_0.5", "utility_at_cost_1000000"
    ]  # fmt: skip

"""A short version of checks/simulate_statistics.py; its bands leave room for 200 repetitions (fixed seeds)."""
import numpy as np
import pytest

from checks import simulate_statistics as simulate
from scoring import metrics


def rng():
    return np.random.default_rng(3)


def test_the_truth_of_a_population_is_what_many_records_show():
    population = simulate.spread_population()
    confidence, is_correct, question = population.draw(200_000, 1, rng())
    weights = np.ones((1, 200_000), dtype=np.uint8)
    measured = metrics.resampled_metrics(confidence, is_correct, question, weights, simulate.TARGET_ERROR)
    truth = population.truth()
    assert {name: measured[name][0] for name in truth} == pytest.approx(truth, abs=0.02)


def test_intervals_contain_the_truth_about_as_often_as_they_say():
    shares = simulate.interval_coverage(200, 200, rng())
    assert shares.keys() == metrics.METRICS.keys()
    assert all(0.90 <= share <= 0.99 for share in shares.values()), shares


def test_the_ece_of_calibrated_records_lies_in_its_range():
    assert 0.90 <= simulate.calibrated_ece_coverage(200, 200, rng()) <= 0.99


def test_a_guaranteed_threshold_fails_in_at_most_five_percent():
    failures = simulate.guarantee_failures(1000, 400, rng())
    assert failures["spread"] <= 0.05
    assert 0 < failures["at the edge"] <= 0.07  # there nothing but chance protects: 0.05 and three standard errors


def test_equal_arms_are_rarely_told_apart():
    assert simulate.false_verdicts(200, 100, rng()) <= 0.1


def test_a_planted_difference_is_found_by_pairing_only():
    found = simulate.planted_difference(600, 40, rng())
    assert found["paired"] > 0.8
    assert found["unpaired"] < 0.2

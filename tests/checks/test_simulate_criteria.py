"""A short version of checks/simulate_criteria.py; its bands leave room for few repetitions (fixed seeds)."""
import numpy as np
import pytest

from checks import simulate_criteria as simulate
from checks.populations import FOR_INTERVALS
from scoring.utility import expected_utility


def rng():
    return np.random.default_rng(4)


@pytest.fixture(autouse=True)
def fewer_questions(monkeypatch):
    """The truth from a tenth of the questions is near enough for these bands."""
    monkeypatch.setattr(simulate, "MANY", 40_000)


def test_equal_arms_are_rarely_told_apart_by_any_criterion(monkeypatch):
    monkeypatch.setattr(simulate, "GAINS", {"equal": [0.0] * 3})
    failures = simulate.criterion_failures(200, 40, rng())
    assert failures.keys() == {f"equal, {name}" for name in simulate.NAMES}
    assert all(share <= 0.15 for share in failures.values()), failures


def test_the_best_set_finds_a_better_arm_more_often_than_all_pairs_and_keeps_it():
    shares = simulate.best_sets(600, 30, rng())
    assert shares["equal: best left out"] <= 0.2
    assert shares["one better: best left out"] <= 0.1
    assert shares["found alone"] >= shares["by all pairs"]
    assert shares["found alone"] > 0.1


def test_arms_that_differ_by_the_limit_are_rarely_called_equivalent_and_equal_ones_are():
    shares = simulate.equivalence(1500, 20, rng())
    assert shares["different by it"] <= 0.1
    assert shares["equal"] > 0.8


def test_the_utility_of_a_population_is_what_many_answers_show_and_the_intervals_contain_it(monkeypatch):
    population = FOR_INTERVALS["half at 1.00"]
    confidence, is_correct, _, _ = population.draw(200_000, 1, 0.0, rng())
    for cost in simulate.COSTS:
        assert expected_utility(confidence, is_correct, cost) == pytest.approx(population.utility(cost), abs=0.02)
    monkeypatch.setattr(simulate, "FOR_INTERVALS", {"half at 1.00": population})
    shares = simulate.utility_intervals(100, 60, rng())
    assert len(shares) == 3 and all(share > 0.8 for share in shares.values()), shares

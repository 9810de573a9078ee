"""Which thresholds are certified: counts against brute force, tests and levels against numbers made by hand."""
from math import comb

import numpy as np
import pytest
from made_tiers import random_tier, tier

from cascade.certificate import (
    ERROR_LEVEL,
    GRID,
    READINGS,
    cheapest_certified,
    fallback,
    p_values,
    start_levels,
    walks,
)
from cascade.routing import route
from cascade.search import Cascade, candidate_level, candidates, cheapest, search


@pytest.mark.parametrize("n_tiers", [1, 2, 3])
@pytest.mark.parametrize("rule", ["plain", "uncertainty"])
def test_the_counts_of_every_walk_are_those_of_routing_each_question(n_tiers, rule):
    rng = np.random.default_rng(n_tiers)
    tiers = [random_tier(60, rng) for _ in range(n_tiers)]
    found = walks(tiers, rule, 7.0)
    for walk in found[:: max(1, len(found) // 15)]:
        for step in (0, 1, 5, 20, 49, 50, 99, 100):
            routed = route(tiers, walk.thresholds(step), 7.0)
            assert walk.n_automated[step] == routed.is_automated.sum()
            assert walk.n_wrong[step] == routed.is_wrong.sum()
            assert walk.cost[step] == pytest.approx(routed.cost.sum())


def test_a_confidence_on_a_threshold_passes_it():
    for value in (0.0, 0.29, 0.57, 0.58, 1.0):  # 0.29 x 100 is below 29 in floats
        (walk,) = walks([tier([value], [True])], "plain", 1.0)
        assert walk.n_automated.tolist() == [int(value >= threshold) for threshold in GRID.tolist()]


def test_p_values_are_binomial_tails_of_the_reading():
    used, wrong = np.array([50, 20, 0]), np.array([1, 3, 0])

    def tail(k, n, p):
        return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))

    of_automated = p_values(used, wrong, 80, "wrong_of_automated", 0.1)
    assert of_automated == pytest.approx([tail(1, 50, 0.1), tail(3, 20, 0.1), 1.0])
    of_all = p_values(used, wrong, 80, "automated_and_wrong", 0.1)
    assert of_all == pytest.approx([tail(1, 80, 0.1), tail(3, 80, 0.1), tail(0, 80, 0.1)])


def test_fallback_hands_the_level_of_a_rejection_to_the_next_test_and_loses_it_otherwise():
    p = np.array([[0.010, 0.030, 0.060], [0.015, 0.001, 0.030]])
    own = np.array([[0.010, 0.020, 0.000], [0.010, 0.000, 0.020]])
    # 0.010 at 0.01: yes. 0.030 at 0.02 + 0.01: yes. 0.060 at 0 + 0.03: no. 0.015 at 0.01: no. 0.001 at 0: no. 0.03: no
    used = fallback(p, own)
    assert used[0, :2] == pytest.approx([0.01, 0.03])
    assert np.isnan(used[0, 2]) and np.isnan(used[1]).all()


def test_without_a_level_nothing_is_rejected_however_small_the_p_value():
    assert np.isnan(fallback(np.zeros(3), np.zeros(3))).all()


@pytest.mark.parametrize(("n_early", "n_last"), [(1, 1), (1, 15), (2, 3)])
def test_the_levels_of_the_whole_search_add_up_to_the_error_level(n_early, n_last):
    rng = np.random.default_rng(0)
    tiers = [random_tier(5, rng, p_missing=0) for _ in range(n_early + n_last)]
    cascade = Cascade(tiers[:n_early], tiers[n_early:], 1.0)
    total = sum(
        start_levels(len(walks(one.tiers(cascade), one.rule, 1.0)), reading, candidate_level(one, cascade)).sum()
        for one in candidates(cascade)
        for reading in READINGS
    )
    assert total == pytest.approx(ERROR_LEVEL, rel=1e-9)


def test_the_cheapest_certified_setting_by_hand():
    # 400 answers at 0.9, all right, and 400 at 0.5, all wrong; the expert costs 1, the tier 0.1
    one = tier([0.9] * 400 + [0.5] * 400, [True] * 400 + [False] * 400, cost=0.1)
    found = cheapest_certified(walks([one], "plain", 1.0), 800, "wrong_of_automated", 0.05, 0.05)
    # Nothing is sure enough for the start at 0.95; from that at 0.8 on, 0.80 to 0.51 cost the same: the strictest
    assert found.thresholds.confidence == (0.8,)
    assert (found.n_automated, found.n_wrong, found.cost) == (400, 0, pytest.approx(0.6))
    assert found.p_value == pytest.approx(0.95**400)


def test_nothing_is_certified_where_errors_are_at_the_target_or_answers_few():
    rng = np.random.default_rng(3)
    bad = tier(np.round(rng.random(500), 2), rng.random(500) < 0.9)
    few = tier([0.9] * 30, [True] * 30)
    for one in (bad, few):
        assert cheapest_certified(walks([one], "plain", 1.0), len(one), "wrong_of_automated", 0.05, 0.05) is None


def test_a_single_permutation_leaves_the_plain_rule():
    one = tier([0.9] * 10, [True] * 10)
    certain = tier([0.9] * 10, [True] * 10, [0.0] * 10)
    assert {found.rule for found in candidates(Cascade([one], [certain], 1.0))} == {"plain"}
    assert {found.rule for found in candidates(Cascade([certain], [certain], 1.0))} == {"plain", "uncertainty"}


def test_the_search_finds_the_cheap_cell_and_none_dearer_than_the_expert():
    rng = np.random.default_rng(5)
    n = 600
    weak = tier(np.full(n, 0.7), rng.random(n) < 0.3, cost=0.01)
    cells = [tier(np.full(n, 0.9), np.ones(n, bool), cost=cost) for cost in (0.4, 0.2, 1.5)]
    found = search(Cascade([weak], cells, 1.0), 0.05)["wrong_of_automated"]
    best = cheapest(found, 1.0)
    assert (best.cell, best.runs) == (1, (1,))
    of_dear = {one: certified for one, certified in found.items() if one.cell == 2}
    assert any(of_dear.values())
    assert cheapest(of_dear, 1.0) is None

"""The rule: who answers a question, and what that costs."""
import numpy as np
import pytest
from made_tiers import random_tier, tier

from cascade.judgement import oracle
from cascade.routing import Thresholds, route


def test_the_plain_rule_hands_on_what_is_not_sure_enough():
    edge = tier([0.9, 0.9, 0.89, 0.1, None], [1, 0, 1, 1, 1], cost=1)
    cloud = tier([0.0, 0.0, 0.5, 0.4, 0.5], [0, 0, 0, 1, 1], cost=10)
    routed = route([edge, cloud], Thresholds((0.9, 0.5), None), expert_cost=100)
    assert routed.answered_by.tolist() == [0, 0, 1, 2, 1]
    assert routed.is_wrong.tolist() == [False, True, True, False, False]
    assert routed.cost.tolist() == [1, 1, 11, 111, 11]


def test_the_uncertainty_rule_sends_the_uncertain_on_and_the_unsure_to_the_expert():
    edge = tier([0.9, 0.5, 0.9, 0.9, 0.9], [1, 1, 0, 0, 1], [0.09, 0.09, 0.1, None, 0.2], cost=1, cost_of_all=3)
    cloud = tier([0.9, 0.9, 0.9, 0.4, 0.9], [1, 1, 0, 1, 1], [0.0, 0.0, 0.0, 0.0, 0.1], cost=10, cost_of_all=30)
    routed = route([edge, cloud], Thresholds((0.9, 0.5), (0.1, 0.1)), expert_cost=100)
    # certain and sure: edge; certain and unsure: expert at once; uncertain or unknown: cloud, which has no next tier
    assert routed.answered_by.tolist() == [0, 2, 1, 2, 2]
    assert routed.is_wrong.tolist() == [False, False, True, False, False]
    assert routed.cost.tolist() == [3, 103, 33, 133, 133]


def test_the_oracle_is_the_cheapest_of_all_choices_that_are_right():
    rng = np.random.default_rng(1)
    tiers = [random_tier(50, rng), random_tier(50, rng)]
    judged = oracle(tiers, 0, 0.7).routed
    for place in range(50):
        prices = [one.cost["plain"][place] for one in tiers if one.is_correct[place]]
        assert judged.cost[place] == pytest.approx(min([0.7, *prices]))
    assert not judged.is_wrong.any()
    assert 0 < judged.is_automated.mean() < 1

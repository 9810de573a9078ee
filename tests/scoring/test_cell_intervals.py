import json
import warnings

import numpy as np
import pytest
from scipy import stats

from scoring import cell_intervals, metrics
from scoring.cell_intervals import (
    FEWEST_OF_A_CLASS,
    FEWEST_QUESTIONS,
    SPANS,
    metric_intervals,
    pseudo_confidences,
    wilson_interval,
)
from scoring.utility import expected_utility

NAN = float("nan")
WITH_INTERVAL = set(metrics.METRICS) - {"coverage_at_target"}


def random_records(seed, n=300, decimals=2):
    rng = np.random.default_rng(seed)
    confidence = np.round(rng.beta(2, 1, size=n), decimals)
    return confidence, rng.random(n) < 0.2 + 0.6 * confidence


def width(interval):
    return interval["high"] - interval["low"]


# --- Wilson's ends ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("right", "n"), [(0, 12), (1, 12), (7, 12), (20, 20), (485, 500)])
def test_wilsons_ends_are_those_of_scipy(right, n):
    expected = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right / n, n, stats.norm.ppf(0.975)) == pytest.approx((expected.low, expected.high))


def test_twenty_right_answers_of_twenty_do_not_make_a_model_that_is_always_right():
    interval = metric_intervals(np.full(20, 0.9), np.ones(20, dtype=bool), np.arange(20), 0.05)["accuracy"]
    assert interval == pytest.approx({"low": 20 / (20 + stats.t.ppf(0.975, 19) ** 2), "high": 1.0})


@pytest.mark.parametrize("n_wrong", [0, 1, 7, 30, 60])
def test_with_one_permutation_the_accuracy_has_wilsons_interval_with_students_t(n_wrong):
    interval = metric_intervals(np.full(60, NAN), np.arange(60) >= n_wrong, np.arange(60), 0.05)["accuracy"]
    ends = wilson_interval(1 - n_wrong / 60, 60, stats.t.ppf(0.975, 59))
    assert [interval["low"], interval["high"]] == pytest.approx(ends, abs=1e-12)


def test_permutations_that_agree_are_one_answer_and_independent_ones_are_many():
    confidence, is_correct = random_records(1, n=100)
    once = metric_intervals(confidence, is_correct, np.arange(100), 0.2)
    agreeing = metric_intervals(
        np.repeat(confidence, 5), np.repeat(is_correct, 5), np.repeat(np.arange(100), 5), 0.2
    )
    for name in WITH_INTERVAL:
        assert agreeing[name] == pytest.approx(once[name], abs=0.015), name
    assert agreeing["accuracy"] == pytest.approx(once["accuracy"], abs=1e-12)
    confidence, is_correct = random_records(2, n=500)
    independent = metric_intervals(confidence, is_correct, np.arange(500) % 100, 0.2)
    for name in WITH_INTERVAL:
        assert width(independent[name]) < 0.65 * width(agreeing[name]), name  # sqrt(1/5) is 0.45


def test_the_design_effect_stays_between_one_and_the_number_of_permutations():
    answers = np.arange(100)
    alternating = metric_intervals(np.full(100, NAN), answers % 2 == 0, answers // 2, 0.05)["accuracy"]
    ends = wilson_interval(0.5, 100, stats.t.ppf(0.975, 49))  # each question half right: less varied than chance
    assert [alternating["low"], alternating["high"]] == pytest.approx(ends, abs=1e-12)


@pytest.mark.parametrize("n_wrong", [2, 45])
def test_an_interval_reaches_over_the_ends_around_the_observed_value_and_around_that_with_pseudo_questions(n_wrong):
    confidence, is_correct = random_records(8, n=50)[0], np.arange(50) >= n_wrong
    found = metric_intervals(confidence, is_correct, np.arange(50), 0.2)["brier"]
    observed = metrics.observed_metrics(confidence, is_correct, 0.2)["brier"]
    centre, error, _ = cell_intervals._jackknife(confidence, is_correct, np.arange(50), 0.2)
    n = centre["brier"] * (1 - centre["brier"]) / error["brier"] ** 2
    ends = [wilson_interval(value, n, stats.t.ppf(0.975, 49)) for value in (observed, centre["brier"])]
    assert found["low"] == pytest.approx(min(low for low, _ in ends), abs=1e-12)
    assert found["high"] == pytest.approx(max(high for _, high in ends), abs=1e-12)
    assert abs(observed - centre["brier"]) > 1e-3


# --- the jackknife ---------------------------------------------------------------------------------------------------


def test_the_standard_errors_are_those_of_the_ordinary_jackknife_over_records_with_the_pseudo_questions():
    confidence, is_correct = random_records(3, n=60)
    centre, error, n_groups = cell_intervals._jackknife(confidence, is_correct, np.arange(60), 0.2)
    middle = np.sort(confidence)[30]
    confidence = np.append(confidence, [middle, middle])
    is_correct = np.append(is_correct, [False, True])
    assert n_groups == 60
    left_out = [
        metrics.observed_metrics(np.delete(confidence, one), np.delete(is_correct, one), 0.2) for one in range(62)
    ]
    for name, value in metrics.observed_metrics(confidence, is_correct, 0.2).items():
        assert centre[name] == pytest.approx(value, abs=1e-12)
        if name != "coverage_at_target":
            replicas = np.array([one[name] for one in left_out])
            expected = np.sqrt(61 / 62 * np.sum((replicas - value) ** 2))
            assert error[name] == pytest.approx(expected, rel=1e-9), name


def test_the_standard_error_of_a_mean_is_the_known_one():
    confidence, is_correct = random_records(4, n=90)
    _, error, _ = cell_intervals._jackknife(confidence, is_correct, np.arange(90), 0.2)
    middle = np.sort(confidence)[45]
    losses = np.append((confidence - is_correct) ** 2, [middle**2, (1 - middle) ** 2])
    assert error["brier"] == pytest.approx(stats.sem(losses), rel=1e-9)


def test_leaving_out_groups_of_many_questions_gives_nearly_the_same_errors(monkeypatch):
    confidence, is_correct = random_records(5, n=2350)
    question_index = np.arange(2350) // 2
    grouped = metric_intervals(confidence, is_correct, question_index, 0.2)
    monkeypatch.setattr(cell_intervals, "MOST_GROUPS", 10_000)
    alone = metric_intervals(confidence, is_correct, question_index, 0.2)
    for name in WITH_INTERVAL:
        assert width(grouped[name]) == pytest.approx(width(alone[name]), rel=0.25), name


def test_pseudo_questions_have_the_usual_number_of_records_spread_over_the_observed_ones():
    confidence = np.append(np.arange(90) / 100, np.full(10, NAN))
    added = pseudo_confidences(np.random.default_rng(0).permutation(confidence), n_questions=20)
    assert added[:4].tolist() == [0.1, 0.3, 0.5, 0.7] and np.isnan(added[4])
    assert len(pseudo_confidences(np.array([0.2, 0.3]), 10)) == 1


# --- at the edges ----------------------------------------------------------------------------------------------------


EDGES = {
    "all right": (np.linspace(0, 1, 30), np.ones(30, dtype=bool)),
    "all wrong": (np.linspace(0, 1, 30), np.zeros(30, dtype=bool)),
    "one wrong, the surest": (np.linspace(0, 1, 30), np.arange(30) < 29),
    "one wrong, the least sure": (np.linspace(0, 1, 30), np.arange(30) > 0),
    "sure and right": (np.ones(30), np.ones(30, dtype=bool)),
    "sure and wrong": (np.ones(30), np.zeros(30, dtype=bool)),
    "a coin": (np.full(30, 0.5), np.arange(30) % 2 == 0),
    "split perfectly": (np.repeat([0.0, 1.0], 15), np.arange(30) >= 15),
    "without a confidence": (np.full(30, NAN), np.arange(30) % 2 == 0),
    "one confidence": (np.append(0.7, np.full(29, NAN)), np.arange(30) % 2 == 0),
}


@pytest.mark.parametrize(("confidence", "is_correct"), EDGES.values(), ids=EDGES)
def test_at_the_edges_an_interval_has_a_width_holds_the_value_and_stays_in_its_span(confidence, is_correct):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        intervals = metric_intervals(confidence, is_correct, np.arange(30), 0.05)
    assert intervals.keys() == WITH_INTERVAL
    values = metrics.observed_metrics(confidence, is_correct, 0.05)
    for name, interval in intervals.items():
        if interval is not None:
            low, high = SPANS.get(name, (0.0, 1.0))
            assert low <= interval["low"] <= values[name] <= interval["high"] <= high, name
            assert width(interval) > 0.01, name
    assert None not in (intervals["accuracy"], intervals["aurc"], intervals["augrc"])
    assert json.loads(json.dumps(intervals, allow_nan=False)) == intervals


def test_without_any_confidence_only_metrics_of_all_records_have_intervals():
    intervals = metric_intervals(*EDGES["without a confidence"], np.arange(30), 0.05)
    assert {name for name, interval in intervals.items() if interval} == {
        "accuracy", "aurc", "augrc", "e_aurc"
    }  # fmt: skip


def test_a_figure_that_is_the_same_whatever_the_answers_has_no_interval():
    assert metric_intervals(*EDGES["a coin"], np.arange(30), 0.05)["brier"] is None


def test_few_questions_have_no_interval_however_many_records_they_have():
    confidence, is_correct = random_records(6, n=100)
    few = metric_intervals(confidence, is_correct, np.arange(100) % (FEWEST_QUESTIONS - 1), 0.05)
    assert few.keys() == WITH_INTERVAL and set(few.values()) == {None}
    enough = metric_intervals(confidence, is_correct, np.arange(100) % FEWEST_QUESTIONS, 0.05)
    assert None not in enough.values()
    empty = metric_intervals(np.array([]), np.array([], dtype=bool), np.array([], dtype=int), 0.05)
    assert set(empty.values()) == {None}


def test_auroc_has_no_interval_from_few_questions_of_a_class():
    confidence, question_index = np.linspace(0, 1, 100), np.arange(100) // 2
    for n_wrong, has_interval in ((2 * FEWEST_OF_A_CLASS - 2, False), (2 * FEWEST_OF_A_CLASS, True)):
        for is_wrong in (np.arange(100) < n_wrong, np.arange(100) >= n_wrong):
            interval = metric_intervals(confidence, ~is_wrong, question_index, 0.05)["auroc"]
            assert (interval is not None) == has_interval, n_wrong


def test_question_numbers_may_have_gaps():
    confidence, is_correct = random_records(7, n=40)
    assert metric_intervals(confidence, is_correct, np.arange(40) * 7, 0.2) == metric_intervals(
        confidence, is_correct, np.arange(40), 0.2
    )


def test_the_utility_has_an_interval_in_its_own_span_unless_every_answer_is_withheld():
    confidence, is_correct = random_records(7, n=80)
    confidence = 0.9 * confidence
    intervals = metric_intervals(confidence, is_correct, np.arange(80), 0.05, [1, 1e6])
    low, high = intervals["utility_at_cost_1"].values()
    assert -1 <= low < expected_utility(confidence, is_correct, 1) < high <= 1
    assert intervals["utility_at_cost_1000000"] is None
    without_costs = metric_intervals(confidence, is_correct, np.arange(80), 0.05)
    assert without_costs == {name: value for name, value in intervals.items() if not name.startswith("utility")}


def test_the_interval_of_a_utility_counts_one_more_right_and_one_more_wrong_answer():
    """None of 50 answers is wrong: the spread is that of the two added questions alone, a loss of 20 and no gain."""
    intervals = metric_intervals(np.full(50, 0.99), np.ones(50, dtype=bool), np.arange(50), 0.05, [19])
    low, high = intervals["utility_at_cost_19"].values()
    assert high == 1
    jackknife = np.sqrt(20**2 / 52 * 51 / 52 / 51)  # of 51 answers worth 1 and one worth -19
    expected = 1 - stats.t.ppf(0.975, 49) * np.sqrt(jackknife**2 + 20**2 / 50**2)
    assert low == pytest.approx(expected, rel=0.02)

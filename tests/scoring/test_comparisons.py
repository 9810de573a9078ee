from dataclasses import replace

import numpy as np
import pytest
from readings_and_records import make_test_record

from checks.simulated_arms import make_arm, paired_arms
from evaluation_tool import summarise
from scoring import metrics
from scoring.comparisons import compare


def arms_of(n, *accuracies, seed=0):
    """Arms on the same n questions whose confidence tells right from wrong equally well; only accuracy differs."""
    rng = np.random.default_rng(seed)
    weights = metrics.question_resamples(n, rng)
    easiness, noise = rng.random(n), rng.random(n)
    return [
        make_arm(number / 4, np.round(0.5 * noise + 0.5 * (easiness < accuracy), 2), easiness < accuracy, weights)
        for number, accuracy in enumerate(accuracies)
    ]


def test_all_pairs_are_compared_on_the_same_resamples():
    arms = arms_of(100, 0.4, 0.6, 0.8)
    (entry,) = compare(arms, 100, 100)["by_budget"]
    rows = entry["differences"]["accuracy"]
    assert [(row["ratio"], row["against_ratio"]) for row in rows] == [(0, 0.25), (0, 0.5), (0.25, 0.5)]
    values = {arm.ratio: arm.values["accuracy"] for arm in arms}
    for row in rows:
        assert row["difference"] == pytest.approx(values[row["ratio"]] - values[row["against_ratio"]])
        assert row["interval"]["low"] < row["difference"] < row["interval"]["high"]
    assert entry["n_records"] == 300
    assert entry["n_missing"] == 0


def test_a_clear_difference_is_a_verdict():
    (entry,) = compare(arms_of(300, 0.3, 0.8, 0.3), 300, 300)["by_budget"]
    assert (entry["best_ratio"]["aurc"], entry["unbeaten_ratios"], entry["no_verdict"]) == (0.25, [0.25], None)
    assert "use ratio 0.25 (AURC 0." in entry["answer"]
    assert "Every other ratio is worse." in entry["answer"]


def test_equal_arms_cannot_be_told_apart():
    (entry,) = compare(paired_arms(200, [0.0] * 3, 0.6, np.random.default_rng(1)), 200, 200)["by_budget"]
    assert entry["unbeaten_ratios"] == [0.0, 0.25, 0.5]
    assert "no ratio is shown to be better than another. Ratio" in entry["answer"]


def test_some_beaten_and_some_not_are_both_named():
    (entry,) = compare(arms_of(300, 0.2, 0.8, 0.8), 300, 300)["by_budget"]
    assert entry["unbeaten_ratios"] == [0.25, 0.5]
    best = entry["best_ratio"]["aurc"]
    assert f"use ratio {best:g} (AURC" in entry["answer"]
    assert f"Ratio {0.75 - best:g} may be as good; 0 is worse." in entry["answer"]


def test_where_accuracy_would_choose_differently_the_answer_says_so():
    rng = np.random.default_rng(0)
    weights, easiness = metrics.question_resamples(300, rng), rng.random(300)
    knowing = make_arm(0.0, np.where(easiness < 0.6, 0.9, 0.1), easiness < 0.6, weights)  # AURC by ranking
    right_more_often = make_arm(1.0, np.round(rng.random(300), 2), easiness < 0.7, weights)
    (entry,) = compare([knowing, right_more_often], 300, 300)["by_budget"]
    assert entry["best_ratio"] == {"aurc": 0.0, "augrc": 0.0, "accuracy": 1.0, "coverage_at_target": 0.0}
    assert "To use every answer, take ratio 1 (accuracy" in entry["answer"]
    assert "Ratio 0 is best by AUGRC and coverage too." in entry["answer"]
    assert "chance" not in entry["answer"]  # the accuracies differ beyond chance: the questions are the same


def test_an_equal_accuracy_elsewhere_is_no_other_choice():
    rng = np.random.default_rng(0)
    weights, is_correct = metrics.question_resamples(100, rng), np.arange(100) < 60
    blind, knowing = np.full(100, 0.5), np.where(is_correct, 0.9, 0.1)
    arms = [make_arm(ratio, confidence, is_correct, weights) for ratio, confidence in ((0.0, blind), (1.0, knowing))]
    (entry,) = compare(arms, 100, 100)["by_budget"]
    assert entry["best_ratio"] == {"aurc": 1.0, "augrc": 1.0, "accuracy": 1.0, "coverage_at_target": 1.0}
    assert "alone" not in entry["answer"]


def test_where_nothing_can_be_covered_no_ratio_is_best_at_it():
    (entry,) = compare([*arms_of(100, 0.2, 0.3)], 100, 100)["by_budget"]
    wrong = [replace(arm, values=arm.values | {"coverage_at_target": 0.0}) for arm in arms_of(100, 0.2, 0.3)]
    assert entry["best_ratio"]["coverage_at_target"] is not None
    assert compare(wrong, 100, 100)["by_budget"][0]["best_ratio"]["coverage_at_target"] is None


@pytest.mark.parametrize(
    ("n", "n_units", "reason"),
    [(100, 102, "4 of 204 records"), (19, 19, "19 questions are too few")],
)
def test_no_verdict_with_records_missing_or_too_few_questions(n, n_units, reason):
    (entry,) = compare(arms_of(n, 0.2, 0.8), n_units, n)["by_budget"]
    assert entry["unbeaten_ratios"] is None
    assert reason in entry["no_verdict"]
    assert entry["answer"] == f"Total budget 200: no verdict, {entry['no_verdict']}."


def test_a_single_ratio_has_nothing_to_be_compared_with():
    (entry,) = compare(arms_of(100, 0.5), 100, 100)["by_budget"]
    assert (entry["no_verdict"], entry["differences"]["aurc"]) == ("only one ratio was run", [])


@pytest.mark.parametrize(("n_units", "missing", "has_verdict"), [(200, 4, True), (199, 4, False), (200, 5, False)])
def test_one_missing_record_in_a_hundred_is_still_a_verdict(n_units, missing, has_verdict):
    (entry,) = compare(without_confidences(arms_of(n_units, 0.2, 0.8), missing), n_units, n_units)["by_budget"]
    assert (entry["n_missing"], entry["n_records"]) == (missing, 2 * n_units)
    assert (entry["no_verdict"] is None) == has_verdict


def without_confidences(arms, n):
    """The first arm lacks n confidences; its figures stay as they are."""
    confidence = arms[0].columns.confidence("confidence").copy()
    confidence[:n] = np.nan
    columns = replace(arms[0].columns, numbers={"confidence": confidence})
    return [replace(arms[0], columns=columns), *arms[1:]]


def test_a_difference_in_coverage_has_no_interval():
    arms = arms_of(200, 0.2, 0.3)
    (entry,) = compare(arms, 200, 200)["by_budget"]
    (row,) = entry["differences"]["coverage_at_target"]
    assert row["difference"] == pytest.approx(
        arms[0].values["coverage_at_target"] - arms[1].values["coverage_at_target"]
    )
    assert row["interval"] is None
    assert entry["differences"]["aurc"][0]["interval"] is not None


def test_no_interval_reaches_beyond_what_a_difference_can_be():
    rng = np.random.default_rng(0)
    weights, is_correct = metrics.question_resamples(4, rng), np.array([True, True, True, False])
    arms = [make_arm(0.0, np.full(4, 0.9), is_correct, weights), make_arm(0.5, np.full(4, 0.1), ~is_correct, weights)]
    differences = compare(arms, 4, 4)["by_budget"][0]["differences"]
    ends = [end for rows in differences.values() for row in rows if row["interval"] for end in row["interval"].values()]
    assert ends and all(-1 <= end <= 1 for end in ends)
    assert differences["accuracy"][0]["interval"]["high"] == 1.0


def test_a_difference_in_coverage_that_may_be_chance_is_called_so():
    arms = paired_arms(200, [0.0] * 3, 0.6, np.random.default_rng(1))
    (entry,) = compare(arms, 200, 200)["by_budget"]
    intervals = [row["interval"] for row in entry["differences"]["coverage_at_target"]]
    assert intervals == [None] * 3
    other = entry["best_ratio"]["coverage_at_target"]
    assert other != entry["best_ratio"]["aurc"]
    assert f"To use most answers at the target error, take ratio {other:g} (coverage" in entry["answer"]
    here = next(arm for arm in arms if arm.ratio == entry["best_ratio"]["aurc"]).values["coverage_at_target"]
    assert f"against {here:.3f}, a difference that may be chance)." in entry["answer"]


def records_of(budget, ratio, accuracy, n=40):
    budgets = {"total_budget": budget, "answer_thinking_ratio": ratio}
    return [
        make_test_record(f"q{number:03}", 0.9 if number < accuracy * n else 0.1, number < accuracy * n, **budgets)
        for number in range(n)
    ]


def test_the_cell_compared_with_the_conventional_arm_is_chosen_by_the_grid_alone():
    """The largest budget, the ratio nearest 0.5, of two as near the larger: whatever the results are."""
    records = records_of(0, None, 0.25) + records_of(100, 0.5, 1.0)
    for ratio, accuracy in ((0.0, 0.9), (0.25, 0.5), (0.75, 0.5), (1.0, 0.9)):
        records += records_of(200, ratio, accuracy)
    conventional = summarise(records, 0.05, 1)["comparisons"]["conventional"]
    assert (conventional["total_budget"], conventional["answer_thinking_ratio"]) == (200, 0.75)
    assert conventional["differences"]["accuracy"]["difference"] == pytest.approx(0.25)
    assert conventional["differences"]["aurc"]["difference"] < 0
    assert "reasoning is better" in conventional["answer"]


@pytest.mark.parametrize(
    ("ratios", "chosen"), [((0.0, 0.4, 0.65), 0.4), ((0.35, 0.6, 1.0), 0.6), ((0.25, 0.75), 0.75), ((0.45, 0.55), 0.55)]
)
def test_the_ratio_compared_is_the_one_nearest_a_half(ratios, chosen):
    records = records_of(0, None, 0.25)
    for ratio in ratios:
        records += records_of(200, ratio, 0.5)
    assert summarise(records, 0.05, 1)["comparisons"]["conventional"]["answer_thinking_ratio"] == chosen


def test_without_a_conventional_arm_or_beside_nothing_there_is_no_comparison_with_it():
    assert summarise(records_of(200, 0.5, 0.5), 0.05, 1)["comparisons"]["conventional"] is None
    alone = summarise(records_of(0, None, 0.5), 0.05, 1)["comparisons"]
    assert alone == {"claims": None, "by_budget": [], "conventional": None}


def test_a_cell_of_errors_takes_the_verdict_away_and_nothing_crashes():
    broken = [record | {"error": "broken"} for record in records_of(200, 1.0, 0.5)]
    comparisons = summarise(records_of(200, 0.0, 0.5) + broken, 0.05, 1)["comparisons"]
    assert comparisons["by_budget"][0]["n_missing"] == 40
    assert "40 of 80 records" in comparisons["by_budget"][0]["answer"]


@pytest.mark.parametrize(
    ("ratios", "chosen"),
    [((0.45, 0.551), 0.45), ((0.449, 0.55), 0.55), ((0.499, 0.502), 0.499), ((0.498, 0.501), 0.501)],
)
def test_the_nearer_of_two_ratios_on_both_sides_of_a_half_is_compared(ratios, chosen):
    records = records_of(0, None, 0.25)
    for ratio in ratios:
        records += records_of(200, ratio, 0.5)
    assert summarise(records, 0.05, 1)["comparisons"]["conventional"]["answer_thinking_ratio"] == chosen


def test_twenty_questions_are_enough_for_a_verdict_and_nineteen_are_not():
    (enough,) = compare(arms_of(20, 0.2, 0.8), 20, 20)["by_budget"]
    assert enough["no_verdict"] is None
    (too_few,) = compare(arms_of(19, 0.2, 0.8), 19, 19)["by_budget"]
    assert too_few["no_verdict"] == "19 questions are too few, 20 are needed"

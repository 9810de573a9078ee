"""What the answer says beside the verdict: other criteria, the best set, equivalence, other confidences, few values."""
import numpy as np
import pytest
from readings_and_records import make_test_record

from evaluation_tool import summarise
from scoring.record_schema import CONFIDENCE_NAMES

N = 200


def records_of(ratio, confidence, is_correct, budget=200, **others):
    """One record per question; confidence: of all four, unless others names an array for one of them."""
    cell = {"total_budget": budget, "answer_thinking_ratio": ratio}
    for number, (value, correct) in enumerate(zip(confidence, is_correct, strict=True)):
        values = {name: float(value) for name in CONFIDENCE_NAMES}
        values |= {name: float(array[number]) for name, array in others.items()}
        yield make_test_record(f"q{number:04}", float(value), bool(correct), **cell) | values


def compared(*cells, **settings):
    records = [record for cell in cells for record in cell]
    return summarise(records, 0.05, 1, **settings)


def answers(n=N, accuracy=0.6, seed=0):
    """(n,) right or wrong, and calibrated-looking confidences of many values that tell them apart somewhat."""
    rng = np.random.default_rng(seed)
    is_correct = rng.random(n) < accuracy
    return np.round(np.clip(rng.beta(4, 2, n) - 0.25 * ~is_correct, 0, 1), 2), is_correct


def test_each_cost_of_a_wrong_answer_has_its_own_choice():
    """Ratio 0 knows for sure of half its answers; ratio 1 is right more often and never knows."""
    sure = np.arange(N) < N // 2
    knowing = records_of(0.0, np.where(sure, 0.99, 0.2), sure)
    blind = records_of(1.0, np.full(N, 0.8), np.arange(N) % 5 > 0)
    summary = compared(knowing, blind, wrong_answer_costs=[1, 9])
    (entry,) = summary["comparisons"]["by_budget"]
    utilities = [entry["best_ratio"][f"utility_at_cost_{cost}"] for cost in (1, 9)]
    assert utilities == [1.0, 0.0]
    assert (
        "The criteria disagree. To let few errors pass among all answers, take ratio 1 (AUGRC 0.100 against 0.125" in
        entry["answer"]
    )  # fmt: skip
    assert "If a wrong answer costs as much as a right one brings, take ratio 1 (utility 0.600 against 0.500" in (
        entry["answer"]
    )
    assert "Ratio 0 is best by coverage and utility at cost 9 too." in entry["answer"]
    rows = summary["cells"][1]["confidences"]["confidence"]["utilities"]
    assert [(row["break_even"], row["share_given"]) for row in rows] == [(0.5, 1.0), (0.9, 0.0)]
    (difference,) = entry["differences"]["utility_at_cost_9"]
    assert difference["difference"] == pytest.approx(0.5)
    assert difference["interval"]["low"] < 0.5 < difference["interval"]["high"]


def test_where_no_ratio_is_worth_answering_the_advice_is_to_withhold():
    overconfident = [records_of(ratio, np.full(N, 0.97), np.arange(N) % 2 > 0) for ratio in (0.0, 1.0)]
    (entry,) = compared(*overconfident, wrong_answer_costs=[19, 99])["comparisons"]["by_budget"]
    assert entry["best_ratio"]["utility_at_cost_19"] is None
    assert (
        "If a wrong answer costs 19 or 99 times what a right one brings, withhold every answer: no ratio's utility is"
        " above 0."
    ) in entry["answer"]
    assert "The criteria disagree" not in entry["answer"]


def test_differences_of_a_utility_may_be_larger_than_one_and_stay_possible():
    wrong, right = (records_of(ratio, np.full(N, 0.99), np.full(N, ratio > 0)) for ratio in (0.0, 1.0))
    (entry,) = compared(wrong, right, wrong_answer_costs=[9])["comparisons"]["by_budget"]
    (row,) = entry["differences"]["utility_at_cost_9"]
    assert (row["difference"], row["interval"]["low"]) == (-10.0, -10.0)
    assert -10 < row["interval"]["high"] < -9.5  # two pseudo-questions among 200 keep it from being certain


def test_the_best_set_is_said_where_it_says_more_than_the_pairs():
    confidence, is_correct = answers(400, seed=2)
    harder = is_correct & (np.random.default_rng(3).random(400) < 0.86)
    cells = [records_of(ratio, confidence, right) for ratio, right in ((0.0, is_correct), (0.5, harder), (1.0, harder))]
    (entry,) = compared(*cells)["comparisons"]["by_budget"]
    assert entry["best_sets"]["aurc"] == [0.0] and "coverage_at_target" not in entry["best_sets"]
    for row in entry["differences"]["aurc"][:2]:
        assert row["questions_needed"] > 0
    chosen, unbeaten = entry["best_sets"]["aurc"], entry["unbeaten_ratios"]
    assert ("(95%)" in entry["answer"]) == (len(chosen) < len(unbeaten))


def test_two_ratios_are_equivalent_where_their_interval_lies_within_the_smallest_difference():
    confidence, is_correct = answers()
    same = [records_of(ratio, confidence, is_correct) for ratio in (0.0, 0.5)]
    other = records_of(1.0, *answers(accuracy=0.3, seed=5))
    summary = compared(*map(list, same), list(other), smallest_difference=0.05)
    (entry,) = summary["comparisons"]["by_budget"]
    assert entry["equivalent_pairs"] == [[0.0, 0.5]]
    assert "Equivalent within 0.05 AURC: 0 and 0.5." in entry["answer"]
    assert summary["smallest_difference"] == 0.05


def test_equivalence_is_not_claimed_for_lack_of_data_and_not_mentioned_unless_asked():
    cells = [list(records_of(ratio, *answers(40, seed=seed))) for seed, ratio in enumerate((0.0, 1.0))]
    (entry,) = compared(*cells, smallest_difference=0.05)["comparisons"]["by_budget"]
    assert entry["equivalent_pairs"] == []
    assert "No two ratios are shown to be equivalent within 0.05 AURC." in entry["answer"]
    (entry,) = compared(*cells)["comparisons"]["by_budget"]
    assert entry["equivalent_pairs"] is None and "quivalent" not in entry["answer"]


def test_a_confidence_of_few_values_is_warned_of_in_the_answer():
    confidence, is_correct = answers()
    fine, coarse = records_of(0.0, confidence, is_correct), records_of(1.0, np.where(is_correct, 1.0, 0.99), is_correct)
    (entry,) = compared(fine, coarse)["comparisons"]["by_budget"]
    share = f"{max(is_correct.mean(), 1 - is_correct.mean()):.0%}"
    (warning,) = entry["warnings"]
    assert warning in entry["answer"]
    assert warning == (
        f"Warning: few values. At ratio 1 the verbalised confidence takes 2 values, and {share} of the records share"
        " one: it cannot rank those."
    )
    (entry,) = compared(records_of(0.0, confidence, is_correct), records_of(1.0, confidence, is_correct))[
        "comparisons"
    ]["by_budget"]
    assert entry["warnings"] == []


def test_another_confidence_that_ranks_better_is_named_with_its_own_ratio():
    confidence, is_correct = answers()
    fair = records_of(0.0, confidence, is_correct)
    with_better = records_of(1.0, np.full(N, 0.5), is_correct, p_true=np.where(is_correct, 0.9, 0.1))
    (entry,) = compared(fair, with_better)["comparisons"]["by_budget"]
    (row,) = [row for row in entry["by_other_confidences"] if row["confidence"] == "p_true"]
    assert row["best_ratio"] == 1.0 and row["interval"]["high"] < 0
    assert f"P(True) at ratio 1 ranks answers better than any of these (AURC {row['aurc']:.3f}" in entry["answer"]
    by_aurc = {name: entry["best_ratio"]["aurc"] for name in CONFIDENCE_NAMES}
    assert by_aurc["confidence"] == 0.0


def test_every_confidence_has_its_verdict_and_the_setting_chooses_the_headline():
    confidence, is_correct = answers()
    cells = [
        list(records_of(0.0, confidence, is_correct)),
        list(records_of(1.0, np.full(N, 0.5), is_correct, p_true=np.where(is_correct, 0.9, 0.1))),
    ]
    verbalised, headline = compared(*cells), compared(*cells, headline_confidence="p_true")
    assert verbalised["other_comparisons"].keys() == set(CONFIDENCE_NAMES) - {"confidence"}
    assert headline["headline_confidence"] == "p_true"
    (by_p_true,), (as_other,) = (
        headline["comparisons"]["by_budget"], verbalised["other_comparisons"]["p_true"]["by_budget"]
    )  # fmt: skip
    assert by_p_true["best_ratio"]["aurc"] == as_other["best_ratio"]["aurc"] == 1.0
    assert by_p_true["differences"] == as_other["differences"]
    assert by_p_true["unbeaten_ratios"] == as_other["unbeaten_ratios"]
    assert headline["cells"][1]["risk_coverage"]["threshold"] == [0.9, 0.1]
    assert verbalised["cells"][1]["risk_coverage"]["threshold"] == [0.5]
    for one, other in zip(verbalised["cells"], headline["cells"], strict=True):
        assert one["confidences"] == other["confidences"]


def test_several_budgets_are_several_claims():
    confidence, is_correct = answers()
    cells = [records_of(0.5, confidence, is_correct, budget=budget) for budget in (100, 200, 400)]
    claims = compared(*cells)["comparisons"]["claims"]
    assert claims.startswith("Each of the 3 total budgets is a claim of its own, with 95%; all of them hold together")
    assert "85% at least" in claims
    assert compared(records_of(0.5, confidence, is_correct))["comparisons"]["claims"] is None


def test_distinct_values_ties_and_mass_stand_by_each_confidence():
    records = records_of(0.5, [0.9, 0.9, 0.9, 0.1], [True] * 4, p_true=[0.1, 0.2, 0.3, 0.4])
    (cell,) = compared(records)["cells"]
    found = {name: (row["n_distinct"], row["largest_tie_share"]) for name, row in cell["confidences"].items()}
    assert found["confidence"] == (2, 0.75) and found["p_true"] == (4, 0.25)
    masses = {name: row["readout_mass"] for name, row in cell["confidences"].items()}
    assert masses == pytest.approx(
        {"confidence": 0.8, "confidence_expectation": 0.8, "p_true": 0.7, "answer_probability": 0.9}
    )

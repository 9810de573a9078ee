import math
from dataclasses import replace

import numpy as np
import pytest
from readings_and_records import make_test_record

import evaluation_tool
from basics.strict_json import sha256_of
from evaluation_tool import (
    CONFIDENCE_READOUT,
    CONFIDENCES,
    P_TRUE_READOUT,
    answer_prompt,
    answer_readout,
    answer_request,
    check_caps,
    confidence_prompt,
    confidence_request,
    make_record,
    prompts_identity,
    sampled_thinking_tokens,
    summarise,
)
from questions.option_orders import Unit
from questions.question_sets import Question
from runs.budgets import make_cells
from scoring.cell_intervals import metric_intervals
from thinking.model_interface import Reading, ReadoutResult

# --- prompts beside their read-outs --------------------------------------------------------------------------------


def test_the_answer_prompt_shows_every_option_behind_the_letter_that_its_readout_reads():
    for n_options in (2, 5, 26):
        options = tuple(f"option text {number}" for number in range(n_options))
        prompt = answer_prompt("What?", options)
        readout = answer_readout(n_options)
        assert len(readout.choices) == n_options
        for option, (spelling,) in zip(options, readout.choices, strict=True):
            assert f"\n{spelling.strip()}) {option}\n" in prompt
        assert "What?" in prompt
        assert f"{readout.prefix} <letter>" in prompt


def test_the_confidence_prompt_shows_question_options_and_the_proposed_answer():
    prompt = confidence_prompt("What?", ("one", "two", "three"), 1)
    assert "What?\nA) one\nB) two\nC) three\n" in prompt
    assert "Proposed answer: B) two\n" in prompt
    assert f"{CONFIDENCE_READOUT.prefix} <number between 0.00 and 1.00>" in prompt


def test_the_confidence_readout_has_the_101_numbers_in_order():
    spelt = [float(spelling) for (spelling,) in CONFIDENCE_READOUT.choices]
    assert spelt == list(CONFIDENCES)
    assert (len(spelt), spelt[0], spelt[-1]) == (101, 0.0, 1.0)
    assert len({len(spelling) for (spelling,) in CONFIDENCE_READOUT.choices}) == 1


def test_yes_comes_first_in_p_true():
    assert [spelling.strip().lower() for spelling in P_TRUE_READOUT.choices[0]] == ["yes", "yes"]


def test_each_choice_of_the_confidence_readout_is_hashed(monkeypatch):
    hashes = {sha256_of(prompts_identity())}
    for place in range(101):
        choices = list(CONFIDENCE_READOUT.choices)
        choices[place] = (" 9.99",)
        changed = replace(CONFIDENCE_READOUT, choices=tuple(choices))
        monkeypatch.setattr(evaluation_tool, "CONFIDENCE_READOUT", changed)
        hashes.add(sha256_of(prompts_identity()))
    assert len(hashes) == 102


CHANGES = {
    "the answer prompt": ("answer_prompt", lambda *shown: answer_prompt(*shown) + "."),
    "the answer read-out": ("answer_readout", lambda n: replace(answer_readout(n), prefix="Answer is:")),
    "the confidence prompt": ("confidence_prompt", lambda *shown: confidence_prompt(*shown) + "."),
    "the text before the confidence": ("CONFIDENCE_READOUT", replace(CONFIDENCE_READOUT, prefix="Sure:")),
    "what the choices stand for": ("CONFIDENCES", tuple(value / 2 for value in CONFIDENCES)),
    "the text before P(True)": ("P_TRUE_READOUT", replace(P_TRUE_READOUT, prefix="Right?")),
    "yes and no": ("P_TRUE_READOUT", replace(P_TRUE_READOUT, choices=P_TRUE_READOUT.choices[::-1])),
    "the last letter": ("ascii_uppercase", "ABCDEFGHIJKLMNOPQRSTUVWXY*"),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_each_text_around_a_question_is_hashed(monkeypatch, changed):
    before = prompts_identity()
    monkeypatch.setattr(evaluation_tool, *CHANGES[changed])
    assert sha256_of(prompts_identity()) != sha256_of(before)


# --- scoring ---------------------------------------------------------------------------------------------------------


def reading(result, cap=10, used=3):
    return Reading(cap, [1] * used, "...", "capped", 5, 6, 7, {"answer": result})


def test_a_record_holds_the_value_of_each_readout_and_not_that_of_another_choice():
    unit = Unit(Question("q", "Why?", ("one", "two", "three"), 1, "radio"), 0, (0, 1, 2))
    (cell,) = make_cells([20], [0.5])
    answer = reading(ReadoutResult([0.2, 0.5, 0.3], 0.9))
    confidence = [0.0] * 101
    confidence[30], confidence[80] = 0.4, 0.6
    judged = replace(
        answer, readouts={"confidence": ReadoutResult(confidence, 0.8), "p_true": ReadoutResult([0.85, 0.15], 0.7)}
    )
    record = make_record(unit, cell, answer, judged)
    shown = ("predicted_option", "is_correct", "answer_probability", "confidence", "p_true", "error")
    assert [record[name] for name in shown] == [1, True, 0.5, 0.8, 0.85, None]
    assert record["confidence_expectation"] == pytest.approx(0.4 * 0.3 + 0.6 * 0.8)
    masses = ("answer_readout_mass", "confidence_readout_mass", "p_true_readout_mass")
    assert [record[name] for name in masses] == [0.9, 0.8, 0.7]


def one_cell(records):
    summary = summarise(records, target_error=0.05, seed=1)
    assert len(summary["cells"]) == 1
    return summary["cells"][0]


def test_a_cap_that_leaks_fails_loudly():
    record = make_test_record("q", 0.5, True)
    check_caps(record)
    with pytest.raises(RuntimeError, match="cap 10"):
        check_caps(record | {"answer_thinking_tokens": 11, "answer_thinking_ids": [1] * 11})
    with pytest.raises(RuntimeError, match="thinking ids"):
        check_caps(record | {"confidence_thinking_tokens": 3})


def test_sampled_tokens_count_each_thought_once_at_its_longest():
    records = [
        make_test_record("q", 0.5, True, answer_thinking_tokens=10, confidence_thinking_tokens=4),
        make_test_record("q", 0.5, True, answer_thinking_tokens=25, confidence_thinking_tokens=2),
        make_test_record("q", 0.5, False, answer_thinking_tokens=0, confidence_thinking_tokens=30),
    ]
    assert sampled_thinking_tokens(records) == 25 + 4 + 30


# --- summary ---------------------------------------------------------------------------------------------------------


def test_hand_made_records_give_hand_made_figures():
    cell = one_cell([
        make_test_record("a", 0.9, True),
        make_test_record("b", 0.7, True),
        make_test_record("c", 0.6, False),
        make_test_record("d", 0.2, False),
    ])
    assert (cell["n_questions"], cell["n_records"], cell["n_errors"], cell["accuracy"]) == (4, 4, 0, 0.5)
    verbalised = cell["confidences"]["confidence"]
    assert (verbalised["n"], verbalised["n_missing"]) == (4, 0)
    assert verbalised["mean_confidence"] == pytest.approx(0.6)
    assert verbalised["ece"] == pytest.approx((0.1 + 0.3 + 0.6 + 0.2) / 4)
    assert verbalised["brier"] == pytest.approx((0.01 + 0.09 + 0.36 + 0.04) / 4)
    assert verbalised["auroc"] == 1.0
    assert verbalised["aurc"] == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    assert verbalised["coverage_at_target"] == 0.5
    assert verbalised["overconfidence"] == pytest.approx(0.1)
    assert cell["readout_masses"] == {
        "answer_readout_mass": pytest.approx(0.9),
        "confidence_readout_mass": pytest.approx(0.8),
        "p_true_readout_mass": pytest.approx(0.7),
    }


def test_the_guarantee_rests_on_the_first_order_of_each_question_alone():
    """The answers to further orders depend on the first, so they are no new draws."""
    first = [make_test_record(f"q{number}", 0.99, True) for number in range(100)]
    moved = [record | {"permutation": 1, "is_correct": False, "predicted_option": 1} for record in first]
    alone, both = one_cell(first), one_cell([*first, *moved])
    rows = both["confidences"]["confidence"]["guaranteed_thresholds"]
    assert rows == alone["confidences"]["confidence"]["guaranteed_thresholds"]
    assert [row["n"] for row in rows] == [100] * 3
    assert rows[0]["threshold"] is not None


def test_what_needs_independent_answers_rests_on_the_first_thought_of_each_question_alone():
    first = [make_test_record(f"q{number}", 0.99, number % 9 > 0) for number in range(100)]
    again = [record | {"thought": 1, "is_correct": False, "predicted_option": 1} for record in first]
    alone, both = (one_cell(records)["confidences"]["confidence"] for records in (first, [*again, *first]))
    for name in ("ece", "ece_if_calibrated", "guaranteed_thresholds", "coverage_at_target_lower_bound"):
        assert both[name] == alone[name]
    assert both["brier"] != alone["brier"]
    moved = [record | {"permutation": 1, "confidence": 0.01} for record in first]
    few, many = one_cell(first), one_cell([*again, *moved, *first])
    for groups in ("per_category", "per_permutation"):
        assert many[groups][0]["ece"] == few[groups][0]["ece"]
    assert many["per_category"][0]["accuracy"] != few["per_category"][0]["accuracy"]


def test_several_thoughts_split_the_variance_and_one_cannot():
    def records(*confidences):
        return [
            make_test_record(name, confidence, True, thought=number)
            for name in "ab" for number, confidence in enumerate(confidences)
        ]  # fmt: skip

    cell = one_cell(records(0.5, 0.7))
    assert cell["confidences"]["confidence"]["variance"]["sampling"] == pytest.approx(0.02)
    assert cell["accuracy_variance"]["sampling"] == 0
    assert cell["thought_consistency"] == 1
    assert one_cell(records(0.5))["confidences"]["confidence"]["variance"]["sampling"] is None


def test_a_record_with_an_error_is_counted_and_not_scored():
    good = [make_test_record("a", 0.9, True), make_test_record("b", 0.2, False)]
    unread = make_test_record("c", None, None, predicted_option=None, answer_probability=None, answer_readout_mass=None)
    broken = make_test_record("d", None, True)
    cell, clean = one_cell([*good, unread, broken]), one_cell(good)
    assert (cell["n_records"], cell["n_errors"], cell["accuracy"]) == (4, 2, 0.5)
    verbalised = cell["confidences"]["confidence"]
    assert (verbalised["n"], verbalised["n_missing"]) == (2, 2)
    for name in ("ece", "brier", "auroc"):
        assert verbalised[name] == clean["confidences"]["confidence"][name]
    # the answer without a confidence ranks last among the three that have an answer
    assert verbalised["aurc"] == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    assert cell["confidences"]["answer_probability"]["n_missing"] == 2


def test_a_cell_of_errors_only_has_nulls_and_no_crash():
    none = {"predicted_option": None, "answer_probability": None, "answer_readout_mass": None}
    cell = one_cell([make_test_record(name, None, None, **none) for name in "abc"])
    assert (cell["accuracy"], cell["accuracy_interval"], cell["n_errors"]) == (None, None, 3)
    for name in ("ece", "brier", "auroc", "aurc", "coverage_at_target", "overconfidence", "mean_confidence"):
        assert cell["confidences"]["confidence"][name] is None


def test_consistency_and_spread_over_permutations():
    moved = {"permutation": 1, "option_order": [1, 0, 2]}
    same_option = make_test_record("a", 0.9, True) | moved | {"predicted_option": 1, "confidence": 0.5}
    other_option = make_test_record("b", 0.9, True) | moved | {"predicted_option": 0}
    cell = one_cell([make_test_record("a", 0.9, True), same_option, make_test_record("b", 0.9, True), other_option])
    assert cell["answer_consistency"] == 0.5
    assert cell["confidences"]["confidence"]["permutation_spread"] == pytest.approx((0.2 + 0) / 2)
    assert [(row["permutation"], row["n"]) for row in cell["per_permutation"]] == [(0, 2), (1, 2)]
    single = one_cell([make_test_record("a", 0.9, True)])
    assert single["answer_consistency"] is None
    assert single["confidences"]["confidence"]["permutation_spread"] is None


def test_groups_have_their_own_figures_and_a_missing_category_is_last():
    cell = one_cell([
        make_test_record("a", 1.0, True, category=None),
        make_test_record("b", 1.0, False, category="radio"),
        make_test_record("c", 1.0, True, category="core"),
    ])
    assert [(row["category"], row["n"], row["accuracy"], row["ece"]) for row in cell["per_category"]] == [
        ("core", 1, 1.0, 0.0),
        ("radio", 1, 0.0, 1.0),
        (None, 1, 1.0, 0.0),
    ]


def test_a_group_counts_its_questions_and_has_an_interval_from_ten_on():
    records = [
        make_test_record(f"q{number}", 0.9, number % 3 > 0, permutation=permutation, category=category)
        for category, numbers in (("core", range(12)), ("radio", range(12, 17)))
        for number in numbers
        for permutation in (0, 1)
    ]
    core, radio = one_cell(records)["per_category"]
    assert [(row["n_questions"], row["n"]) for row in (core, radio)] == [(12, 24), (5, 10)]
    assert radio["accuracy_interval"] is None
    alone = one_cell([record for record in records if record["category"] == "core"])
    assert core["accuracy_interval"] == alone["accuracy_interval"]
    assert core["accuracy_interval"]["low"] < core["accuracy"] < core["accuracy_interval"]["high"]


def test_the_audit_counts_what_was_capped_and_used():
    first, second = make_test_record("a", 0.9, True), make_test_record("b", 0.9, True)
    second |= {"answer_thinking_tokens": 4, "answer_stopped": "natural"}
    summary = summarise([first, second], 0.05, 1)
    assert summary["largest_overshoot"] == 0
    assert summary["cells"][0]["budget_audit"]["answer"] == {
        "cap": 10,
        "n_records": 2,
        "largest_overshoot": 0,
        "share_capped": 0.5,
        "mean_thinking_tokens": 7.0,
        "max_thinking_tokens": 10,
    }
    second["answer_thinking_tokens"] = 13
    assert summarise([first, second], 0.05, 1)["largest_overshoot"] == 3


def test_the_summary_does_not_depend_on_the_order_of_the_records():
    rng = np.random.default_rng(0)
    records = [
        make_test_record(f"q{number // 2}", round(rng.random(), 2), bool(rng.random() < 0.5), permutation=number % 2)
        for number in range(80)
    ]
    shuffled = [records[index] for index in rng.permutation(80)]
    assert_equal_json(summarise(records, 0.05, 1), summarise(shuffled, 0.05, 1))


def assert_equal_json(first, second):
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_equal_json(first[key], second[key])
    elif isinstance(first, list):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_equal_json(one, other)
    elif isinstance(first, float):
        assert math.isclose(first, second, abs_tol=1e-12)
    else:
        assert first == second


def test_cells_are_kept_apart():
    other = {"total_budget": 40, "answer_budget": 20, "confidence_budget": 20}
    summary = summarise([make_test_record("a", 0.9, True), make_test_record("a", 0.1, False, **other)], 0.05, 1)
    assert [(cell["total_budget"], cell["accuracy"]) for cell in summary["cells"]] == [(20, 1.0), (40, 0.0)]


def test_each_interval_is_that_of_its_own_figure_and_of_whole_questions():
    """The permutations of a question agree, so intervals over single records would be narrower."""
    rng = np.random.default_rng(3)
    knows, noise = rng.random(40) < 0.6, rng.random(40)
    is_correct, confidence = np.repeat(knows, 2), np.repeat(0.6 * noise + 0.4 * knows * rng.random(40), 2)
    records = [
        make_test_record(f"q{number // 2:02}", confidence[number], bool(is_correct[number]), permutation=number % 2)
        for number in range(80)
    ]
    cell = summarise(records, target_error=0.2, seed=1)["cells"][0]
    found = cell["confidences"]["confidence"]
    expected = metric_intervals(confidence, is_correct, np.repeat(np.arange(40), 2), 0.2)
    of_records = metric_intervals(confidence, is_correct, np.arange(80), 0.2)
    assert cell["accuracy_interval"] == pytest.approx(expected["accuracy"])
    for name in ("brier", "auroc", "aurc", "augrc", "overconfidence"):
        low, high = found[f"{name}_interval"].values()
        assert [low, high] == pytest.approx(list(expected[name].values())), name
        assert low < found[name] < high, name
        assert high - low > 1.2 * (of_records[name]["high"] - of_records[name]["low"]), name
    assert "coverage_at_target_interval" not in found


def test_the_ece_rests_on_the_first_order_of_each_question_alone():
    """A calibrated model's answers to further orders agree with the first, which makes its ECE larger, not smaller."""
    first = [make_test_record(f"q{number}", 0.75, number % 4 > 0) for number in range(40)]
    moved = [record | {"permutation": 1, "is_correct": False, "predicted_option": 1} for record in first]
    alone, both = one_cell(first)["confidences"]["confidence"], one_cell([*first, *moved])["confidences"]["confidence"]
    assert (alone["ece"], both["n"]) == (pytest.approx(0.0), 80)
    assert both["ece"] == alone["ece"]
    assert both["ece_if_calibrated"] == alone["ece_if_calibrated"]
    assert both["overconfidence"] == pytest.approx(0.75 - 30 / 80)  # the other figures take every order


def test_the_lower_bound_of_the_coverage_is_below_it_and_zero_without_a_guarantee():
    sure = one_cell([make_test_record(f"q{number}", 0.99, True) for number in range(300)])["confidences"]["confidence"]
    assert sure["coverage_at_target"] == 1.0
    assert 0.9 < sure["coverage_at_target_lower_bound"] < 1.0
    few = one_cell([make_test_record(f"q{number}", 0.99, True) for number in range(20)])["confidences"]["confidence"]
    assert (few["coverage_at_target"], few["coverage_at_target_lower_bound"]) == (1.0, 0.0)


def test_each_confidence_has_figures_of_its_own_and_the_curve_is_that_of_the_verbalised_one():
    names = ("confidence", "confidence_expectation", "p_true", "answer_probability")
    given = {name: (0.1 + place / 10, 0.6 + place / 10) for place, name in enumerate(names)}
    records = [
        make_test_record(question, 0.5, question == "b") | {name: given[name][place] for name in names}
        for place, question in enumerate("ab")
    ]
    cell = one_cell(records)
    for name, (wrong, right) in given.items():
        assert cell["confidences"][name]["mean_confidence"] == pytest.approx((wrong + right) / 2)
        assert cell["confidences"][name]["brier"] == pytest.approx((wrong**2 + (1 - right) ** 2) / 2)
    assert cell["risk_coverage"] == {"threshold": [0.6, 0.1], "coverage": [0.5, 1.0], "selective_risk": [0.0, 0.5]}


def test_tokens_are_summed_by_stage_and_kind_and_a_stage_that_is_missing_adds_none():
    kinds = ("prompt_tokens", "thinking_tokens", "injected_tokens", "readout_tokens")

    def counted(stage, *numbers):
        return {f"{stage}_{kind}": number for kind, number in zip(kinds, numbers, strict=True)}

    first = make_test_record("a", 0.9, True) | counted("answer", 100, 7, 20, 3) | counted("confidence", 200, 5, 31, 2)
    second = make_test_record("b", None, True) | counted("answer", 1000, 10, 41, 4)
    second |= counted("confidence", None, None, None, None) | {"confidence_stopped": None}
    summary = summarise([first, second], 0.05, 1)
    (cell,) = summary["cells"]
    assert cell["tokens"] == {
        "answer": dict(zip(kinds, (1100, 17, 61, 7), strict=True)),
        "confidence": dict(zip(kinds, (200, 5, 31, 2), strict=True)),
    }
    assert summary["standalone_thinking_tokens"] == {"answer": 17, "confidence": 5, "total": 22}
    assert summary["sampled_thinking_tokens"] == {"answer": 17, "confidence": 5, "total": 22}
    audit = cell["budget_audit"]["confidence"]
    assert (audit["n_records"], audit["mean_thinking_tokens"], audit["max_thinking_tokens"]) == (1, 5.0, 5)
    assert cell["budget_audit"]["answer"]["mean_thinking_tokens"] == 8.5


def test_calibration_is_that_of_the_records_which_have_a_confidence():
    """The third answer is right and lacks its confidence: accuracy counts no error, so of two records one is right."""
    cell = one_cell([
        make_test_record("a", 0.9, True),
        make_test_record("b", 0.5, False),
        make_test_record("c", None, True),
    ])
    assert cell["accuracy"] == 0.5
    verbalised = cell["confidences"]["confidence"]
    assert (verbalised["n"], verbalised["n_missing"], verbalised["overconfidence"]) == (2, 1, pytest.approx(0.2))
    assert verbalised["uncertainty"] == 0.25


def test_the_largest_overshoot_is_that_of_either_stage_in_any_cell():
    other = {"total_budget": 40, "answer_budget": 20, "confidence_budget": 20}
    for stage, used, overshoot in (("answer", 23, 3), ("confidence", 27, 7)):
        records = [make_test_record("a", 0.9, True), make_test_record("a", 0.9, True, **other)]
        records[1][f"{stage}_thinking_tokens"] = used
        assert summarise(records, 0.05, 1)["largest_overshoot"] == overshoot


def test_both_stages_show_the_options_in_the_order_of_the_unit():
    unit = Unit(Question("q", "Why?", ("one", "two", "three"), 1, None), 3, (2, 0, 1))
    shown = "Why?\nA) three\nB) one\nC) two\n"
    answer, judge = answer_request(unit, (5,), 42), confidence_request(unit, 1, (7, 9), 42)
    assert shown in answer.user_text
    assert shown in judge.user_text
    assert "Proposed answer: B) one\n" in judge.user_text
    assert (answer.caps, judge.caps) == ((5,), (7, 9))
    assert (answer.readouts, judge.readouts) == (
        {"answer": answer_readout(3)}, {"confidence": CONFIDENCE_READOUT, "p_true": P_TRUE_READOUT},
    )  # fmt: skip
    assert (answer.random_key, judge.random_key) == ('[42,"q",3,"answer",null]', '[42,"q",3,"confidence",1]')


def test_answers_without_a_confidence_count_in_the_coverage_of_a_guaranteed_threshold():
    """Who automates answers meets those too: 150 of 200 can be used, not 150 of 150."""
    records = [make_test_record(f"q{number:03}", 0.95 if number < 150 else None, True) for number in range(200)]
    (row, *_) = one_cell(records)["confidences"]["confidence"]["guaranteed_thresholds"]
    assert (row["n"], row["n_used"], row["n_wrong"], row["coverage"]) == (200, 150, 0, 0.75)

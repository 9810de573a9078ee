import pytest
from readings_and_records import make_test_record

from scoring import diagnostics
from scoring.record_columns import RecordColumns


def cell_of(*records):
    (cell,) = RecordColumns(records).cells
    return cell


def thought(tokens, stopped, **changes):
    return {"answer_thinking_tokens": tokens, "answer_stopped": stopped} | changes


def test_accuracy_is_split_by_how_the_thought_ended():
    rows = diagnostics.accuracy_by_stop(
        cell_of(
            make_test_record("a", 0.9, True, **thought(5, "natural")),
            make_test_record("b", 0.9, True, **thought(6, "natural")),
            make_test_record("c", 0.9, False, **thought(10, "capped")),
            make_test_record("d", 0.9, True, **thought(0, "none")),
            make_test_record("e", 0.9, True, **thought(10, "capped", error="broken")),
        )
    )
    assert rows["answer"] == {"natural": {"n": 2, "accuracy": 1.0}, "capped": {"n": 1, "accuracy": 0.0}}
    assert rows["confidence"] == {"natural": {"n": 4, "accuracy": 0.75}, "capped": {"n": 0, "accuracy": None}}


def test_position_bias_sets_chosen_letters_beside_right_ones():
    rows = diagnostics.position_bias(
        cell_of(
            make_test_record("a", 0.9, False, predicted_option=1, correct_option=2),
            make_test_record("b", 0.9, False, predicted_option=1, correct_option=0),
            make_test_record("c", 0.9, True, predicted_option=1, correct_option=1),
            make_test_record("d", 0.9, False, predicted_option=0, correct_option=2),
            make_test_record("e", 0.9, False, predicted_option=2, correct_option=2, error="broken"),
        )
    )
    assert rows == [
        {"letter": "A", "share_chosen": 0.25, "share_correct": 0.25, "accuracy_where_correct": 0.0},
        {"letter": "B", "share_chosen": 0.75, "share_correct": 0.25, "accuracy_where_correct": 1.0},
        {"letter": "C", "share_chosen": 0.0, "share_correct": 0.5, "accuracy_where_correct": 0.0},
    ]


def test_consistency_is_the_share_of_agreeing_pairs_per_question():
    def answers(question_id, *originals):
        return [
            make_test_record(question_id, 0.5, False, permutation=number, predicted_option=original)
            for number, original in enumerate(originals)
        ]

    # pairs that agree: 1 of 3, 3 of 3, 2 of 6; a question with one answer has no pair
    cell = cell_of(*answers("a", 0, 0, 1), *answers("b", 2, 2, 2), *answers("c", 0, 0, 1, 1), *answers("d", 1))
    assert diagnostics.answer_consistency(cell) == pytest.approx((1 / 3 + 1 + 2 / 6) / 3)


def test_consistency_of_orders_and_of_thoughts_are_told_apart():
    def answers(question_id, *of_orders):
        return [
            make_test_record(question_id, option / 4, False, permutation=order, thought=number, predicted_option=option)
            for order, options in enumerate(of_orders)
            for number, option in enumerate(options)
        ]

    # the first thoughts agree, the second ones do not; the thoughts on the first order agree
    cell = cell_of(*answers("a", (0, 0), (0, 1)), *answers("b", (2, 2), (2, 2)))
    assert diagnostics.answer_consistency(cell) == pytest.approx((1 + 0 + 1 + 1) / 4)
    assert diagnostics.thought_consistency(cell) == pytest.approx((1 + 0 + 1 + 1) / 4)
    cell = cell_of(*answers("a", (0, 1), (0, 1)))
    assert (diagnostics.answer_consistency(cell), diagnostics.thought_consistency(cell)) == (1.0, 0.0)
    assert diagnostics.permutation_spread(cell, cell.confidence("confidence")) == 0.0
    cell = cell_of(*answers("a", (0, 0), (1, 1)))
    assert (diagnostics.answer_consistency(cell), diagnostics.thought_consistency(cell)) == (0.0, 1.0)
    assert diagnostics.permutation_spread(cell, cell.confidence("confidence")) == 0.125
    assert diagnostics.thought_consistency(cell_of(*answers("a", (0,), (1,)))) is None


def test_saturation_counts_the_closing_tag_as_a_sample():
    cells = RecordColumns([
        make_test_record("a", 0.9, True, **thought(3, "natural")),
        make_test_record("b", 0.9, True, **thought(10, "capped")),
        make_test_record("a", 0.9, True, **thought(2, "natural"), total_budget=8, answer_budget=4),  # not the largest
    ]).cells
    curve = diagnostics.saturation(cells, "answer")
    assert [point["cap"] for point in curve] == list(range(1, 11))
    assert [point["share_natural"] for point in curve] == [0, 0, 0] + [0.5] * 7


def test_a_stage_that_never_thinks_has_no_saturation_and_a_long_cap_a_curve_of_100_points():
    never = cell_of(make_test_record("a", 0.9, True, answer_budget=0, **thought(0, "none")))
    assert diagnostics.saturation([never], "answer") == []
    long = cell_of(make_test_record("a", 0.9, True, answer_budget=4000, **thought(4000, "capped")))
    curve = diagnostics.saturation([long], "answer")
    assert (len(curve), curve[0]["cap"], curve[-1]["cap"]) == (100, 1, 4000)


def test_thoughts_that_broke_are_not_in_the_curve():
    broken = cell_of(make_test_record("a", None, None, predicted_option=None, **thought(3, None)))
    assert {point["share_natural"] for point in diagnostics.saturation([broken], "answer")} == {None}


def test_consistency_is_of_options_and_not_of_the_letters_they_are_shown_with():
    def shown(question_id, permutation, order, letter):
        return make_test_record(
            question_id, 0.5, False, permutation=permutation, option_order=order, predicted_option=letter
        )

    # "a" chooses one option under three letters, "b" three options under one letter
    one_option = [shown("a", 0, [0, 1, 2], 0), shown("a", 1, [2, 0, 1], 1), shown("a", 2, [1, 2, 0], 2)]
    one_letter = [shown("b", 0, [0, 1, 2], 0), shown("b", 1, [2, 0, 1], 0), shown("b", 2, [1, 2, 0], 0)]
    assert diagnostics.answer_consistency(cell_of(*one_option)) == 1.0
    assert diagnostics.answer_consistency(cell_of(*one_letter)) == 0.0
    assert diagnostics.answer_consistency(cell_of(*one_option, *one_letter)) == 0.5


def test_a_thought_that_broke_is_in_the_audit_but_neither_capped_nor_not():
    audit = diagnostics.budget_audit(
        cell_of(
            make_test_record("a", 0.9, True, **thought(10, "capped")),
            make_test_record("b", 0.9, True, **thought(4, "natural")),
            make_test_record("c", None, None, predicted_option=None, **thought(1, None)),
        ),
        "answer",
    )
    assert (audit["n_records"], audit["share_capped"], audit["mean_thinking_tokens"]) == (3, 0.5, 5.0)
    assert audit["max_thinking_tokens"] == 10

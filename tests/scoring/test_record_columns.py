import numpy as np
from readings_and_records import make_test_record

from scoring.record_columns import RecordColumns
from scoring.record_schema import STOPS


def columns_of(*records):
    return RecordColumns(records)


def test_cells_are_sorted_and_so_are_their_records():
    columns = columns_of(
        make_test_record("b", 0.5, True, permutation=1, total_budget=40),
        make_test_record("b", 0.4, True, permutation=0, total_budget=40),
        make_test_record("a", 0.3, False, permutation=0, total_budget=40),
        make_test_record("a", 0.2, True, total_budget=0, answer_thinking_ratio=None),
    )
    assert [(cell.total_budget, cell.answer_thinking_ratio) for cell in columns.cells] == [(0, None), (40, 0.5)]
    cell = columns.cells[1]
    assert cell.confidence("confidence").tolist() == [0.3, 0.4, 0.5]
    assert (cell.question.tolist(), cell.permutation.tolist()) == ([0, 1, 1], [0, 0, 1])
    assert (columns.n_questions, columns.n_units) == (2, 3)
    assert (cell.unit.tolist(), columns.cells[0].unit.tolist()) == ([0, 1, 2], [0])


def test_null_stays_missing_and_an_error_is_never_scored():
    none = {"predicted_option": None, "answer_probability": None, "answer_stopped": None}
    cell = columns_of(
        make_test_record("a", 0.9, True),
        make_test_record("b", None, None, **none),
        make_test_record("c", 0.7, True, error="broken", p_true=None, confidence_thinking_tokens=None),
    ).cells[0]
    assert cell.is_error.tolist() == [False, True, True]
    assert cell.is_answered.tolist() == [True, False, True]
    assert cell.is_correct.tolist() == [True, False, True]
    assert cell.chosen_option.tolist() == cell.chosen_original.tolist() == [0, -1, 0]
    np.testing.assert_array_equal(cell.confidence("confidence"), [0.9, np.nan, np.nan])
    np.testing.assert_array_equal(cell.numbers["confidence"], [0.9, np.nan, 0.7])
    assert cell.counts["confidence_thinking_tokens"].tolist() == [4, 4, -1]
    assert cell.stopped["answer"].tolist() == [STOPS.index("capped"), -1, STOPS.index("capped")]


def test_the_original_of_the_chosen_option_is_looked_up_in_the_order_shown():
    cell = columns_of(make_test_record("a", 0.9, False, predicted_option=1, option_order=[2, 0, 1])).cells[0]
    assert (cell.chosen_option.tolist(), cell.chosen_original.tolist()) == ([1], [0])


def test_each_thought_is_counted_once_at_its_longest():
    def record(question_id, budget, option, answer_tokens, confidence_tokens, **changes):
        changes |= {"total_budget": budget, "predicted_option": option}
        used = {"answer_thinking_tokens": answer_tokens, "confidence_thinking_tokens": confidence_tokens}
        return make_test_record(question_id, 0.5, option == 0, **used, **changes)

    columns = columns_of(
        record("a", 10, 0, 4, 6),
        record("a", 20, 0, 9, 11),  # longer in both stages, same proposed option: replaces the shorter
        record("a", 30, 1, 7, 3),  # another proposed option: a thought of its own
        record("b", 10, 2, 5, 1),
        record("b", 20, 2, 5, 8, permutation=1),  # another order of the options: thoughts of its own
        record("b", 30, None, 2, None, error="broken"),
    )
    assert columns.sampled_thinking_tokens() == {
        "answer": 9 + 5 + 5, "confidence": 11 + 3 + 1 + 8, "total": 19 + 23,
    }  # fmt: skip
    assert columns.standalone_thinking_tokens() == {"answer": 32, "confidence": 29, "total": 61}


def test_no_records_are_no_cells():
    columns = columns_of()
    assert (columns.cells, columns.n_questions, columns.n_units) == ([], 0, 0)
    assert columns.sampled_thinking_tokens()["total"] == columns.standalone_thinking_tokens()["total"] == 0

"""Which units a run has, in which order, and which questions are too long."""
import re

import pytest

from basics.errors import UserError
from evaluation_tool import confidence_request
from questions.option_orders import Unit
from questions.question_sets import Question
from runs.budgets import make_cells
from runs.units import make_workload


def test_units_come_longest_first_and_the_longest_proposed_answer_is_counted(tiny_model):
    short = Unit(Question("short", "Why?", ("a", "b"), 0, None), 0, (0, 1))
    long = Unit(Question("long", "Why?", ("a", "word " * 200), 0, None), 0, (0, 1))
    workload = make_workload([short, long], tiny_model.encoder, make_cells([20], [0.5]))
    assert (workload.units, workload.too_long, workload.remark()) == ([long, short], [], None)
    assert workload.questions == [short.question, long.question]
    assert [workload.tokens_per_row] == tiny_model.encoder.tokens_needed([confidence_request(long, 1, (10,), 0)])


class NarrowEncoder:
    """A context of 1,000 tokens; a question needs as many as its text says, and two more in its second order."""

    context_length = 1000

    def encode_plain_texts(self, texts):
        return [[0] * len(text) for text in texts]

    def tokens_needed(self, requests):
        texts = [request.user_text for request in requests]
        return [int(re.search(r"needs (\d+)", text)[1]) + 2 * ("A) b" in text) for text in texts]


def test_close_to_the_context_every_order_is_measured_and_a_question_too_long_in_one_is_left_out_in_all():
    def in_both_orders(name, needs):
        question = Question(name, f"needs {needs}", ("a", "b"), 0, None)
        return [Unit(question, 0, (0, 1)), Unit(question, 1, (1, 0))]

    short, close, over, far = [
        in_both_orders(*row) for row in (("short", 100), ("close", 998), ("over", 999), ("far", 2000))
    ]
    cells = make_cells([20], [0.5])
    workload = make_workload([*over, *short, *far, *close], NarrowEncoder(), cells)
    assert workload.units == [*reversed(close), *short]
    assert workload.questions == [short[0].question, close[0].question]
    assert workload.tokens_per_row == 1000
    needs = "prompt, thinking budget and read-outs need {} tokens, the model's context holds 1,000"
    assert workload.too_long == [
        {"row": "over", "reason": needs.format("1,001")},
        {"row": "far", "reason": needs.format("2,002")},
    ]
    with pytest.raises(UserError, match=r"question 'over': .* need 1,001 tokens, the model's context holds 1,000, and"):
        make_workload([*far, *over], NarrowEncoder(), cells)

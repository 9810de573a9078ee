"""Requests, units and records that several tests use, and when two of them count as the same."""
import numpy as np
import pytest

from evaluation_tool import CONFIDENCE_READOUT, P_TRUE_READOUT, answer_readout
from questions.option_orders import Unit
from questions.question_sets import Question
from runs.budgets import make_cells
from scoring.fields import in_order
from scoring.record_schema import CONFIDENCE_NAMES, RECORD_FIELDS
from thinking.model_interface import ThoughtRequest


def assert_same_reading(first, second, tolerance=1e-5):
    assert first.thinking_ids == second.thinking_ids
    assert (first.stopped, first.error) == (second.stopped, second.error)
    for name, result in first.readouts.items():
        np.testing.assert_allclose(result.probabilities, second.readouts[name].probabilities, atol=tolerance)
        assert result.mass == pytest.approx(second.readouts[name].mass, abs=tolerance)

CAPS = (0, 1, 7, 40, 200)


READOUTS = {"answer": answer_readout(4), "confidence": CONFIDENCE_READOUT, "p_true": P_TRUE_READOUT}



def request(number, caps=CAPS, readouts=READOUTS):
    return ThoughtRequest("Why? " * number + "Because.", tuple(caps), readouts, f"row {number}")


GRID = make_cells([0, 7, 60], [0, 0.29, 0.5, 1])


def make_unit(number, permutation=0):
    options = tuple(f"choice {letter} of {number}" for letter in "abcd"[: 2 + number % 3])
    order = tuple(range(len(options)))
    if permutation:
        order = order[::-1]
    question = Question(f"q{number}", f"Which fits {number}{', and why' * number}?", options, 0, "kind")
    return Unit(question, permutation, order)


UNITS = [make_unit(number, permutation) for number in range(5) for permutation in range(2)]


def assert_same_records(first, second):
    """Ids and discrete fields identical, floats within 1e-5."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        if isinstance(value, float) or (isinstance(value, list) and value and isinstance(value[0], float)):
            assert second[name] == pytest.approx(value, abs=1e-5), name
        else:
            assert second[name] == value, name


def make_test_record(question_id, confidence, is_correct, **changes):
    """A record as `records.jsonl` has it, of a question with three options of which the first is correct."""
    record = {
        "question_id": question_id,
        "category": "radio",
        "permutation": 0,
        "thought": 0,
        "total_budget": 20,
        "answer_thinking_ratio": 0.5,
        "answer_budget": 10,
        "confidence_budget": 10,
        "question": "Which?",
        "options": ["x", "y", "z"],
        "option_order": [0, 1, 2],
        "correct_option": 0,
        "predicted_option": 0 if is_correct else 1,
        "is_correct": is_correct,
        "answer_probabilities": [0.5, 0.25, 0.25] if is_correct else [0.25, 0.5, 0.25],
        **dict.fromkeys(CONFIDENCE_NAMES, confidence),
        "answer_probability": 0.5,
        "answer_readout_mass": 0.9,
        "confidence_readout_mass": 0.8,
        "p_true_readout_mass": None if confidence is None else 0.7,
        "error": "something" if confidence is None else None,
    }
    for stage, used, stopped in (("answer", 10, "capped"), ("confidence", 4, "natural")):
        thought = {"thinking": "so" * used, "thinking_ids": [1] * used, "thinking_tokens": used, "stopped": stopped}
        fed = {"prompt_tokens": 100, "injected_tokens": 26, "readout_tokens": 3}
        record |= {f"{stage}_{name}": value for name, value in (thought | fed).items()}
    return in_order(RECORD_FIELDS, record | changes)

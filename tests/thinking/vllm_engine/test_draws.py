import json

import pytest
import torch

from thinking.sampling import Sampling, choose_tokens, uniforms
from thinking.vllm_engine.draws import ANSWER_TOKENS, ASK, Draws, answer, answer_ids, draw, facts_of, ranges_of

SAMPLING = Sampling(0.6, 0.95, 20)
FORBIDDEN = ((0, 2), (50, 60))


def draws_of(row, cap=4, sampling=SAMPLING):
    return Draws(f"row {row}", cap, sampling, FORBIDDEN, broken_id=55)


def test_what_a_request_says_comes_back_whole():
    assert Draws.from_json(draws_of(3).to_json()) == draws_of(3)
    assert Draws.from_json(ASK) is None


@pytest.mark.parametrize(
    "text",
    [None, 7, "", "[]", "{}", '["a", 1]', '["a", 0, 0.6, 0.95, 20, [], 3]', '["a", 1, -1, 0.95, 20, [], 3]',
     '["a", 1, 0.6, 0, 20, [], 3]', '["a", 1, 0.6, 1, -2, [], 3]', '["a", 1, 0.6, 1, 20, [[5, 5]], 3]',
     '["a", 1, 0.6, 1, 20, [[5]], 3]', '["a", 1, 0.6, 1, 20, 4, 3]', "[" * 50],
)  # fmt: skip
def test_an_argument_of_another_program_is_a_value_error(text):
    with pytest.raises(ValueError, match="own_draws"):
        Draws.from_json(text)


def test_ranges_hold_the_same_ids():
    ids = [0, 1, 2, 7, 9, 10]
    assert ranges_of(ids) == ((0, 3), (7, 8), (9, 11))
    assert ranges_of([]) == ()


@pytest.mark.parametrize("rows", [[0, 1, 2], [2, 0], [1]])
def test_each_row_is_left_the_token_that_the_sampling_chooses(rows):
    torch.manual_seed(0)
    logits = torch.randn(3, 300) * 3
    before, steps = logits.clone(), {0: 0, 1: 3, 2: 1}
    draw(logits, [(row, draws_of(row), steps[row]) for row in rows])
    for row in range(3):
        if row not in rows:
            assert torch.equal(logits[row], before[row])
            continue
        allowed = before[row : row + 1].clone()
        for first, end in FORBIDDEN:
            allowed[:, first:end] = -torch.inf
        uniform = torch.tensor([uniforms(f"row {row}", 4)[steps[row]]], dtype=torch.float64)
        (expected,), _ = choose_tokens(allowed, uniform, SAMPLING)
        assert logits[row].isfinite().nonzero().tolist() == [[expected]]


def test_rows_that_are_sampled_in_different_ways_do_not_mix():
    torch.manual_seed(0)
    logits, greedy = torch.randn(2, 300), Sampling(0, 1, 0)
    best = logits[1, 60:].argmax() + 60
    alone = logits.clone()
    draw(alone, [(0, draws_of(0), 0)])
    logits[1, :60] = -5
    draw(logits, [(0, draws_of(0), 0), (1, draws_of(1, sampling=greedy), 0)])
    assert torch.equal(logits[0], alone[0])
    assert logits[1].argmax() == best


def test_logits_that_are_not_finite_leave_the_broken_token():
    logits = torch.zeros(1, 100)
    logits[0, 70] = torch.nan
    draw(logits, [(0, draws_of(0), 0)])
    assert logits[0].isfinite().nonzero().tolist() == [[55]]


def test_a_thought_without_tokens_left_and_a_prompt_in_pieces_are_left_alone():
    logits = torch.randn(2, 100)
    before = logits.clone()
    draw(logits, [(0, draws_of(0), 4), (1, draws_of(1), -3)])
    assert torch.equal(logits, before)


def test_what_the_processor_runs_in_is_told_in_token_ids():
    facts = {"version": "ab", "quantisation": None}
    ids = answer_ids(facts)
    assert len(ids) == ANSWER_TOKENS
    assert max(ids) < 256
    logits = torch.randn(1, 300)
    said = []
    for step in range(ANSWER_TOKENS):
        answer(logits, [(0, step)], ids)
        said.append(int(logits.argmax()))
    assert facts_of(said) == facts


@pytest.mark.parametrize("ids", [[], [300] * 4, [1, 2, 3], list(json.dumps([1]).encode())])
def test_without_a_processor_nothing_is_told(ids):
    assert facts_of(ids) is None

"""vLLM's two interfaces of a logits processor: rows that come, move and go (V1), slots (V2, what GPUs run)."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("vllm", reason="needs vLLM: make test-vllm")
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality

from thinking.sampling import Sampling
from thinking.vllm_engine import draws
from thinking.vllm_engine.processor import OwnDraws

CONFIG = SimpleNamespace(
    model_config=SimpleNamespace(
        dtype=torch.bfloat16, head_dtype=torch.float32, quantization="awq", logprobs_mode="raw_logprobs"
    ),
    device_config=SimpleNamespace(device_type="cuda"),
)
WIDTH = 300


def params_of(name, cap=5, **changes):
    told = draws.Draws(name, cap, Sampling(0.6, 0.95, 20), ((0, 3),), broken_id=1)
    extra = {"extra_args": {draws.ARGUMENT: told.to_json()}, "max_tokens": cap, "temperature": 0.0}
    return SamplingParams(**extra | changes)


PLAIN = SamplingParams(max_tokens=1, temperature=0.0)


def expected(logits, name, step, cap=5):
    row = logits[None].clone()
    draws.draw(row, [(0, draws.Draws.from_json(params_of(name, cap).extra_args[draws.ARGUMENT]), step)])
    return row[0]


def v1():
    return OwnDraws(CONFIG, torch.device("cpu"), False)


def assert_rows(processor, *rows):
    """rows: per row of the batch (name of the thought, tokens so far), None for a request that is not ours."""
    torch.manual_seed(0)
    logits = torch.randn(len(rows), WIDTH)
    before = logits.clone()
    processor.apply(logits)
    for row, what in enumerate(rows):
        assert torch.equal(logits[row], before[row] if what is None else expected(before[row], *what)), row


def update(processor, removed=(), added=(), moved=()):
    processor.update_state(BatchUpdate(8, list(removed), list(added), list(moved)))


def test_v1_follows_rows_that_are_added_moved_swapped_and_removed():
    processor, tokens = v1(), {"a": [], "b": [7], "c": [7, 8]}
    update(processor, added=[(0, params_of("a"), [1], tokens["a"]), (1, PLAIN, [1], []),
                             (2, params_of("b"), [1], tokens["b"])])  # fmt: skip
    assert_rows(processor, ("a", 0), None, ("b", 1))
    tokens["a"].append(9)
    processor.update_state(None)
    assert_rows(processor, ("a", 1), None, ("b", 1))
    update(processor, moved=[(0, 1, MoveDirectionality.SWAP)])
    assert_rows(processor, None, ("a", 1), ("b", 1))
    update(processor, removed=[1], moved=[(2, 1, MoveDirectionality.UNIDIRECTIONAL)])
    assert_rows(processor, None, ("b", 1))
    update(processor, added=[(1, params_of("c"), [1], tokens["c"])])  # in the place of b
    assert_rows(processor, None, ("c", 2))
    update(processor, removed=[1], added=[(1, PLAIN, [1], [])])
    assert_rows(processor, None, None)


def v2(prompt_lengths):
    return OwnDraws(CONFIG, SimpleNamespace(prompt_len=SimpleNamespace(np=np.array(prompt_lengths))))


def context(slots, lengths, rows=None):
    """rows: with draft tokens, the slot of each row and its position; else one row per request."""
    expanded = list(zip(slots, [length - 1 for length in lengths], strict=True)) if rows is None else rows
    return SimpleNamespace(
        idx_mapping_np=np.array(slots),
        seq_lens_upper_bound_np=np.array(lengths),
        expanded_idx_mapping=torch.tensor([slot for slot, _ in expanded]),
        pos=torch.tensor([position for _, position in expanded]),
    )


def test_v2_finds_the_step_of_each_row_by_slot_and_length():
    processor = v2([10, 20, 30, 40])
    assert processor.add_request(2, params_of("a"))
    assert not processor.add_request(0, PLAIN)
    assert processor.add_request(3, params_of("b"))
    torch.manual_seed(0)
    logits = torch.randn(3, WIDTH)
    before = logits.clone()
    processor.apply(logits, context([3, 0, 2], [41, 10, 30]))
    assert torch.equal(logits[0], expected(before[0], "b", 1))
    assert torch.equal(logits[1], before[1])
    assert torch.equal(logits[2], expected(before[2], "a", 0))


def test_v2_leaves_a_prompt_that_is_read_in_pieces_and_a_slot_with_another_request_alone():
    processor = v2([10, 20])
    processor.add_request(1, params_of("a"))
    logits = torch.randn(1, WIDTH)
    before = logits.clone()
    processor.apply(logits, context([1], [15]))
    assert torch.equal(logits, before)
    assert not processor.add_request(1, PLAIN)
    processor.apply(logits, context([1], [20]))
    assert torch.equal(logits, before)


def test_v2_with_draft_tokens_has_several_rows_of_a_request():
    processor = v2([10, 20])
    processor.add_request(1, params_of("a"))
    torch.manual_seed(0)
    logits = torch.randn(3, WIDTH)
    before = logits.clone()
    processor.apply(logits, context([0, 1], [10, 23], rows=[(0, 9), (1, 20), (1, 21)]))
    assert torch.equal(logits[0], before[0])
    assert torch.equal(logits[1], expected(before[1], "a", 1))
    assert torch.equal(logits[2], expected(before[2], "a", 2))


def test_it_tells_what_it_runs_in():
    processor = v1()
    update(processor, added=[(0, params_of("a", extra_args={draws.ARGUMENT: draws.ASK}), [1], [])])
    logits = torch.randn(1, WIDTH)
    processor.apply(logits)
    assert int(logits.argmax()) == ord("{")
    assert draws.facts_of(processor._answer_ids) == {
        "version": draws.version(), "dtype": "bfloat16", "head": "float32", "device": "cuda", "quantisation": "awq",
        "logprobs": "raw_logprobs",
    }  # fmt: skip


@pytest.mark.parametrize(
    "params",
    [
        params_of("a", extra_args={draws.ARGUMENT: "nonsense"}),
        params_of("a", extra_args={draws.ARGUMENT: 7}),
        params_of("a", max_tokens=6),
        params_of("a", temperature=0.6),
    ],
)
def test_a_request_that_could_end_the_server_is_not_taken_in(params):
    with pytest.raises(ValueError, match="own_draws"):
        OwnDraws.validate_params(params)


@pytest.mark.parametrize("params", [PLAIN, params_of("a"), params_of("a", extra_args={draws.ARGUMENT: draws.ASK})])
def test_other_requests_are(params):
    assert OwnDraws.validate_params(params) is None

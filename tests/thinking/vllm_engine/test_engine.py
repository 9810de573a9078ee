"""The vLLM engine with a tiny model behind its calls, against the transformers engine with the same model."""
import math
from itertools import takewhile

import pytest
from fake_vllm import FACTS, FakeTransport, FakeVllm
from readings_and_records import assert_same_reading, request
from tiny_models import load_model, save_tiny_model

from basics.errors import UserError
from thinking.sampling import Sampling
from thinking.thought_reader import forbidden_while_thinking
from thinking.thoughts import Thought
from thinking.vllm_engine.calls import Call, Completion, Promises
from thinking.vllm_engine.engine import VllmEngine, check_completion, promises_of
from thinking.vllm_engine.model import VllmModel

SAMPLING = Sampling(1.0, 1.0, 0)  # as `load_model` has it: about one thought in two closes by itself


@pytest.fixture
def transport(tiny_model):
    return FakeTransport(FakeVllm(tiny_model.engine.model))


def vllm_model(tiny_model, transport, tokens_per_row=600):
    return VllmModel(tiny_model.encoder, SAMPLING, transport, tokens_per_row)


def test_readings_are_those_of_the_transformers_engine(tiny_model, transport):
    requests = [request(number) for number in range(4)]
    expected = tiny_model.read_thoughts(requests)
    found = vllm_model(tiny_model, transport).read_thoughts(requests)
    assert {reading.stopped for of_request in expected for reading in of_request} == {"none", "natural", "capped"}
    for one, other in zip(found, expected, strict=True):
        for first, second in zip(one, other, strict=True):
            assert_same_reading(first, second)
            fed = ("prompt_tokens", "injected_tokens", "readout_tokens", "thinking")
            assert [getattr(first, name) for name in fed] == [getattr(second, name) for name in fed]


def test_what_it_promises_is_its_identity(tiny_model, transport):
    assert vllm_model(tiny_model, transport).identity() == {
        "dtype": "float32",
        "device_type": "cpu",
        "engine": {"name": "vllm", "own_draws": True, "float32_readouts": True, "quantisation": None},
    }


def test_without_the_processor_caps_and_masks_hold_and_the_draws_are_others(tiny_model):
    transport = FakeTransport(FakeVllm(tiny_model.engine.model, has_processor=False))
    model = vllm_model(tiny_model, transport)
    assert model.identity()["engine"]["own_draws"] is False
    assert model.identity()["dtype"] is None
    assert "its own draws" in model.remark()
    requests = [request(number, caps=(0, 7, 30)) for number in range(3)]
    ours = tiny_model.read_thoughts(requests)
    found, again = model.read_thoughts(requests), model.read_thoughts(requests)
    assert found == again
    assert [one[-1].thinking_ids for one in found] != [one[-1].thinking_ids for one in ours]
    assert all(len(reading.thinking_ids) <= reading.cap for of_request in found for reading in of_request)
    for one, other in zip(found, ours, strict=True):
        assert_same_reading(one[0], other[0])  # at cap 0 nothing is drawn
    (sampled, *_) = [call for call in transport.calls if "seed" in call.options]
    assert 0 <= sampled.options["seed"] < 2**63
    assert sampled.options["repetition_penalty"] == 1  # a server would take the model's own


def test_a_server_that_does_not_mask_is_found_out(tiny_model):
    class Careless(FakeVllm):
        def complete(self, prompt_ids, options, own_draws=None):
            ids, logprobs = super().complete(prompt_ids, options, own_draws)
            return ([tiny_model.encoder.think_open_id, *ids[1:]] if len(ids) > 1 else ids), logprobs

    model = vllm_model(tiny_model, FakeTransport(Careless(tiny_model.engine.model, has_processor=False)))
    with pytest.raises(UserError, match="may not be in a thought"):
        model.read_thoughts([request(1)])


def test_the_first_node_of_a_place_goes_ahead_so_that_the_others_find_it_in_the_cache(tiny_model, transport):
    model = vllm_model(tiny_model, transport)
    rounds = []
    complete = transport.complete
    transport.complete = lambda calls: rounds.append(calls) or complete(calls)
    model.read_thoughts([request(1, caps=(0, 5))])
    thinking, first, others = rounds
    assert (len(thinking), len(first)) == (1, 2)
    shortest = len(tiny_model.encoder.encode_prompt(request(1).user_text, False).ids)
    for call in others:
        pairs = [zip(call.prompt_ids, ahead.prompt_ids, strict=False) for ahead in first]
        shared = [sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], of_one)) for of_one in pairs]
        assert max(shared) >= shortest
    assert max(len(call.options["logprob_token_ids"]) for call in first + others) <= 20


def test_a_broken_thought_is_told_by_its_token(tiny_model):
    encoder = tiny_model.encoder
    forbidden = forbidden_while_thinking(encoder, 300)

    class Answers:
        def complete(self, calls):
            return [Completion([5, 6, encoder.think_open_id])]

    engine = VllmEngine(encoder, SAMPLING, forbidden, Answers(), Promises(True, True, "float32", "cpu", None))
    thought = Thought([1, 2], 7, "a")
    engine.think([thought])
    assert (thought.broken_at, thought.closed_at, thought.sampled_ids) == (3, None, [5, 6, encoder.think_open_id])


def test_no_forbidden_token_is_left_out_of_the_bias(tmp_path):
    model = load_model(save_tiny_model(tmp_path, vocab_size=2000))
    transport = FakeTransport(FakeVllm(model.engine.model, has_processor=False))
    with pytest.raises(UserError, match=r"can mask 1,024; start it with the processor"):
        vllm_model(model, transport)


CALL = Call((1, 2), {"max_tokens": 2, "logprob_token_ids": [3, 4]})


@pytest.mark.parametrize(
    ("completion", "words"),
    [
        (Completion([], {3: -1.0, 4: -1.0}), "answered with 0 tokens where 1 to 2"),
        (Completion([1, 1, 1], {3: -1.0, 4: -1.0}), "answered with 3 tokens where 1 to 2"),
        (Completion([10], {3: -1.0, 4: -1.0}), "token 10 of a vocabulary of 10"),
        (Completion([1], {3: -1.0}), "no log probability of token 4"),
        (Completion([1], {3: -1.0, 4: 2.5}), "gave 2.5 as a log probability"),
    ],
)
def test_an_answer_that_cannot_be_one_ends_the_run(completion, words):
    with pytest.raises(UserError, match=words):
        check_completion(CALL, completion, 10, "it")


def test_a_log_probability_that_is_no_number_is_left_to_the_readout():
    assert check_completion(CALL, Completion([1], {3: -math.inf, 4: math.nan}), 10, "it") is None


def test_a_processor_of_another_version_is_refused():
    with pytest.raises(UserError, match="another version of this program; start it again"):
        promises_of(FACTS | {"version": "old"}, [], "it")
    with pytest.raises(UserError, match="--logprobs-mode raw_logits"):
        promises_of(FACTS | {"logprobs": "raw_logits"}, [], "it")


def test_readouts_in_a_short_number_format_are_seen():
    logits = [1.5, 2.25, 4.125, 0.75]
    total = math.log(sum(map(math.exp, logits)))
    assert promises_of(None, [logit - total for logit in logits], "it").float32_readouts is False
    assert promises_of(None, [logit - total for logit in [1.50001, 2.3, 4.1, 0.7]], "it").float32_readouts is True

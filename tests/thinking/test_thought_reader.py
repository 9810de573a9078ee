"""Readings and their audit with an engine that computes nothing: it returns what a test gives it."""
import math
import re

import numpy as np
import pytest
from readings_and_records import READOUTS
from tiny_models import TEMPLATES, make_tokenizer
from transformers import Qwen3Config

from basics.errors import UserError
from thinking.model_interface import ThoughtRequest
from thinking.prompt_encoder import PromptEncoder
from thinking.thought_reader import RequestState, ThoughtReader, forbidden_while_thinking


class GivenEngine:
    """Fills thoughts with what was given: (sampled ids, closed_at, broken_at); all log probabilities are log(0.25)."""

    def __init__(self, *given):
        self.given, self.places = given, []

    def think(self, thoughts):
        for thought, (sampled, closed_at, broken_at) in zip(thoughts, self.given, strict=True):
            thought.sampled_ids, thought.closed_at, thought.broken_at = list(sampled), closed_at, broken_at

    def log_probabilities(self, places):
        self.places = places
        return [np.full(len(place.tree.steps), math.log(0.25)) for place in places]


@pytest.fixture(scope="module")
def encoder():
    return PromptEncoder("a model", Qwen3Config(), make_tokenizer(TEMPLATES["hybrid"]))


def read(encoder, caps, *given):
    engine = GivenEngine(*given)
    requests = [ThoughtRequest("Why?", caps, READOUTS, f"row {number}") for number in range(len(given))]
    vocabulary = len(encoder.tokenizer) + 20
    reader = ThoughtReader(encoder, engine, forbidden_while_thinking(encoder, vocabulary))
    return engine, reader.read_thoughts(requests)


def test_any_engine_gives_readings_at_every_cap_and_equal_places_are_read_once(encoder):
    engine, readings = read(encoder, (0, 2, 5, 9), ([7, 8, 9], 4, None), ([7] * 9, None, None))
    closed, capped = readings
    assert [one.stopped for one in closed] == ["none", "capped", "natural", "natural"]
    assert [one.thinking_ids for one in closed] == [[], [7, 8], [7, 8, 9], [7, 8, 9]]
    assert [len(one.thinking_ids) for one in capped] == [0, 2, 5, 9]
    assert len(engine.places) == 7  # caps 5 and 9 of the thought that closed itself are one place
    assert closed[0].readouts["answer"].probabilities == [0.25] * 4
    open_ids = encoder.encode_prompt("Why?", True).ids
    closing = {stopped: encoder.encode_closing(stopped) for stopped in ("capped", "natural")}
    before = [list(place.ids_before_tree()) for place in engine.places[:3]]
    assert before == [
        encoder.encode_prompt("Why?", False).ids,
        open_ids + [7, 8] + closing["capped"],
        open_ids + [7, 8, 9] + closing["natural"],
    ]


def test_a_broken_thought_is_not_read_from_its_break_on(encoder):
    engine, ((before, at),) = read(encoder, (2, 5), ([7, 8, 9], None, 3))
    assert len(engine.places) == 1
    assert (before.stopped, before.error) == ("capped", None)
    assert (at.stopped, at.error, at.thinking_ids) == (None, "logits not finite at thinking token 3", [7, 8])
    assert set(at.readouts.values()) == {None}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (([7] * 6, None, None), "a cap of 5 tokens came back with 6, not closed; the engine does not keep caps"),
        (([7] * 4, None, None), "came back with 4, not closed"),
        (([7] * 5, 6, None), "came back with 5, closed"),
        (([7] * 3, 3, None), "came back with 3, closed"),
        (([7] * 3, None, 2), "came back with 3, not closed"),
        (([7] * 6, None, 6), "came back with 6, not closed"),
    ],
)
def test_a_thought_that_breaks_its_cap_ends_the_run(encoder, given, words):
    with pytest.raises(UserError, match=f"^model_name = 'a model': .*{re.escape(words)}"):
        read(encoder, (5,), given)


@pytest.mark.parametrize("text", ["<|im_end|>", "</think>", "<think>"])
def test_a_thought_with_a_control_token_ends_the_run(encoder, text):
    (token,) = encoder.encode_control(text)
    with pytest.raises(UserError, match=f"came back with token {token}, which may not be in a thought"):
        read(encoder, (3,), ([7, token, 7], None, None))


def test_a_thought_with_an_id_that_no_token_has_ends_the_run(encoder):
    with pytest.raises(UserError, match="does not mask tokens"):
        read(encoder, (3,), ([7, len(encoder.tokenizer) + 3, 7], None, None))


def test_the_prompts_of_a_request_share_their_beginning(encoder):
    ids = encoder.encode_plain("Why?")
    state = RequestState.begin(ThoughtRequest("Why?", (0, 5), READOUTS, "row"), ids, encoder)
    shared = state.shared_length
    assert state.open_prompt.ids[:shared] == state.closed_prompt.ids[:shared]
    assert state.thought.prompt_ids == state.open_prompt.ids
    assert 0 < shared <= len(state.open_prompt.ids)
    if shared < len(state.closed_prompt.ids) and shared < len(state.open_prompt.ids):
        assert state.open_prompt.ids[shared] != state.closed_prompt.ids[shared]
    assert RequestState.begin(ThoughtRequest("Why?", (5,), READOUTS, "row"), ids, encoder).closed_prompt is None

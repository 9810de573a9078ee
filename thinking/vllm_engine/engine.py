"""Thoughts and read-outs as calls to a vLLM: what is asked, and what the answers mean. Knows no transport."""
import hashlib
import math
from collections.abc import Callable

import numpy as np

from basics.errors import UserError
from thinking.prompt_encoder import PromptEncoder
from thinking.readout_tree import TokenTree
from thinking.sampling import Sampling
from thinking.thoughts import Place, Thought
from thinking.vllm_engine import draws
from thinking.vllm_engine.calls import Call, Completion, Probe, Promises, Transport

IDS_PER_CALL = 20  # chosen ids whose log probabilities one call asks for: what a server allows by default
_GREEDY = {"temperature": 0.0, "top_p": 1.0, "top_k": 0}
# Said although they are vLLM's defaults: a server takes others from the model's own generation_config.json.
_NO_PENALTIES = {"min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
_NEVER = -100.0  # the bias of a forbidden token: the least that vLLM takes


class VllmEngine:
    """Keeps `thoughts.Engine`'s promises with a vLLM.

    forbidden_ids: sorted; what a thought may not hold. promises: what the vLLM behind the transport said of itself.
    told: called with the number of tokens of each thought that has ended.
    """

    def __init__(
        self, encoder: PromptEncoder, sampling: Sampling, forbidden_ids: list[int], transport: Transport,
        promises: Promises,
    ):  # fmt: skip
        self.encoder, self.sampling, self.transport, self.promises = encoder, sampling, transport, promises
        self.told: Callable[[int], None] = lambda tokens: None
        self._forbidden = draws.ranges_of(forbidden_ids)
        self._bias = {} if promises.own_draws else {str(token_id): _NEVER for token_id in forbidden_ids}

    def think(self, thoughts: list[Thought]) -> None:
        """Samples the thoughts, all at once."""
        wanted = [thought for thought in thoughts if thought.cap > 0]
        completions = self.transport.complete([self._sampling_call(thought) for thought in wanted])
        for thought, completion in zip(wanted, completions, strict=True):
            self._take(thought, completion.token_ids)
            self.told(len(completion.token_ids))

    def log_probabilities(self, places: list[Place]) -> list[np.ndarray]:
        """Per place (steps,) float64: the log probability of every step of its tree.

        The first node of each place goes ahead, so that the others find the thought in vLLM's prefix cache.
        """
        found = [{} for _ in places]
        nodes = [_tokens_by_node(place.tree) for place in places]
        first = [min(of_place) for of_place in nodes]
        waves = (
            [(number, first[number]) for number in range(len(places))],
            [(number, node) for number, of_place in enumerate(nodes) for node in of_place if node != first[number]],
        )
        for wave in waves:
            parts = [
                (number, node, nodes[number][node][start : start + IDS_PER_CALL])
                for number, node in wave
                for start in range(0, len(nodes[number][node]), IDS_PER_CALL)
            ]
            calls = [
                reading_call((*places[number].ids_before_tree(), *_path(places[number].tree, node)), tokens)
                for number, node, tokens in parts
            ]
            for (number, node, tokens), completion in zip(parts, self.transport.complete(calls), strict=True):
                found[number].update(((node, token), completion.logprobs[token]) for token in tokens)
        return [
            np.array([of_place[step] for step in place.tree.steps])
            for place, of_place in zip(places, found, strict=True)
        ]

    def _sampling_call(self, thought: Thought) -> Call:
        close_id, broken_id = self.encoder.think_close_id, self.encoder.think_open_id
        options = {"max_tokens": thought.cap, "ignore_eos": True, **_NO_PENALTIES}
        if self.promises.own_draws:
            told = draws.Draws(thought.random_key, thought.cap, self.sampling, self._forbidden, broken_id)
            options |= {**_GREEDY, "stop_token_ids": [close_id, broken_id]}
            return Call(tuple(thought.prompt_ids), options, told.to_json())
        how = self.sampling
        options |= {
            "temperature": how.temperature,
            "top_p": how.top_p,
            "top_k": how.top_k,
            "seed": int.from_bytes(hashlib.sha256(thought.random_key.encode()).digest()[:8], "big") >> 1,
            "stop_token_ids": [close_id],
            "logit_bias": self._bias,
        }
        return Call(tuple(thought.prompt_ids), options)

    def _take(self, thought: Thought, token_ids: list[int]) -> None:
        """The ids alone decide how the thought ended; `thought_reader` audits them."""
        last = token_ids[-1] if token_ids else None
        thought.sampled_ids = list(token_ids)
        if last == self.encoder.think_close_id:
            thought.sampled_ids.pop()
            thought.closed_at = len(token_ids)
        elif last == self.encoder.think_open_id and self.promises.own_draws:
            thought.broken_at = len(token_ids)


def reading_call(prompt_ids: tuple[int, ...], token_ids: list[int]) -> Call:
    """Asks for the log probabilities of these tokens after the prompt."""
    options = {"max_tokens": 1, "ignore_eos": True, **_NO_PENALTIES, **_GREEDY, "logprob_token_ids": token_ids}
    return Call(prompt_ids, options)


def check_completion(call: Call, completion: Completion, vocabulary: int, whose: str) -> None:
    """Raises UserError unless the completion can be an answer to the call. whose: begins the message.

    vocabulary: number of token ids.
    """
    most, ids = call.options["max_tokens"], completion.token_ids
    if not 1 <= len(ids) <= most:
        raise UserError(f"{whose} answered with {len(ids):,} tokens where 1 to {most:,} were asked for")
    if outside := [token_id for token_id in ids if not 0 <= token_id < vocabulary]:
        raise UserError(f"{whose} answered with token {outside[0]:,} of a vocabulary of {vocabulary:,}")
    wanted = call.options.get("logprob_token_ids", [])
    if missing := [token_id for token_id in wanted if token_id not in completion.logprobs]:
        raise UserError(f"{whose} gave no log probability of token {missing[0]:,}, which was asked for")
    for token_id in wanted:
        if completion.logprobs[token_id] > 1e-3:  # NaN passes; the read-out is null then, and counted
            raise UserError(f"{whose} gave {completion.logprobs[token_id]:g} as a log probability, which is at most 0")


def promises_of(facts: dict | None, logprobs: list[float], whose: str) -> Promises:
    """facts: what the logits processor said, None if there is none. logprobs: of the likeliest tokens somewhere.

    Raises UserError if the processor is of another version of this program, or gives no raw log probabilities.
    """
    if facts is None:
        return Promises(False, not _looks_rounded(logprobs), None, None, None)
    if facts.get("version") != draws.version():
        raise UserError(
            f"{whose} has the logits processor of another version of this program; start it again from this version"
        )
    if facts.get("logprobs") != "raw_logprobs":
        raise UserError(f"{whose} has --logprobs-mode {facts.get('logprobs')}; raw_logprobs, its default, is needed")
    return Promises(True, facts["head"] == "float32", facts["dtype"], facts["device"], facts["quantisation"])


def probing_calls(probe: Probe) -> list[Call]:
    """Asks the processor what it runs in, and for the log probabilities of the likeliest tokens."""
    asked = {**_GREEDY, **_NO_PENALTIES, "ignore_eos": True}
    return [
        Call(probe.prompt_ids, {**asked, "max_tokens": draws.ANSWER_TOKENS}, draws.ASK),
        Call(probe.prompt_ids, {**asked, "max_tokens": 1, "logprobs": IDS_PER_CALL}),
    ]


def _looks_rounded(logprobs: list[float]) -> bool:
    """Whether all differences are multiples of 2^-10, as those of logits in bfloat16 or float16 are, and float32's not.

    Of 20 likely tokens; a number that is not finite says nothing.
    """
    finite = [value for value in logprobs if math.isfinite(value)]
    steps = [(value - finite[0]) * 1024 for value in finite]
    return len(finite) > 2 and all(abs(step - round(step)) < 0.02 for step in steps)


def _tokens_by_node(tree: TokenTree) -> dict[int, list[int]]:
    nodes = {}
    for node, token in tree.steps:
        nodes.setdefault(node, []).append(token)
    return nodes


def _path(tree: TokenTree, node: int) -> list[int]:
    """Tokens of the tree from its top down to the node."""
    return [token for token, seen in zip(tree.tokens, tree.visible[node], strict=True) if seen]

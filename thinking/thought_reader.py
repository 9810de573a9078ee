"""From requests to readings, the same for every engine: prompts, places, closings, and the audit of what came back."""
from dataclasses import dataclass
from itertools import compress, count
from operator import ne

import numpy as np

from basics.errors import UserError
from thinking.model_interface import Reading, Readout, ReadoutResult, ThoughtRequest
from thinking.prompt_encoder import Prompt, PromptEncoder
from thinking.readout_tree import TokenTree, grow_tree
from thinking.thoughts import Engine, Place, Thought


def forbidden_while_thinking(encoder: PromptEncoder, vocabulary: int) -> list[int]:
    """Ids below `vocabulary` that a thought may not hold: control tokens but `</think>`, and ids without a token."""
    tokenless = set(range(vocabulary)) - set(encoder.tokenizer.get_vocab().values())
    forbidden = (tokenless | encoder.control_tokens.keys()) - {encoder.think_close_id}
    return sorted(token_id for token_id in forbidden if token_id < vocabulary)


@dataclass(frozen=True)
class RequestState:
    """A request, its thought, and its prompts with the think block open and closed; None for one that no cap needs.

    shared_length: how many tokens the closed prompt shares with the thought's; a reading at cap 0 forks there.
    """

    request: ThoughtRequest
    thought: Thought
    open_prompt: Prompt | None
    closed_prompt: Prompt | None
    shared_length: int

    @classmethod
    def begin(cls, request: ThoughtRequest, user_ids: list[int], encoder: PromptEncoder) -> "RequestState":
        """Makes the prompts from the ids of the user's text; nothing is sampled yet."""
        open_prompt = encoder.prompt_around(user_ids, True) if max(request.caps) > 0 else None
        closed_prompt = encoder.prompt_around(user_ids, False) if 0 in request.caps else None
        ids = (open_prompt or closed_prompt).ids
        shared_length = _shared_length(ids, closed_prompt.ids) if closed_prompt else 0
        thought = Thought(ids, max(request.caps), request.random_key)
        return cls(request, thought, open_prompt, closed_prompt, shared_length)

    def thinking_at(self, cap: int) -> list[int]:
        """Thinking tokens at the cap; of a broken thought, those before the break."""
        broken_at = self.thought.broken_at
        return self.thought.sampled_ids[: cap if broken_at is None else min(cap, broken_at - 1)]

    def stopped_at(self, cap: int) -> str:
        """How the thought ends at the cap: "natural", "capped", or "none" at cap 0."""
        if cap == 0:
            return "none"
        return "natural" if self.thought.closed_at is not None and self.thought.closed_at <= cap else "capped"

    def is_broken_at(self, cap: int) -> bool:
        """Whether the thought at this cap depends on logits that were not finite."""
        return self.thought.broken_at is not None and self.thought.broken_at <= cap


@dataclass(frozen=True)
class Cut:
    """A thought cut at one cap: its tokens, how it ends there, and where its read-outs are read."""

    cap: int
    thinking_ids: list[int]
    stopped: str
    is_broken: bool
    prompt: Prompt
    place: Place


def _shared_length(one: list[int], other: list[int]) -> int:
    """How many tokens both begin with."""
    differing = compress(count(), map(ne, one, other))
    return next(differing, min(len(one), len(other)))


class ThoughtReader:
    """Keeps the promise of `model_interface.ReasoningModel.read_thoughts` with any engine.

    forbidden_ids: what the engine masks while it thinks. Raises UserError if the engine returns a thought that is not
    what it was asked for: the token ids decide, whatever the engine says.
    """

    def __init__(self, encoder: PromptEncoder, engine: Engine, forbidden_ids: list[int]):
        self.encoder, self.engine = encoder, engine
        self._never_in_a_thought = frozenset(forbidden_ids) | {encoder.think_close_id}
        self._closings = {stopped: tuple(encoder.encode_closing(stopped)) for stopped in ("natural", "capped", "none")}
        self._trees: dict[tuple, TokenTree] = {}

    def read_thoughts(self, requests: list[ThoughtRequest]) -> list[list[Reading]]:
        """Readings per request; the requests are one batch of the engine."""
        user_ids = self.encoder.encode_plain_texts([request.user_text for request in requests])
        states = [RequestState.begin(*of_one, self.encoder) for of_one in zip(requests, user_ids, strict=True)]
        self.engine.think([state.thought for state in states])
        for state in states:
            self._audit(state.thought)
        cuts = [self._cuts(state) for state in states]
        # A thought that closed itself has equal places at all larger caps, so it is read once.
        found = self._found({cut.place.key: cut.place for of_one in cuts for cut in of_one if not cut.is_broken})
        texts = self._texts(cuts)
        return [
            [self._reading(cut, None if cut.is_broken else found[cut.place.key], texts) for cut in of_one]
            for of_one in cuts
        ]

    def _found(self, readable: dict) -> dict:
        """Read-outs by the key of their place. readable: places by key."""
        read = self.engine.log_probabilities(list(readable.values()))
        by_tree: dict[int, list] = {}
        for (key, place), values in zip(readable.items(), read, strict=True):
            by_tree.setdefault(id(place.tree), []).append((key, place.tree, values))
        found = {}
        for of_tree in by_tree.values():
            keys, trees, values = zip(*of_tree, strict=True)
            found |= zip(keys, trees[0].results(np.stack(values)), strict=True)
        return found

    def _texts(self, cuts: list[list[Cut]]) -> dict[tuple[int, int], str]:
        """What the thoughts say at their caps, by thought and number of tokens."""
        thinking = {(id(cut.place.thought), len(cut.thinking_ids)): cut.thinking_ids for one in cuts for cut in one}
        return dict(zip(thinking, self.encoder.decode_all(list(thinking.values())), strict=True))

    def _audit(self, thought: Thought) -> None:
        """Raises UserError unless the thought keeps its cap, ends as it says, and holds no forbidden token."""
        ids, sound, end = thought.sampled_ids, thought.sampled_ids, thought.closed_at
        if thought.broken_at is not None:
            keeps_cap, sound = end is None and thought.broken_at == len(ids) <= thought.cap, ids[:-1]
        elif end is not None:
            keeps_cap = end == len(ids) + 1 <= thought.cap
        else:
            keeps_cap = len(ids) == thought.cap
        if not keeps_cap:
            raise UserError(
                f"model_name = {self.encoder.model_name!r}: a thought with a cap of {thought.cap:,} tokens came back"
                f" with {len(ids):,}, {'not closed' if end is None else 'closed'}; the engine does not keep caps"
            )
        if outside := self._never_in_a_thought.intersection(sound):
            raise UserError(
                f"model_name = {self.encoder.model_name!r}: a thought came back with token {min(outside)}, which may"
                " not be in a thought; the engine does not mask tokens"
            )

    def _cuts(self, state: RequestState) -> list[Cut]:
        tree = self._tree(state.request.readouts)
        return [self._cut(state, cap, tree) for cap in state.request.caps]

    def _cut(self, state: RequestState, cap: int, tree: TokenTree) -> Cut:
        thinking_ids, stopped = state.thinking_at(cap), state.stopped_at(cap)
        if cap == 0:
            prompt, tail = state.closed_prompt, tuple(state.closed_prompt.ids[state.shared_length :])
            place = Place(state.thought, state.shared_length, tail, tree)
        else:
            prompt, length = state.open_prompt, len(state.open_prompt.ids) + len(thinking_ids)
            place = Place(state.thought, length, self._closings[stopped], tree)
        return Cut(cap, thinking_ids, stopped, state.is_broken_at(cap), prompt, place)

    def _tree(self, readouts: dict[str, Readout]) -> TokenTree:
        """One tree per set of read-outs, so that its id can be part of a place's key."""
        key = tuple(readouts.items())
        if key not in self._trees:
            tree = grow_tree({name: self.encoder.encode_readout(readout) for name, readout in readouts.items()})
            self._trees.setdefault(key, tree)  # engines may be asked by several threads at once
        return self._trees[key]

    def _reading(
        self, cut: Cut, results: dict[str, ReadoutResult | None] | None, texts: dict[tuple[int, int], str]
    ) -> Reading:
        """results: of the cut's read-outs; None if it is broken. texts: of `_texts`."""
        tree, thought = cut.place.tree, cut.place.thought
        readouts, error = dict.fromkeys(tree.spellings) if cut.is_broken else results, None
        if cut.is_broken:
            error = f"logits not finite at thinking token {thought.broken_at}"
        elif None in readouts.values():
            error = "logits not finite in the read-out of " + ", ".join(n for n, r in readouts.items() if r is None)
        return Reading(
            cap=cut.cap,
            thinking_ids=cut.thinking_ids,
            thinking=texts[id(thought), len(cut.thinking_ids)],
            stopped=None if cut.is_broken else cut.stopped,
            prompt_tokens=len(cut.prompt.ids) - cut.prompt.injected_tokens,
            injected_tokens=cut.prompt.injected_tokens + len(self._closings[cut.stopped]),
            readout_tokens=len(tree.tokens),
            readouts=readouts,
            error=error,
        )

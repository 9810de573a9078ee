"""What an engine is given: thoughts to sample, and the places at which to read them. Token ids only."""
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from thinking.readout_tree import TokenTree


@dataclass
class Thought:
    """A prompt and the tokens sampled after it, at most `cap`; one object follows it through the engine.

    random_key: the thought's randomness is a function of this text. sampled_ids: without the closing tag. closed_at:
    number of the sample that was the closing tag, counted from 1. broken_at: number of the first sample whose logits
    were not finite, counted from 1; sampled_ids includes it. slot: the row of the engine's cache, if it keeps one.
    """

    prompt_ids: list[int]
    cap: int
    random_key: str
    sampled_ids: list[int] = field(default_factory=list)
    closed_at: int | None = None
    broken_at: int | None = None
    slot: int | None = None


@dataclass(frozen=True)
class Place:
    """Where a thought is read: the first `length` tokens of prompt and samples, then `tail`, then the read-outs' tree.

    tail: forced tokens, which close the thought or end a prompt without a thought.
    """

    thought: Thought
    length: int
    tail: tuple[int, ...]
    tree: TokenTree

    @property
    def key(self):
        """Readings with equal keys share one forward pass."""
        return id(self.thought), self.length, self.tail, id(self.tree)

    def ids_before_tree(self) -> tuple[int, ...]:
        """All tokens before the tree."""
        prompt, sampled = self.thought.prompt_ids, self.thought.sampled_ids
        return (*prompt[: self.length], *sampled[: max(0, self.length - len(prompt))], *self.tail)


class Engine(Protocol):
    """Samples thoughts and computes log probabilities. What they mean is decided in `thought_reader.py`."""

    def think(self, thoughts: list[Thought]) -> None:
        """Samples every thought up to its cap, in place. A thought with cap 0 stays as it is."""
        ...

    def log_probabilities(self, places: list[Place]) -> list[np.ndarray]:
        """Per place (steps,) float64: the log probability of every step of its tree, in the order of `steps`.

        The thoughts are those of the same caller's last `think`.
        """
        ...

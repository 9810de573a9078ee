"""What the experiment asks of a model: one call, its types and its promises.

`hugging_face_model.py` keeps these promises with transformers. Nothing here needs torch or knows of questions.
"""
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True)
class Readout:
    """A distribution that is read off the model after a forced text, not parsed from free text.

    prefix: text appended to the closed thought.
    choices: per choice its spellings, each a continuation of the prefix (`" A"`, `" 0.35"`).
        No spelling may be the beginning of another one's tokens.
    """

    prefix: str
    choices: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ReadoutResult:
    """The result of a read-out.

    probabilities: (choices,) floats in [0, 1] that add up to 1, the model's distribution at temperature 1 normalised
        over the choices; a choice's spellings are summed.
    mass: in [0, 1], the unconstrained probability that the model continues with one of the spellings (per spelling the
        product over its tokens). Low mass means that the model would have written something else.
    """

    probabilities: list[float]
    mass: float

    @property
    def likeliest(self) -> int:
        """Index of the likeliest choice, the first of equal ones."""
        return self.probabilities.index(max(self.probabilities))


@dataclass(frozen=True)
class ThoughtRequest:
    """One thought to sample and the caps at which to read it.

    user_text: the only user turn of a new chat; plain text, whatever it contains.
    caps: distinct thinking caps in tokens, >= 0. The thought is sampled once, up to the largest.
    readouts: by name; each is forked from the same closed thought, at every cap.
    random_key: all randomness of the thought is a function of this text.
    """

    user_text: str
    caps: tuple[int, ...]
    readouts: dict[str, Readout]
    random_key: str


@dataclass(frozen=True)
class Reading:
    """A thought, cut at one cap, with its read-outs.

    thinking_ids: the tokens that the model sampled inside the think block, at most `cap`; the tags are not among them.
    thinking: their text; a cut inside a character shows as U+FFFD.
    stopped: "natural" if the model closed the block within the cap, "capped" if it was closed for it, "none" at cap 0;
        None if the thought ended with an error.
    prompt_tokens: of the rendered chat template. injected_tokens: think tags and closing text; the closing tag counts
        even if the model wrote it. readout_tokens: fed for the read-outs. None of these counts as thinking.
    readouts: by name; None if it could not be computed, and then `error` says why.
    """

    cap: int
    thinking_ids: list[int]
    thinking: str
    stopped: Literal["natural", "capped", "none"] | None
    prompt_tokens: int
    injected_tokens: int
    readout_tokens: int
    readouts: dict[str, ReadoutResult | None] = field(default_factory=dict)
    error: str | None = None

    @property
    def thinking_tokens(self) -> int:
        """Number of sampled thinking tokens, 0..cap."""
        return len(self.thinking_ids)


class ReasoningModel(Protocol):
    """A model that thinks up to a cap and is read out there."""

    def read_thoughts(self, requests: list[ThoughtRequest]) -> list[list[Reading]]:
        """Readings per request, in the order of the requests; inside, in the order of the request's caps.

        The thought at a cap is the beginning of the thought at every larger cap. What else is in the batch, and in
        which order, changes no reading (exactly in float32, in distribution only in bfloat16).
        """
        ...

    def watch(self, told: Callable[[int], None]) -> None:
        """From now on calls `told` with the number of tokens newly sampled, now and then, in any thread."""
        ...

"""What a request tells vLLM's logits processor, and what that does to the request's row of logits. Knows no vLLM.

A server loads this module, so it imports nothing of this project but the sampling.
"""
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from thinking import sampling as sampling_module
from thinking.sampling import Sampling, choose_tokens, uniforms

ARGUMENT = "own_draws"  # name of the extra argument that holds a request's Draws or ASK, as one JSON text
ASK = '"what are you?"'  # in its place: the processor answers with `answer_ids` instead of drawing
ANSWER_TOKENS = 160  # of the answer: one token id per byte, zeros at the end


@dataclass(frozen=True)
class Draws:
    """How the tokens of one thought are chosen.

    cap: tokens at most, >= 1. forbidden: ranges (first id, one past the last) that may not be drawn. broken_id: one of
    them; it takes the place of a token whose logits are not finite, and ends the thought.
    """

    random_key: str
    cap: int
    sampling: Sampling
    forbidden: tuple[tuple[int, int], ...]
    broken_id: int

    def to_json(self) -> str:
        """For the request's argument."""
        how = self.sampling
        fields = [self.random_key, self.cap, how.temperature, how.top_p, how.top_k, self.forbidden, self.broken_id]
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: object) -> "Draws | None":
        """None for ASK. Raises ValueError for anything that `to_json` does not write."""
        if text == ASK:
            return None
        try:
            random_key, cap, temperature, top_p, top_k, forbidden, broken_id = json.loads(text)
            ranges = tuple((int(first), int(end)) for first, end in forbidden)
            draws = cls(str(random_key), int(cap), Sampling(float(temperature), float(top_p), int(top_k)), ranges,
                        int(broken_id))  # fmt: skip
        except (TypeError, ValueError) as error:
            raise ValueError(f"{ARGUMENT}: not what this program sends ({error})") from None
        how = draws.sampling
        sound = draws.cap >= 1 and how.temperature >= 0 and 0 < how.top_p <= 1 and how.top_k >= 0
        if not sound or any(not 0 <= first < end for first, end in ranges):
            raise ValueError(f"{ARGUMENT}: a number is out of its range")
        return draws

    @cached_property
    def uniforms(self) -> np.ndarray:
        """(cap,) float64 in [0, 1), one per token."""
        return uniforms(self.random_key, self.cap)


def ranges_of(ids: list[int]) -> tuple[tuple[int, int], ...]:
    """Sorted ids as ranges (first id, one past the last)."""
    runs = [[id_ for _, id_ in run] for _, run in groupby(enumerate(ids), key=lambda place: place[1] - place[0])]
    return tuple((run[0], run[-1] + 1) for run in runs)


def draw(logits: torch.Tensor, rows: list[tuple[int, Draws, int]]) -> None:
    """Leaves one token in each row, in place: the one that is drawn; greedy decoding takes it then.

    logits: (rows, vocabulary). rows: row number, draws, and how many tokens the thought has already; a row whose
    thought has all its tokens is left alone. All of a batch are computed at once where they are sampled alike.
    """
    due = [(row, draws, step) for row, draws, step in rows if 0 <= step < draws.cap]
    alike = {}
    for row, draws, step in due:
        alike.setdefault((draws.sampling, draws.forbidden, draws.broken_id), []).append((row, draws.uniforms[step]))
    for (sampling, forbidden, broken_id), group in alike.items():
        index = torch.tensor([row for row, _ in group], device=logits.device)
        uniform = torch.tensor([value for _, value in group], dtype=torch.float64, device=logits.device)
        is_all = len(group) == len(logits) and all(row == place for place, (row, _) in enumerate(group))
        scores = logits if is_all else logits[index]
        for first, end in forbidden:
            scores[:, first:end] = -torch.inf
        chosen, usable = choose_tokens(scores, uniform, sampling)
        chosen = torch.where(usable, chosen, broken_id)
        scores.fill_(-torch.inf).scatter_(-1, chosen[:, None], 0.0)
        if not is_all:
            logits[index] = scores


def version() -> str:
    """Of the rules by which tokens are drawn: a hash of the code that two processes must share."""
    code = b"".join(Path(path).read_bytes() for path in (sampling_module.__file__, __file__))
    return hashlib.sha256(code).hexdigest()[:16]


def answer_ids(facts: dict[str, str | None]) -> list[int]:
    """(ANSWER_TOKENS,) token ids below 256 that say what the processor runs in."""
    text = json.dumps(facts, separators=(",", ":")).encode()
    if len(text) > ANSWER_TOKENS:
        raise ValueError(f"{len(text)} bytes are too long an answer")
    return [*text, *[0] * (ANSWER_TOKENS - len(text))]


def facts_of(ids: list[int]) -> dict | None:
    """What `answer_ids` said; None if the ids say nothing, as where no processor is loaded."""
    try:
        facts = json.loads(bytes(ids).rstrip(b"\0"))
    except ValueError:
        return None
    return facts if isinstance(facts, dict) else None


def answer(logits: torch.Tensor, rows: list[tuple[int, int]], ids: list[int]) -> None:
    """Leaves in each row (row number, tokens so far) the next id of the answer, in place."""
    for row, step in rows:
        if 0 <= step < len(ids):
            logits[row] = -torch.inf
            logits[row, ids[step]] = 0.0

"""How a thinking token is drawn, the same for every engine: each row has its own uniforms, and picks by inverse CDF.

Imports nothing of this project, so that a server of another engine can load it.
"""
import hashlib
from dataclasses import dataclass

import numpy as np
import torch

_VOCABULARY_BLOCK = 128  # tokens whose maximum is taken before top-k


@dataclass(frozen=True)
class Sampling:
    """How thoughts are sampled; read-outs are exact.

    temperature: >= 0; 0 takes the likeliest token. top_p: in (0, 1]; keeps the smallest set of likeliest tokens that
    holds this much probability. top_k: >= 0; 0 is off.
    """

    temperature: float
    top_p: float
    top_k: int


def uniforms(random_key: str, count: int) -> np.ndarray:
    """(count,) float64 in [0, 1): Philox keyed by the SHA-256 of the key, so a shorter draw begins a longer one."""
    key = int.from_bytes(hashlib.sha256(random_key.encode()).digest()[:16], "big")
    return np.random.Generator(np.random.Philox(key=key)).random(count)


def choose_tokens(scores, uniform, sampling: Sampling):
    """Token per row, and whether its scores were usable: inverse CDF in token-id order after temperature, top-k, top-p.

    scores: (rows, vocabulary) floats, -inf for a token that is not allowed; uniform: (rows,) float64 in [0, 1). Both
    results are (rows,). top-k keeps exactly k tokens; of equal scores at the k-th place, transformers would keep all.
    Scores are unusable if one of them is NaN or +inf, or if no token is allowed; the token is arbitrary then. Nothing
    here waits for the device.
    """
    temperature, top_p, top_k = sampling.temperature, sampling.top_p, sampling.top_k
    if temperature == 0:
        likeliest, ids = scores.max(dim=-1)
        return ids, likeliest.isfinite()
    if not 0 < top_k < scores.shape[-1]:
        usable = scores.amax(dim=-1).isfinite()
        return _drawn(_probability_of_all(scores, temperature, top_p), uniform), usable
    likeliest, ids = _likeliest(scores, top_k)
    usable = likeliest[:, 0].isfinite()  # NaN comes first, as the largest
    probability = (likeliest.double() / temperature).softmax(dim=-1)
    probability = torch.where(_reached_before(probability) < top_p, probability, 0.0)
    ids, by_id = ids.sort(dim=-1)
    return ids.gather(-1, _drawn(probability.gather(-1, by_id), uniform)[:, None])[:, 0], usable


def _probability_of_all(scores, temperature, top_p):
    """(rows, vocabulary) float64 in token-id order, 0 outside of top-p. Only the float32 scores are ever sorted."""
    probability = (scores.double() / temperature).softmax(dim=-1)
    if top_p == 1:
        return probability
    ids = scores.sort(dim=-1, descending=True, stable=True).indices
    kept = _reached_before(probability.gather(-1, ids)) < top_p
    return torch.where(torch.zeros_like(kept).scatter_(-1, ids, kept), probability, 0.0)


def _reached_before(probability):
    """Sum of the probabilities before each, along the last dimension."""
    return probability.cumsum(dim=-1) - probability


def _drawn(probability, uniform):
    """Place per row at which the running sum of its probabilities first exceeds the uniform's share of their total."""
    cumulative = probability.cumsum(dim=-1)
    # Slightly below the total, so that rounding never chooses a token after the last possible one.
    target = torch.minimum(uniform.to(cumulative) * cumulative[:, -1], cumulative[:, -1] * (1 - 1e-15))
    place = torch.searchsorted(cumulative, target[:, None], right=True)[:, 0]
    return place.clamp_max(probability.shape[-1] - 1)


def _likeliest(scores, k):
    """The k largest scores per row, falling, and their ids: those of the k blocks with the largest maxima hold them."""
    blocks = scores.shape[-1] // _VOCABULARY_BLOCK
    if blocks < 4 * k:
        return scores.topk(k, dim=-1)
    body = blocks * _VOCABULARY_BLOCK
    best = scores[:, :body].unflatten(-1, (blocks, _VOCABULARY_BLOCK)).amax(dim=-1).topk(k, dim=-1).indices
    inside = torch.arange(_VOCABULARY_BLOCK, device=scores.device)
    rest = torch.arange(body, scores.shape[-1], device=scores.device).expand(len(scores), -1)
    ids = torch.cat([(best[:, :, None] * _VOCABULARY_BLOCK + inside).flatten(1), rest], dim=-1)
    likeliest, place = scores.gather(-1, ids).topk(k, dim=-1)
    return likeliest, ids.gather(-1, place)

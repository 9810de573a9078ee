import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from thinking.sampling import Sampling, choose_tokens, uniforms


def test_uniforms_are_a_function_of_the_key_and_a_short_draw_begins_a_long_one():
    assert uniforms("a", 5).tolist() == uniforms("a", 50)[:5].tolist()
    assert uniforms("a", 5).tolist() != uniforms("b", 5).tolist()
    # fixed, so that a change of the generator, which would change every published record, is noticed
    assert uniforms("a", 2).tolist() == pytest.approx([0.5532476238985743, 0.08723437013155333], abs=1e-16)


@pytest.mark.parametrize(("temperature", "top_p", "top_k"), [(0.6, 0.95, 20), (1.0, 0.5, 0), (1.5, 1.0, 5), (1, 1, 0)])
def test_sampling_draws_from_the_distribution_that_transformers_defines(temperature, top_p, top_k):
    scores = torch.randn(1, 60, generator=torch.Generator().manual_seed(3)) * 2
    wanted = scores / 1.0
    if temperature != 1:
        wanted = TemperatureLogitsWarper(float(temperature))(None, wanted)
    if top_k:
        wanted = TopKLogitsWarper(top_k)(None, wanted)
    if top_p < 1:
        wanted = TopPLogitsWarper(top_p)(None, wanted)
    probability = wanted[0].double().softmax(-1).numpy()
    draws = torch.from_numpy(np.random.default_rng(0).random(20_000))
    chosen = choose_tokens(scores.expand(len(draws), -1), draws, Sampling(temperature, top_p, top_k))[0].numpy()
    counts = np.bincount(chosen, minlength=60)
    possible = probability > 0
    assert counts[~possible].sum() == 0
    if possible.sum() > 1:
        assert chisquare(counts[possible], probability[possible] * len(draws)).pvalue > 0.001
    # inverse CDF in token-id order: the chosen token never falls as the uniform rises
    assert np.all(np.diff(chosen[np.argsort(draws.numpy())]) >= 0)


def test_the_ends_of_the_uniform_choose_possible_tokens():
    scores = torch.tensor([[-torch.inf, 1.0, -torch.inf, 2.0, -torch.inf]])
    for uniform, token in ((0.0, 1), (1 - 2**-53, 3)):
        chosen, _ = choose_tokens(scores, torch.tensor([uniform], dtype=torch.float64), Sampling(1.0, 1.0, 0))
        assert chosen.item() == token


def test_temperature_zero_is_greedy():
    scores = torch.tensor([[0.0, 3.0, 1.0]])
    assert choose_tokens(scores, torch.tensor([0.99], dtype=torch.float64), Sampling(0, 0.95, 20))[0].item() == 1


@pytest.mark.parametrize("size", [128 * 90, 128 * 90 + 77, 300])
def test_top_k_by_blocks_chooses_what_top_k_over_the_vocabulary_chooses(size):
    scores = torch.randn(64, size, generator=torch.Generator().manual_seed(1))
    scores[:, ::3] = -torch.inf
    scores[0, -1] = 50.0  # in the rest behind the last whole block
    draws = torch.from_numpy(np.random.default_rng(2).random(64))
    chosen, usable = choose_tokens(scores, draws, Sampling(0.7, 0.9, 20))
    assert usable.all()
    for row in range(64):
        likeliest, ids = scores[row].double().topk(20)
        probability = (likeliest / 0.7).softmax(-1)
        kept = probability.cumsum(-1) - probability < 0.9
        by_id = sorted(zip(ids[kept].tolist(), probability[kept].tolist(), strict=True))
        cumulative = np.cumsum([weight for _, weight in by_id])
        wanted = by_id[int(np.searchsorted(cumulative, draws[row].item() * cumulative[-1], side="right"))]
        assert chosen[row] == wanted[0]


@pytest.mark.parametrize("top_p", [0.3, 0.95, 0.999999, 1])
@pytest.mark.parametrize("ties", [False, True])
def test_without_top_k_the_draw_is_that_of_the_plain_definition(top_p, ties):
    scores = torch.randn(64, 5000, generator=torch.Generator().manual_seed(1)) * 3
    if ties:
        scores = (scores * 2).round() / 2  # as bfloat16 logits: many equal scores at the edge of top-p
    scores[:, ::3] = -torch.inf
    draws = torch.from_numpy(np.random.default_rng(2).random(64))
    chosen, usable = choose_tokens(scores, draws, Sampling(0.7, top_p, 0))
    assert usable.all()
    for row in range(64):
        probability = (scores[row].double() / 0.7).softmax(-1).numpy()
        kept, reached = [], 0.0
        for token in sorted(range(5000), key=lambda token: (-probability[token], token)):
            if reached < top_p and probability[token] > 0:
                kept.append(token)
            reached += probability[token]
        kept.sort()
        cumulative = np.cumsum(probability[kept])
        assert chosen[row] == kept[np.searchsorted(cumulative, draws[row].item() * cumulative[-1], side="right")]


@pytest.mark.parametrize("size", [128 * 90, 300])
@pytest.mark.parametrize(("temperature", "top_k"), [(0, 20), (0.6, 20), (0.6, 0)])
def test_scores_that_cannot_be_sampled_from_are_told_and_leave_the_other_rows_alone(size, temperature, top_k):
    scores = torch.randn(5, size, generator=torch.Generator().manual_seed(1))
    draws = torch.full((5,), 0.3, dtype=torch.float64)
    healthy, _ = choose_tokens(scores, draws, Sampling(temperature, 0.95, top_k))
    scores[1, 7], scores[2, 200], scores[3] = torch.nan, torch.inf, -torch.inf
    chosen, usable = choose_tokens(scores, draws, Sampling(temperature, 0.95, top_k))
    assert usable.tolist() == [True, False, False, False, True]
    assert chosen[[0, 4]].tolist() == healthy[[0, 4]].tolist()
    assert ((chosen >= 0) & (chosen < size)).all()


def chosen_by_any_uniform(scores, top_p, top_k):
    draws = torch.linspace(0, 1 - 2**-53, 401, dtype=torch.float64)
    tokens, _ = choose_tokens(torch.tensor([scores]).expand(len(draws), -1), draws, Sampling(1.0, top_p, top_k))
    return set(tokens.tolist())


@pytest.mark.parametrize("top_k", [0, 4])
def test_top_p_ends_with_the_token_that_reaches_it(top_k):
    """Four of equal probability: two hold a half exactly, and a hair more takes a third."""
    scores = [-torch.inf, 2.0, 2.0, 2.0, 2.0]
    assert len(chosen_by_any_uniform(scores, 0.5, top_k)) == 2
    assert len(chosen_by_any_uniform(scores, 0.5001, top_k)) == 3
    assert len(chosen_by_any_uniform(scores, 0.4999, top_k)) == 2
    assert len(chosen_by_any_uniform(scores, 0.25, top_k)) == 1


@pytest.mark.parametrize(
    ("top_k", "possible"), [(1, {3}), (2, {1, 3}), (3, {0, 1, 3}), (4, {0, 1, 2, 3}), (9, {0, 1, 2, 3})]
)
def test_top_k_keeps_exactly_so_many_tokens_from_one_to_the_whole_vocabulary(top_k, possible):
    assert chosen_by_any_uniform([0.2, 0.3, 0.1, 0.4], 1.0, top_k) == possible
    assert chosen_by_any_uniform([0.2, 0.3, 0.1, 0.4], 1.0, 0) == {0, 1, 2, 3}

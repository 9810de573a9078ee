"""Ways to a faster decode step compute what the program's way computes; what needs a GPU stands in for itself here."""
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import Qwen3Config

from benchmarks import step_candidates

CONFIG = Qwen3Config(
    hidden_size=32, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2, head_dim=8, num_hidden_layers=1
)


def attention_by_length(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, enable_gqa, seqused_k):
    """What torch's documentation says of varlen_attn, sequence by sequence."""
    assert cu_seq_q.tolist() == list(range(len(query) + 1)) and max_q == 1 and enable_gqa
    assert cu_seq_q.dtype == cu_seq_k.dtype == seqused_k.dtype == torch.int32
    rows = []
    for number, used in enumerate(seqused_k):
        part = slice(cu_seq_k[number], cu_seq_k[number] + used)
        assert used <= cu_seq_k[number + 1] - cu_seq_k[number] <= max_k
        keys, values = (whole[part].transpose(0, 1)[None] for whole in (key, value))
        one = query[number][None, :, None]
        rows.append(scaled_dot_product_attention(one, keys, values, enable_gqa=True)[0, :, 0])
    return torch.stack(rows)


def test_every_way_computes_what_the_way_as_run_computes(monkeypatch):
    monkeypatch.setattr(step_candidates, "varlen_attn", attention_by_length)
    monkeypatch.setattr(step_candidates, "ONLY_ON_GPU", ("compiled",))
    monkeypatch.setattr(step_candidates, "REPETITIONS", 2)
    parts = step_candidates.layer_ways(CONFIG, torch.float32, "cpu", rows=5, tokens=70)
    for part, other in (("attention", "by length"), ("projections", "fused")):
        assert parts[part]["as run"]["error"] == 0 and parts[part][other]["error"] < 1e-5
        assert parts[part][other]["ms"] > 0
    assert parts["norm and MLP"]["compiled"] == {"reason": "needs a CUDA GPU"}


def test_a_way_that_fails_has_its_reason_and_the_others_their_figures(monkeypatch):
    monkeypatch.setattr(step_candidates, "ONLY_ON_GPU", ("compiled",))
    parts = step_candidates.layer_ways(CONFIG, torch.float32, "cpu", rows=3, tokens=20)
    assert parts["attention"]["by length"]["reason"].startswith("NotImplementedError: ")
    assert parts["attention"]["as run"]["ms"] > 0


def test_an_error_is_a_share_of_the_largest_number():
    ways = {"as run": lambda: torch.tensor([4.0, -8.0]), "other": lambda: torch.tensor([4.0, -6.0])}
    assert step_candidates._measured(ways, "cpu")["other"]["error"] == pytest.approx(0.25)

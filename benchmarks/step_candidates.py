"""Ways that could make a decode step faster, each beside the way the program takes: one layer with random weights.

A part of benchmarks/gpu_check.py. A way that wins there by more than the noise is worth building into the decoder; the
share that a layer's part has of a step says how much it can bring.
"""
import time
from collections.abc import Callable
from functools import cache

import torch
from torch import nn
from torch.nn.attention.varlen import varlen_attn
from transformers import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3MLP, Qwen3RMSNorm

from thinking.capped_decoding import capture_graph

REPETITIONS = 20  # replays of a way; the best counts
AS_RUN = "as run"  # the way that the program takes; the others are measured against it
ONLY_ON_GPU = ("by length", "compiled")  # varlen_attn is CUDA's alone; compiling for a CPU takes long and helps nothing

Way = Callable[[], torch.Tensor]


@torch.inference_mode()
def layer_ways(config: Qwen3Config, dtype: torch.dtype, device: str, rows: int, tokens: int) -> dict[str, dict]:
    """Per part of a layer and way: `ms`, and `error`, or the `reason` for none.

    error: the largest difference from "as run", as a share of the largest number there.
    A step feeds one token to each of so many rows, whose caches hold 3/4 of `tokens` to all of them.
    """
    torch.manual_seed(0)
    with torch.device(device):
        parts = {
            "attention": _attention(config, dtype, rows, tokens),
            "projections": _projections(config, dtype, rows),
            "norm and MLP": _norm_and_mlp(config, dtype, rows),
        }
    return {name: _measured(ways, device) for name, ways in parts.items()}


def _attention(config, dtype, rows, tokens) -> dict[str, Way]:
    """One query per row against its cache. By length: no mask, and nothing read behind a row's end."""
    heads, kept, size = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    columns = -(-tokens // 64) * 64
    query = torch.randn(rows, heads, size, dtype=dtype)
    keys, values = torch.randn(2, rows, kept, columns, size, dtype=dtype)
    lengths = torch.linspace(0.75 * tokens, tokens, rows).ceil().int()
    hidden = torch.arange(columns) >= lengths[:, None]
    mask = torch.zeros(rows, columns, dtype=dtype).masked_fill_(hidden, -torch.inf)[:, None, None]
    # The same cache with a token's heads side by side, as varlen_attn takes it.
    packed_keys, packed_values = (x.transpose(1, 2).reshape(rows * columns, kept, size) for x in (keys, values))
    queries_until = torch.arange(rows + 1, dtype=torch.int32)

    def masked():
        grouped = query.view(rows, kept, heads // kept, size)
        return nn.functional.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask).view(query.shape)

    def by_length():
        return varlen_attn(
            query, packed_keys, packed_values, queries_until, queries_until * columns, 1, columns,
            enable_gqa=True, seqused_k=lengths,
        )  # fmt: skip

    return {AS_RUN: masked, "by length": by_length}


def _projections(config, dtype, rows) -> dict[str, Way]:
    """Queries, keys and values, then gate and up: five products, or two of the same weights side by side."""
    kept, size = config.num_key_value_heads, config.head_dim
    widths = ([config.num_attention_heads * size, kept * size, kept * size], [config.intermediate_size] * 2)
    states = torch.randn(rows, config.hidden_size, dtype=dtype)
    groups = [[torch.randn(width, config.hidden_size, dtype=dtype) for width in of_one] for of_one in widths]
    fused = [torch.cat(of_one) for of_one in groups]

    def separate():
        return torch.cat([nn.functional.linear(states, weight) for of_one in groups for weight in of_one], dim=1)

    def together():
        return torch.cat([nn.functional.linear(states, weight) for weight in fused], dim=1)

    return {AS_RUN: separate, "fused": together}


def _norm_and_mlp(config, dtype, rows) -> dict[str, Way]:
    """Norm, gated layers and the sum with what came in: a kernel per operation, or those that torch.compile makes."""
    norm, mlp = Qwen3RMSNorm(config.hidden_size).to(dtype), Qwen3MLP(config).to(dtype)
    states = torch.randn(rows, config.hidden_size, dtype=dtype)

    def block(states):
        return states + mlp(norm(states))

    @cache
    def compiled():
        return torch.compile(block, dynamic=False)

    return {AS_RUN: lambda: block(states), "compiled": lambda: compiled()(states)}


def _measured(ways: dict[str, Way], device) -> dict[str, dict]:
    """The ways take turns; on a GPU each is a CUDA graph, as a step of the decoder is."""
    found, runs, reference = {}, {}, None
    for name, way in ways.items():
        if device == "cpu" and name in ONLY_ON_GPU:
            found[name] = {"reason": "needs a CUDA GPU"}
            continue
        try:
            result = way()
            runs[name] = _replayed(way, device)
        except RuntimeError as error:
            found[name] = {"reason": f"{type(error).__name__}: {error}".partition("\n")[0][:200]}
            continue
        reference = result if name == AS_RUN else reference
        found[name] = {"ms": float("inf"), "error": _error(result, reference)}
    for _ in range(REPETITIONS):
        for name, run in runs.items():
            found[name]["ms"] = min(found[name]["ms"], 1000 * _seconds(run, device))
    return found


def _error(result, reference):
    """None where the way as run failed."""
    if reference is None:
        return None
    return ((result.float() - reference.float()).abs().max() / reference.float().abs().max()).item()


def _replayed(way, device):
    """What runs the way once more."""
    if device == "cpu":
        return way
    way()  # once more before the capture: kernels are chosen
    torch.cuda.synchronize()
    return capture_graph(way, None).replay


def _seconds(run, device):
    if device == "cpu":
        started = time.perf_counter()
        run()
        return time.perf_counter() - started
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000

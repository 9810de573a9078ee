"""Small random models that this program's own decoder refuses and vLLM runs: a hybrid, a sliding window, quantised."""
import json

import torch
from safetensors.torch import load_file, save_file
from tiny_models import TEMPLATES, make_tokenizer, save_tiny_model
from transformers import AutoModelForCausalLM, Gemma3TextConfig, GptOssConfig, Qwen3_5TextConfig, Qwen3NextConfig

SIZES = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32,
         "max_position_embeddings": 2048, "tie_word_embeddings": False}  # fmt: skip


def save_hybrid(folder):
    """Qwen3.5's shape: three layers of recurrent state, then one of full attention."""
    linear = {"linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_num_key_heads": 2,
              "linear_num_value_heads": 2}  # fmt: skip
    return _save(folder, Qwen3_5TextConfig(num_hidden_layers=4, intermediate_size=128, **linear, **_sizes()),
                 torch.bfloat16)  # fmt: skip


def save_hybrid_of_experts(folder):
    """Qwen3-Next's shape: the same recurrent layers, with experts."""
    linear = {"linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_num_key_heads": 2,
              "linear_num_value_heads": 2}  # fmt: skip
    config = Qwen3NextConfig(
        num_hidden_layers=4, intermediate_size=128, moe_intermediate_size=64, shared_expert_intermediate_size=64,
        num_experts=4, num_experts_per_tok=2, **linear, **_sizes(),
    )  # fmt: skip
    return _save(folder, config, torch.bfloat16)


def save_sliding_window(folder):
    """Gemma 3's shape: layers that see the last 32 tokens, then one that sees all."""
    config = Gemma3TextConfig(
        num_hidden_layers=3, intermediate_size=128, sliding_window=32, query_pre_attn_scalar=32,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"], **_sizes(),
    )  # fmt: skip
    return _save(folder, config)


def save_mixture_of_experts(folder):
    """gpt-oss's shape: a sliding window and attention sinks in every other layer, experts."""
    config = GptOssConfig(
        num_hidden_layers=2, intermediate_size=64, sliding_window=32, num_local_experts=4, num_experts_per_tok=2,
        **_sizes(),
    )  # fmt: skip
    return _save(folder, config)


def save_quantised(folder):
    """The tiny Qwen3 with weights in 4 bits, one scale per 32, in compressed-tensors' format; the rest in float16."""
    save_tiny_model(folder, **SIZES)
    path = folder / "model.safetensors"
    weights = {}
    for name, weight in load_file(path).items():
        if not name.endswith("_proj.weight"):
            weights[name] = weight.half()
            continue
        groups = weight.unflatten(1, (-1, 32))
        scale = groups.abs().amax(dim=2, keepdim=True) / 7
        codes = ((groups / scale).round() + 8).to(torch.int32).flatten(1).unflatten(1, (-1, 8))
        name = name.removesuffix("weight")
        weights[f"{name}weight_packed"] = (codes << (4 * torch.arange(8))).sum(dim=2, dtype=torch.int32)
        weights[f"{name}weight_scale"] = scale[:, :, 0].half()
        weights[f"{name}weight_shape"] = torch.tensor(weight.shape)
    save_file(weights, path, metadata={"format": "pt"})
    four_bits = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 32}
    group = {"targets": ["Linear"], "weights": {**four_bits, "dynamic": False}, "input_activations": None}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["dtype"] = "float16"
    config["quantization_config"] = {
        "quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed",
        "ignore": ["lm_head"], "config_groups": {"group_0": group},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def _sizes():
    return SIZES | {"vocab_size": len(make_tokenizer(TEMPLATES["hybrid"])) + 20}


def _save(folder, config, dtype=torch.float32):
    """dtype: vLLM's recurrent layers take bfloat16 alone on a CPU."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.dim() > 1 and "conv" not in name:
                weights.normal_(0, 0.2)  # large enough that the context decides what comes next
    model.to(dtype).save_pretrained(folder)
    make_tokenizer(TEMPLATES["hybrid"]).save_pretrained(folder)
    return folder

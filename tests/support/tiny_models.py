"""Tiny models made on the spot: the real Qwen3 architecture, random float32 weights, about 330 tokens."""
import json
import shutil
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from hugging_face_model import HuggingFaceModel
from thinking.prompt_encoder import PromptEncoder
from thinking.sampling import Sampling

SHARED = Path(__file__).resolve().parents[3] / "shared"

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "<think>", "</think>"]

_TURN = "{{- '<|im_start|>user\\n' + messages[0].content + '<|im_end|>\\n<|im_start|>assistant\\n' }}"


TEMPLATES = {
    "hybrid": _TURN + "{%- if enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}",
    "ignores_switch": _TURN + "{{- '<think>\\n' }}",
    "never_thinks": _TURN,
}


def make_tokenizer(template, tags=tuple(CONTROL[3:])):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("A", "n"), ("s", "w"), ("e", "r"), ("An", "sw"), ("Answ", "er"), ("Ċ", "Ċ"), ("t", "h"), ("th", "e")]
    vocabulary = {token: index for index, token in enumerate(alphabet + ["".join(pair) for pair in merges])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in CONTROL[:3]])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in tags])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=template
    )


def save_tiny_model(folder, template="hybrid", **config_changes):
    """A loadable model; the vocabulary is padded by 20 rows that no token has."""
    tokenizer = make_tokenizer(TEMPLATES[template])
    settings = {
        "vocab_size": len(tokenizer) + 20,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "initializer_range": 0.3,  # large enough that the context decides what comes next
    }
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(Qwen3Config(**(settings | config_changes)))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_tiny_architecture(folder, model_type, template="hybrid", **config_changes):
    """A loadable model of another architecture; each reads the names of its sizes that it knows."""
    tokenizer = make_tokenizer(TEMPLATES[template])
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 4096}
    others = {"intermediate_size": 64, "ffn_dim": 64, "word_embed_proj_dim": 32, "num_key_value_heads": 4}
    config = AutoConfig.for_model(model_type, vocab_size=len(tokenizer) + 20, **(sizes | others | config_changes))
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.normal_(0, 0.3)  # large enough that the context decides what comes next
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def load_model(folder, decoding=""):
    """Samples from the whole vocabulary, so that about one thought in two closes by itself within 200 tokens."""
    sampling = Sampling(temperature=1.0, top_p=1.0, top_k=0)
    return HuggingFaceModel(PromptEncoder.load(str(folder)), sampling, decoding=decoding)


def changed_config(folder, source, **changes):
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    return str(folder)

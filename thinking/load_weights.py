"""Weights of a model loaded with transformers: what it must be, and the trials that show whether they can be read."""
import copy
import re
from contextlib import contextmanager

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, DynamicCache

from basics.errors import UserError
from basics.hub_faults import HUB_ERRORS, hub_fault
from thinking.capped_decoding import CappedDecoder
from thinking.model_files import hub_page, unusable
from thinking.prompt_encoder import PromptEncoder
from thinking.sampling import Sampling
from thinking.slot_cache import Fork
from thinking.thoughts import Thought


def check_architecture(model_name: str, config) -> None:
    """Raises UserError for a model that this program's own decoder cannot read; no weights are needed.

    One cache must serve every cap, so all layers need full attention. Quantised weights need packages of their own.
    """
    other_engine = "or set ENGINE to vLLM (docs/engines.md)"
    for part in (config, config.get_text_config(decoder=True)):
        for name in ("quantization_config", "compression_config"):
            if found := getattr(part, name, None):
                method = found.get("quant_method") if isinstance(found, dict) else getattr(found, "quant_method", None)
                how = getattr(method, "value", method) or name
                raise UserError(
                    f"model_name = {model_name!r}: its weights are quantised ({how}); name the checkpoint"
                    " that they were made from, with its weights in bfloat16, float16 or float32,"
                    f" {other_engine}"
                )
    config = without_idle_window(config)
    kinds = {type(layer).__name__ for layer in DynamicCache(config=config).layers} - {"DynamicLayer"}
    if kinds:
        raise UserError(
            f"model_name = {model_name!r}: its cache has layers that cannot be masked and cropped"
            f" ({', '.join(sorted(kinds))}: sliding window or recurrent state); name a model with full attention,"
            f" {other_engine}"
        )


def without_idle_window(config):
    """The configuration, without a sliding window that is at least as long as the context and so never slides.

    So it is in Phi-3-mini-128k: a window of 262,144 tokens, a context of 131,072.
    """
    text = config.get_text_config(decoder=True)
    window, context = getattr(text, "sliding_window", None), getattr(text, "max_position_embeddings", None)
    if not isinstance(window, int) or not isinstance(context, int) or window < context:
        return config
    config = copy.deepcopy(config)
    text = config.get_text_config(decoder=True)
    text.sliding_window = None
    if kinds := getattr(text, "layer_types", None):
        text.layer_types = ["full_attention" if kind == "sliding_attention" else kind for kind in kinds]
    return config


def load_weights(encoder: PromptEncoder, device, dtype: str = "auto"):
    """The model, ready to run on the device, or spread over all GPUs if it is "auto". Raises UserError.

    dtype: number format of the weights, "auto" for that of the files.
    """
    device_map = "auto" if device == "auto" else {"": device}
    name = encoder.model_name
    check_architecture(name, encoder.config)
    try:
        model, loading = AutoModelForCausalLM.from_pretrained(
            encoder.weights_folder(),
            config=without_idle_window(encoder.config),
            dtype=dtype,
            device_map=device_map,
            attn_implementation="sdpa",  # takes the boolean masks that read several caps off one cache
            use_safetensors=True,  # other weight formats can run code
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # `_check_weights` reports them in one line
            output_loading_info=True,
        )
    except torch.OutOfMemoryError as error:
        if device == "auto":
            raise UserError(f"model_name = {name!r}: out of GPU memory while loading it") from error
        raise UserError(
            f"model_name = {name!r}: it does not fit into the free memory of {device}; started without"
            " accelerate launch, the program spreads a model that is larger than one GPU over all that are visible"
        ) from error
    except (*HUB_ERRORS, SafetensorError, RuntimeError) as error:  # RuntimeError: weights of other shapes, no memory
        raise UserError(f"model_name = {name!r}: {hub_fault(error, hub_page(name))}") from error
    except Exception as error:  # a configuration that contradicts itself makes transformers raise anything
        raise UserError(f"model_name = {name!r}: {unusable('its configuration', error)}") from error
    _check_weights(name, model, loading)
    if device == "auto" and {"cpu", "disk"} & set(getattr(model, "hf_device_map", {}).values()):
        raise UserError(f"model_name = {name!r}: it does not fit into the memory of the GPUs")
    return model.eval()


def _check_weights(model_name: str, model, loading: dict) -> None:
    """Raises UserError if weights and configuration are not of one model; transformers fills gaps at random."""
    missing = sorted(loading["missing_keys"])
    # Layers that the model lacks although it has others of this kind; a file may hold other weights that are not used.
    known = {re.sub(r"\d+", "0", name) for name in model.state_dict()}
    left_over = sorted(name for name in loading["unexpected_keys"] if re.sub(r"\d+", "0", name) in known)
    resized = sorted(str(name) for name, *_ in loading["mismatched_keys"])
    for names, what in (
        (resized, "its configuration gives another size to"),
        (missing, "its weights lack"),
        (left_over, "its configuration has no place for"),
    ):
        if names:
            others = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
            raise UserError(
                f"model_name = {model_name!r}: {what} {names[0]}{others}; config.json and the safetensors files are not"
                " of one model"
            )


@contextmanager
def one_line_for_faults(encoder):
    """Turns whatever a model raises on a few trial tokens into a UserError."""
    try:
        yield
    except UserError:
        raise
    except torch.OutOfMemoryError as error:
        raise UserError(f"model_name = {encoder.model_name!r}: out of GPU memory when it was tried out") from error
    except Exception as error:  # an unknown architecture can fail in any way
        raise UserError(
            f"model_name = {encoder.model_name!r}: {unusable('a model of this configuration', error)}"
        ) from error


@torch.inference_mode()
def check_decoder(encoder: PromptEncoder, model) -> None:
    """Raises UserError unless decoding and reading forks give what a plain forward pass gives.

    An architecture may compute positions and masks in its own way, and would then give wrong readings in silence.
    """
    decoder = CappedDecoder(model, None, [], 0, Sampling(temperature=0, top_p=1.0, top_k=0), "eager")
    texts = ("Answer: A", "Why is the first of these texts shorter than the second one?")
    thoughts = [Thought(encoder.encode_plain(text), 4, text) for text in texts]
    # Two tokens follow the first one, and do not attend to each other.
    first, one, other = (encoder.encode_plain(text)[0] for text in ("Confidence", "yes", "no"))
    visible = np.eye(3, dtype=bool)
    visible[:, 0] = True
    paths = ([first], [first, one], [first, other])
    decoder.think(thoughts)
    ends = [len(thought.prompt_ids) + 2 for thought in thoughts]
    forks = [
        Fork(thought.slot, end, np.array([first, one, other]), np.array([0, 1, 1]), visible)
        for thought, end in zip(thoughts, ends, strict=True)
    ]
    worst = 0.0
    for numbers, hidden in decoder.read_forks(forks):
        for number, states in zip(numbers, hidden.float(), strict=True):
            row = (thoughts[number].prompt_ids + thoughts[number].sampled_ids)[: ends[number]]
            whole = torch.stack([_last_state(model, row + path) for path in paths]).to(states.device)
            worst = max(worst, ((states - whole).norm(dim=-1) / whole.norm(dim=-1)).max().item())
    # Far above rounding, far below what a wrong position or mask does. NaN passes: its records carry an error.
    if worst > (1e-3 if model.dtype == torch.float32 else 0.2):
        raise UserError(
            f"model_name = {encoder.model_name!r}: read off a cache it gives other values than read whole (they differ"
            f" by {worst:.0%}), so the read-outs of this architecture ({model.config.model_type}) would be wrong"
        )


def _last_state(model, ids: list[int]):
    """Hidden state of the last token, of a plain forward pass."""
    device = model.get_input_embeddings().weight.device
    return model.base_model(input_ids=torch.tensor([ids], device=device)).last_hidden_state[0, -1].float()


@torch.inference_mode()
def check_output_layer(encoder: PromptEncoder, model) -> None:
    """Raises UserError if the logits are not the output layer's plain projection (scaled or capped logits)."""
    ids = torch.tensor([encoder.encode_plain("Answer:")], device=model.get_input_embeddings().weight.device)
    logits = model(input_ids=ids).logits[0, -1].float().cpu()
    hidden = model.base_model(input_ids=ids).last_hidden_state[0, -1]
    layer = model.get_output_embeddings()
    projected = layer(hidden.to(layer.weight.device)).float().cpu()
    if not torch.allclose(logits, projected, rtol=0.02, atol=0.02 * float(projected.abs().max())):
        raise UserError(
            f"model_name = {encoder.model_name!r}: its logits are not a plain projection of its last hidden"
            " state, so the read-outs would be wrong"
        )

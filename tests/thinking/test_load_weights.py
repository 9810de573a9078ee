import pytest
import torch
from tiny_models import changed_config, save_tiny_architecture
from transformers import AutoConfig, AutoModelForCausalLM, MistralConfig

from basics.errors import UserError
from thinking.load_weights import check_architecture, check_decoder, load_weights
from thinking.prompt_encoder import PromptEncoder


def test_a_cache_that_cannot_be_cropped_is_refused():
    with pytest.raises(UserError, match=r"sliding window.*or set ENGINE to vLLM"):
        check_architecture("a model", MistralConfig(sliding_window=64))


@pytest.mark.parametrize(("model_type", "window"), [("phi3", 4096), ("phi3", 8192), ("mistral", 4096)])
def test_a_window_as_long_as_the_context_never_slides(model_type, window, tmp_path):
    folder = save_tiny_architecture(tmp_path / "model", model_type, sliding_window=window, pad_token_id=0)
    encoder = PromptEncoder.load(str(folder))
    assert encoder.config.sliding_window == window
    check_architecture("a model", encoder.config)
    model = load_weights(encoder, "cpu")
    check_decoder(encoder, model)
    ids = torch.tensor([encoder.encode_plain("Which band is FR2?")])
    whole = AutoModelForCausalLM.from_pretrained(folder)  # with the window
    assert torch.allclose(model(input_ids=ids).logits, whole(input_ids=ids).logits, atol=1e-5)
    with pytest.raises(UserError, match="sliding window"):
        check_architecture("a model", AutoConfig.from_pretrained(folder, sliding_window=4095))


@pytest.mark.parametrize("dtype", ["auto", "bfloat16", "float16", "float32"])
def test_weights_have_the_number_format_that_was_asked_for(tiny_folder, dtype):
    model = load_weights(PromptEncoder.load(str(tiny_folder)), "cpu", dtype)
    of_files = torch.float32
    assert {one.dtype for one in model.parameters()} == {of_files if dtype == "auto" else getattr(torch, dtype)}


@pytest.mark.parametrize(
    "method", ["awq", "gptq", "bitsandbytes", "compressed-tensors", "hqq", "auto-round", "fp8", "mxfp4", "unheard-of"]
)
def test_quantised_weights_are_refused_before_they_are_loaded(tiny_folder, tmp_path, method):
    quantised = {"quantization_config": {"quant_method": method, "bits": 4}}
    encoder = PromptEncoder.load(changed_config(tmp_path / "model", tiny_folder, **quantised))
    with pytest.raises(UserError) as caught:
        load_weights(encoder, "cpu")
    assert str(caught.value) == (
        f"model_name = '{tmp_path}/model': its weights are quantised ({method}); name the checkpoint that they were"
        " made from, with its weights in bfloat16, float16 or float32, or set ENGINE to vLLM (docs/engines.md)"
    )

import pytest
from tiny_models import changed_config
from transformers import MistralConfig

from basics.errors import UserError
from thinking.load_weights import check_architecture, load_weights
from thinking.prompt_encoder import PromptEncoder


def test_a_cache_that_cannot_be_cropped_is_refused():
    with pytest.raises(UserError, match=r"sliding window.*or set ENGINE to vLLM"):
        check_architecture("a model", MistralConfig(sliding_window=64))


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

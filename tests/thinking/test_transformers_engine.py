import pytest
import torch

from thinking.transformers_engine import float32_product


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_logits_keep_float32_whatever_the_format_of_the_weights(dtype):
    torch.manual_seed(0)
    states, weight = torch.randn(7, 64).to(dtype), torch.randn(90, 64).to(dtype)
    exact = states.double() @ weight.double().T
    found = float32_product(states, weight)
    assert found.dtype == torch.float32
    error = (found.double() - exact).abs().max()
    assert error < 1e-5
    if dtype != torch.float32:
        assert ((states @ weight.T).double() - exact).abs().max() > 100 * error

"""The symmetric head by hand."""

import torch

from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head


def test_symmetric_head_is_an_mlp_on_difference_and_product():
    torch.manual_seed(1)
    model = build_head(HeadConfig("symmetric", hidden=(5,), prepare="none"), 3)
    a, b = torch.randn(4, 3), torch.randn(4, 3)
    first, _, last = model.layers
    inputs = torch.cat([(a - b).abs(), a * b], 1)
    hidden = (inputs @ first.weight.T + first.bias).clamp(min=0)
    torch.testing.assert_close(model(a, b), (hidden @ last.weight.T + last.bias)[:, 0])
    assert torch.equal(model(a, b), model(b, a))

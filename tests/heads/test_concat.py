"""The concat head by hand: the original recipe, and the mean of both orders."""

import pytest
import torch
from torch import nn

from fec_cache.errors import HeadMismatch
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head

WIDTH = 24


def made(head, **settings):
    torch.manual_seed(1)
    model = build_head(HeadConfig(head=head, **settings), WIDTH)
    model.fit_preparation(torch.randn(50, WIDTH) * 3 + 1)
    return model.eval()


def test_concat_head_is_not_symmetric():
    a, b = torch.randn(9, WIDTH), torch.randn(9, WIDTH)
    model = made("concat")
    assert not torch.allclose(model(a, b), model(b, a))


def test_concat_head_is_the_original_recipe_by_hand():
    model = made("concat")
    layers = list(model.layers)
    assert [type(layer) for layer in layers] == [nn.Linear, nn.ReLU, nn.Linear]
    a, b = torch.randn(5, WIDTH), torch.randn(5, WIDTH)
    hidden = torch.cat([a, b], 1) @ layers[0].weight.T + layers[0].bias
    wanted = (hidden.clamp(min=0) @ layers[2].weight.T + layers[2].bias)[:, 0]
    torch.testing.assert_close(model(a, b), wanted)
    assert layers[0].weight.shape == (256, 2 * WIDTH)


def test_concat_takes_features_as_they_are():
    features = torch.randn(4, WIDTH)
    assert torch.equal(made("concat").prepare(features), features)


def test_both_orders_answer_the_mean_of_the_plain_heads_logits():
    model, plain = made("concat", both_orders=True), made("concat")
    plain.load_state_dict(model.state_dict())
    a, b = torch.randn(9, WIDTH), torch.randn(9, WIDTH)
    torch.testing.assert_close(model(a, b), (plain(a, b) + plain(b, a)) / 2)


def test_joined_features_are_never_left_as_they_are_by_default():
    assert HeadConfig("concat").preparation_for(5) == "none"
    assert HeadConfig("concat", blocks=(2, 3)).preparation_for(5) == "standardize"
    with pytest.raises(HeadMismatch, match=r"in blocks of 2\+3, but these have a width of 24"):
        made("concat", blocks=(2, 3))

"""Heads: symmetric where they say so, prepared on training faces only."""

import numpy as np
import pytest
import torch
from torch import nn

from fec_cache.config import HeadConfig
from fec_cache.errors import HeadMismatch
from fec_cache.heads.model import build_head

WIDTH = 24


def made(head, **settings):
    torch.manual_seed(1)
    model = build_head(HeadConfig(head=head, **settings), WIDTH)
    model.fit_preparation(torch.randn(50, WIDTH) * 3 + 1)
    return model.eval()


@pytest.mark.parametrize("head", ["symmetric", "embedding"])
@pytest.mark.parametrize("prepare", ["none", "l2", "standardize"])
def test_symmetric_heads_are_symmetric_bit_for_bit(head, prepare):
    model = made(head, prepare=prepare, hidden=(32, 8))
    a, b = torch.randn(257, WIDTH), torch.randn(257, WIDTH)
    assert torch.equal(model(a, b), model(b, a))


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


def test_embedding_logit_is_scale_times_threshold_minus_squared_distance():
    model = made("embedding", hidden=())
    a, b = torch.randn(7, WIDTH), torch.randn(7, WIDTH)
    ea, eb = model.embed(a), model.embed(b)
    assert ea.shape == (7, 16)
    torch.testing.assert_close(ea.norm(dim=1), torch.ones(7))
    squared = (ea - eb).square().sum(1)
    torch.testing.assert_close(model(a, b), 5.0 * (1.0 - squared))
    torch.testing.assert_close(model.distance(model(a, b)), squared)


def test_a_face_is_most_similar_to_itself_for_the_embedding_head():
    model = made("embedding")
    a, b = torch.randn(20, WIDTH), torch.randn(20, WIDTH)
    assert (model(a, a) > model(a, b)).all()


def test_standardize_by_hand():
    torch.manual_seed(0)
    features = np.random.default_rng(0).normal(2, 5, (40, WIDTH)).astype(np.float32)
    features[:, 3] = 7.0
    model = build_head(HeadConfig(head="symmetric", prepare="standardize"), WIDTH)
    model.fit_preparation(torch.from_numpy(features))
    centred = (features - features.mean(0)) / np.where(features.std(0) > 1e-6, features.std(0), 1)
    centred[:, 3] = 0.0
    wanted = centred / np.linalg.norm(centred, axis=1, keepdims=True) * np.sqrt(WIDTH)
    prepared = model.prepare(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(prepared, wanted, atol=2e-5)


def test_concat_takes_features_as_they_are():
    features = torch.randn(4, WIDTH)
    assert torch.equal(made("concat").prepare(features), features)


def test_l2_gives_length_sqrt_of_width():
    model = made("symmetric", prepare="l2")
    lengths = model.prepare(torch.randn(9, WIDTH)).norm(dim=1)
    torch.testing.assert_close(lengths, torch.full((9,), WIDTH**0.5))


def test_calibration_buffer_gives_probability():
    model = made("concat")
    model.calibration.copy_(torch.tensor([2.0, -1.0]))
    logits = torch.tensor([-1.0, 0.0, 3.0])
    torch.testing.assert_close(model.probability(logits), torch.sigmoid(2 * logits - 1))


def test_any_number_of_hidden_layers_and_dropout():
    model = made("symmetric", hidden=(8, 4, 2), dropout=0.3)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["Linear", "ReLU", "Dropout"] * 3 + ["Linear"]
    assert len(made("symmetric", hidden=()).layers) == 1


@pytest.mark.parametrize("prepare", ["l2", "standardize"])
def test_each_block_of_features_gives_the_same_share(prepare):
    """A wide block of large numbers beside a narrow one of small numbers."""
    model = made("symmetric", prepare=prepare, blocks=(20, 4))
    features = torch.randn(30, WIDTH)
    features[:, :20] *= 1000
    model.fit_preparation(features)
    prepared = model.prepare(features)
    for block in (prepared[:, :20], prepared[:, 20:]):
        torch.testing.assert_close(block.square().sum(1), torch.full((30,), WIDTH / 2))


def test_joined_features_are_never_left_as_they_are_by_default():
    assert HeadConfig("concat").preparation_for(5) == "none"
    assert HeadConfig("concat", blocks=(2, 3)).preparation_for(5) == "standardize"
    with pytest.raises(HeadMismatch, match=r"blocks of 2\+3 numbers, but features have 24"):
        made("concat", blocks=(2, 3))

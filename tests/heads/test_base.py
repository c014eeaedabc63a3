"""Heads: symmetric where they say so, prepared on training faces only."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from fec_cache.errors import HeadMismatch
from fec_cache.heads.base import build_head
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.scoring import pair_logits, probability_of, similarity_of
from fec_cache.pairs.build import PAIRS_OF_TRIPLET
from fec_cache.testing.planted import planted_set
from fec_cache.training.config import LOSSES
from fec_cache.training.losses import training_columns
from tests.training.plain_losses import batch_loss, odd_one_out_loss, triplet_loss

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
    with pytest.raises(HeadMismatch, match=r"in blocks of 2\+3, but these have a width of 24"):
        made("concat", blocks=(2, 3))


SYMMETRIC = [
    ("symmetric", {"hidden": (32, 8)}),
    ("embedding", {"hidden": (32, 8)}),
    ("scatter", {}),
    ("concat", {"both_orders": True, "hidden": (32, 8)}),
]


@pytest.mark.parametrize(("head", "settings"), SYMMETRIC)
def test_probability_is_symmetric_bit_for_bit_also_when_scored_in_batches(head, settings):
    """p(a, b) = p(b, a) as pairs, and where scoring works a face out once for many triplets."""
    model = made(head, **settings)
    if head == "scatter":
        model.projection.copy_(torch.randn_like(model.projection))
    model.calibration.copy_(torch.tensor([1.7, -0.3]))
    features = np.random.default_rng(0).normal(0, 1, (67, WIDTH)).astype(np.float32)
    rng = np.random.default_rng(1)
    rows = np.stack([rng.permutation(67)[:3] for _ in range(300)])
    forwards = probability_of(model, similarity_of(model, features, rows))
    backwards = probability_of(model, similarity_of(model, features, rows[:, ::-1].copy()))
    np.testing.assert_array_equal(forwards, backwards[:, ::-1])
    assert len(np.unique(forwards)) > 20
    a, b = features[:50], features[17:67]
    np.testing.assert_array_equal(pair_logits(model, a, b), pair_logits(model, b, a))


def test_both_orders_answer_the_mean_of_the_plain_heads_logits():
    model, plain = made("concat", both_orders=True), made("concat")
    plain.load_state_dict(model.state_dict())
    a, b = torch.randn(9, WIDTH), torch.randn(9, WIDTH)
    torch.testing.assert_close(model(a, b), (plain(a, b) + plain(b, a)) / 2)


@pytest.mark.parametrize("loss", LOSSES)
def test_both_orders_are_both_trained_on(loss):
    """The doubled items hold every pair of every triplet in its other order, with its answer."""
    _, table = planted_set(30, 20)
    table = dataclasses.replace(table, votes=np.random.default_rng(0).integers(1, 6, (20, 3)))
    plain, both = training_columns(loss, table), training_columns(loss, table, both_orders=True)
    assert len(both[0]) == 2 * len(plain[0])
    for column, doubled in zip(plain, both, strict=True):
        np.testing.assert_array_equal(doubled[: len(column)], column)
    if both[0].shape[1] == 2:
        turned = {(b, a, y) for a, b, y in np.column_stack(plain).tolist()}
        assert turned == {tuple(line) for line in np.column_stack(both).tolist()[len(plain[0]) :]}
    else:
        model = made("concat", both_orders=True).train()
        faces = torch.randn(30, WIDTH)
        swapped = [torch.from_numpy(np.ascontiguousarray(c[20:])) for c in both]
        here = batch_loss(loss, model, faces[swapped[0]], tuple(swapped[1:]))
        pairs = [
            model.compare(faces[table.rows[:, j]], faces[table.rows[:, i]])
            for i, j in PAIRS_OF_TRIPLET
        ]
        logits = torch.stack(pairs, 1)
        first = [torch.from_numpy(column) for column in plain]
        wanted = (
            triplet_loss(model, logits, first[1], first[2])
            if loss == "triplet"
            else odd_one_out_loss(logits, first[1])
        )
        torch.testing.assert_close(here, wanted)

"""Heads: symmetric where they say so, prepared on training faces only."""

import numpy as np
import pytest
import torch

from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.heads.scoring import pair_logits, probability_of, similarity_of

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


def test_calibration_buffer_gives_probability():
    model = made("concat")
    model.calibration.copy_(torch.tensor([2.0, -1.0]))
    logits = torch.tensor([-1.0, 0.0, 3.0])
    torch.testing.assert_close(model.probability(logits), torch.sigmoid(2 * logits - 1))


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

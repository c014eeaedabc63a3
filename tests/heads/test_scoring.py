"""Work shared between pairs changes no answer."""

import numpy as np
import pytest
import torch

from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.heads.scoring import pair_logits, similarity_of
from fec_cache.pairs.build import PAIRS_OF_TRIPLET

SHAPES = [
    HeadConfig("concat"),
    HeadConfig("concat", hidden=()),
    HeadConfig("concat", hidden=(9, 5), dropout=0.5, both_orders=True),
    HeadConfig("symmetric", hidden=(9, 5)),
    HeadConfig("embedding", hidden=(9,), embedding_dim=4),
    HeadConfig("scatter"),
]


@pytest.mark.parametrize("config", SHAPES, ids=lambda config: f"{config.head}-{config.hidden}")
def test_triplets_score_like_their_pairs_one_by_one(config):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 12)).astype(np.float16)
    rows = rng.integers(5, 40, (60, 3))
    head = build_head(config, 12)
    if config.head == "scatter":
        head.projection.normal_()
    ours = similarity_of(head, features, rows)
    assert ours.shape == (60, 3)
    for pair, (i, j) in enumerate(PAIRS_OF_TRIPLET):
        for row in range(60):
            a, b = features[rows[row, i]][None], features[rows[row, j]][None]
            assert ours[row, pair] == pytest.approx(pair_logits(head, a, b)[0], rel=1e-4, abs=1e-5)


def test_a_face_is_worked_out_once(monkeypatch):
    head = build_head(HeadConfig("embedding"), 6)
    seen = []
    plain = type(head).roles
    monkeypatch.setattr(
        type(head), "roles", lambda self, x: (seen.append(len(x)), plain(self, x))[1]
    )
    rows = np.array([[7, 3, 9], [9, 3, 7], [3, 7, 5]])
    similarity_of(head, np.random.default_rng(0).normal(size=(50, 6)), rows)
    assert seen == [4]
    assert torch.is_grad_enabled()

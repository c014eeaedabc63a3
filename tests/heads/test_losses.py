"""Losses against slow loops and other libraries."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from fec_cache.config import HeadConfig
from fec_cache.heads.losses import TRIPLET_MARGINS, bce_loss, triplet_loss
from fec_cache.heads.model import build_head


def test_bce_equals_scikit_learns_log_loss():
    logits, target = torch.randn(200), torch.rand(200) < 0.3
    wanted = log_loss(target.numpy(), torch.sigmoid(logits.double()).numpy())
    assert float(bce_loss(logits, target)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("kind", ["concat", "symmetric", "embedding"])
def test_triplet_loss_equals_a_slow_loop(kind):
    head = build_head(HeadConfig(head=kind), 6)
    logits = torch.randn(50, 3) * 2
    odd, types = torch.randint(0, 3, (50,)), torch.randint(0, 3, (50,))
    total = 0.0
    for row in range(50):
        distance = head.distance(logits[row]).tolist()
        for other in range(3):
            if other != odd[row]:
                margin = (0.1, 0.2, 0.2)[types[row]]
                total += max(0.0, distance[odd[row]] - distance[other] + margin)
    assert triplet_loss(head, logits, odd, types).item() == pytest.approx(total / 50, rel=1e-5)


def test_margins_are_the_papers():
    assert TRIPLET_MARGINS == (0.1, 0.2, 0.2)


def test_embedding_triplet_loss_is_the_papers_hinge_on_squared_distances():
    head = build_head(HeadConfig(head="embedding", hidden=()), 6)
    faces = torch.randn(4, 3, 6)
    e = head.embed(faces).detach().numpy()
    logits = torch.stack(
        [head(faces[:, i], faces[:, j]) for i, j in ((1, 2), (0, 2), (0, 1))], dim=1
    )
    odd = torch.tensor([0, 1, 2, 0])
    squared = {
        (i, j): ((e[:, i] - e[:, j]) ** 2).sum(1) for i in range(3) for j in range(3) if i != j
    }
    total = 0.0
    for row, face in enumerate(odd.tolist()):
        i, j = [k for k in range(3) if k != face]
        near = squared[i, j][row]
        total += np.maximum(0, near - squared[i, face][row] + 0.2)
        total += np.maximum(0, near - squared[j, face][row] + 0.2)
    loss = triplet_loss(head, logits, odd, torch.ones(4, dtype=torch.int64))
    assert loss.item() == pytest.approx(total / 4, rel=1e-5)

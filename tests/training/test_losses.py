"""Losses against slow loops and other libraries."""

import dataclasses

import numpy as np
import pytest
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import ContrastiveLoss, TripletMarginLoss
from pytorch_metric_learning.reducers import MeanReducer
from sklearn.metrics import log_loss
from torch.func import functional_call, grad, vmap

from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.pairs.build import PAIRS_OF_TRIPLET, TripletTable
from fec_cache.testing.planted import planted_set
from fec_cache.training.config import LOSSES
from fec_cache.training.losses import TRIPLET_MARGINS, bce_loss, training_columns
from tests.training.plain_losses import (
    batch_loss,
    contrastive_loss,
    odd_one_out_loss,
    triplet_loss,
)

SQUARED = LpDistance(normalize_embeddings=True, p=2, power=2)


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


def embedded_triplets(seed=0, num_triplets=40):
    """An embedding head, 30 faces, and triplets of them, with logits of the three pairs."""
    torch.manual_seed(seed)
    head = build_head(HeadConfig(head="embedding", hidden=(8,)), 6)
    faces, rows = torch.randn(30, 6), torch.stack([torch.randperm(30)[:3] for _ in range(40)])
    logits = torch.stack(
        [head(faces[rows[:, i]], faces[rows[:, j]]) for i, j in PAIRS_OF_TRIPLET], dim=1
    )
    return head, head.embed(faces), rows, logits


def test_triplet_loss_equals_pytorch_metric_learning():
    head, embeddings, rows, logits = embedded_triplets()
    odd = torch.randint(0, 3, (40,))
    anchors, positives, negatives = [], [], []
    for row, face in zip(rows.tolist(), odd.tolist(), strict=True):
        i, j = [k for k in range(3) if k != face]
        anchors += [row[i], row[j]]
        positives += [row[j], row[i]]
        negatives += [row[face]] * 2
    oracle = TripletMarginLoss(margin=0.1, distance=SQUARED, reducer=MeanReducer())
    indices = tuple(map(torch.tensor, (anchors, positives, negatives)))
    wanted = 2 * oracle(embeddings, indices_tuple=indices)  # ours sums a triplet's two terms
    ours = triplet_loss(head, logits, odd, torch.zeros(40, dtype=torch.int64))
    torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("is_similar", [True, False])
def test_contrastive_loss_equals_pytorch_metric_learning(is_similar):
    head, embeddings, rows, logits = embedded_triplets()
    pairs = (rows[:, 1], rows[:, 2])
    empty = (rows[:0, 0], rows[:0, 0])
    oracle = ContrastiveLoss(0.0, 1.0, distance=SQUARED, reducer=MeanReducer())
    indices = (*pairs, *empty) if is_similar else (*empty, *pairs)
    ours = contrastive_loss(head, logits[:, 0], torch.full((40,), float(is_similar)))
    wanted = oracle(embeddings, indices_tuple=indices)
    torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-6)


def test_contrastive_loss_is_the_mean_over_all_pairs():
    head = build_head(HeadConfig(head="embedding"), 6)
    logits, target = torch.randn(60), torch.arange(60) % 3 == 0
    each = [contrastive_loss(head, logits[i : i + 1], target[i : i + 1]) for i in range(60)]
    torch.testing.assert_close(contrastive_loss(head, logits, target), torch.stack(each).mean())


def test_odd_one_out_loss_by_hand():
    """Three pairs as 1 : 2 : 5; four of six raters name the third face, two the first."""
    logits = torch.tensor([[1.0, 2.0, 5.0]]).log()
    shares = torch.tensor([[2 / 6, 0.0, 4 / 6]])
    wanted = -(2 / 6 * np.log(1 / 8) + 4 / 6 * np.log(5 / 8))
    assert float(odd_one_out_loss(logits, shares)) == pytest.approx(wanted, rel=1e-6)


def test_odd_one_out_loss_is_least_where_the_softmax_equals_the_votes():
    shares = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    logits = shares.log().requires_grad_()
    odd_one_out_loss(logits, shares).backward()
    torch.testing.assert_close(logits.grad, torch.zeros(2, 3), atol=1e-7, rtol=0)


def test_columns_of_odd_one_out_are_shares_of_votes():
    votes = np.array([[1, 0, 5], [4, 2, 2]])
    rows = np.array([[4, 5, 6], [7, 8, 9]])
    table = TripletTable(rows, votes.argmax(1), np.zeros(2, np.int64), votes)
    columns = training_columns("odd-one-out", table)
    assert columns[0].tolist() == rows.tolist()
    np.testing.assert_allclose(columns[1], [[1 / 6, 0, 5 / 6], [0.5, 0.25, 0.25]], rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", ["concat", "symmetric", "embedding"])
def test_losses_of_stacked_heads_equal_each_heads_own(kind, loss):
    """Heads and losses are pure functions of their weights: gradients of K heads in one pass."""
    features, table = planted_set(30, 16, width=6)
    columns = [torch.from_numpy(column) for column in training_columns(loss, table)]
    faces = torch.from_numpy(features)[columns[0]]
    heads = [build_head(HeadConfig(kind, (5,)), 6) for _ in range(3)]
    stacked = {
        name: torch.stack([dict(head.named_parameters())[name] for head in heads]).detach()
        for name, _ in heads[0].named_parameters()
    }

    def loss_of(weights):
        class Bound(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.head = heads[0]

            def forward(self):
                return batch_loss(loss, self.head, faces, tuple(columns[1:]))

        return functional_call(Bound(), {f"head.{k}": v for k, v in weights.items()}, ())

    together = vmap(grad(loss_of))(stacked)
    for number, head in enumerate(heads):
        batch_loss(loss, head, faces, tuple(columns[1:])).backward()
        for name, weight in head.named_parameters():
            alone = torch.zeros_like(weight) if weight.grad is None else weight.grad
            torch.testing.assert_close(together[name][number], alone, rtol=1e-4, atol=1e-6)


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
        model = build_head(HeadConfig("concat", both_orders=True), 24)
        faces = torch.randn(30, 24)
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

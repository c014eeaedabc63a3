"""The embedding head: its formula, and its start with the scatter head's answers."""

import numpy as np
import pytest
import torch

from fec_cache.errors import BadOption
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head
from fec_cache.heads.scoring import similarity_of, triplet_accuracy
from fec_cache.testing.planted import planted_split
from fec_cache.training.closed_form import fit_closed_form
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit

WIDTH = 24


def made(head, **settings):
    torch.manual_seed(1)
    model = build_head(HeadConfig(head=head, **settings), WIDTH)
    model.fit_preparation(torch.randn(50, WIDTH) * 3 + 1)
    return model.eval()


def accuracy_of(head, features, table):
    similarity = torch.from_numpy(similarity_of(head, features, table.rows))
    return triplet_accuracy(similarity, torch.from_numpy(table.odd))


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


@pytest.mark.parametrize("hidden", [(), (32,), (40, 33)])
def test_an_embedding_head_starts_with_the_scatter_heads_accuracy(hidden):
    features, train, validation = planted_split()
    scatter = fit_closed_form(features, train, validation, HeadConfig("scatter", components=4))
    config = HeadConfig("embedding", hidden, 0.5, 4, init="scatter")
    head = build_head(config, 12)
    head.fit_preparation(torch.from_numpy(features[np.unique(train.rows)]))
    with torch.no_grad():
        prepared = head.prepare(torch.from_numpy(features))
    head.start(prepared, train, validation)
    logits = similarity_of(head, features, validation.rows)
    cosines = similarity_of(scatter.head, features, validation.rows)
    np.testing.assert_allclose(
        1 - head.distance(torch.from_numpy(logits)).detach() / 2, cosines, atol=1e-5
    )
    start = accuracy_of(head, features, validation)
    assert start == pytest.approx(scatter.best.val_triplet_accuracy, abs=1e-6)
    # Its first logits are calibrated already, by a straight line.
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    similar = (torch.from_numpy(validation.odd)[:, None] == torch.arange(3)).float()
    assert loss(torch.from_numpy(logits), similar) < scatter.best.val_loss + 0.03


def test_training_goes_on_from_there_and_never_ends_below():
    features, train, validation = planted_split()
    scatter = fit_closed_form(features, train, validation, HeadConfig("scatter", components=4))
    config = HeadConfig("embedding", (32,), 0.5, 4, init="scatter")
    learned = fit(features, train, validation, config, TrainConfig(3e-3, 8, 64))
    assert learned.best.val_triplet_accuracy >= scatter.best.val_triplet_accuracy
    hopeless = TrainConfig(30.0, 2, 64, optimizer="sgd")
    kept = fit(features, train, validation, config, hopeless)
    assert kept.best.val_triplet_accuracy >= scatter.best.val_triplet_accuracy
    again = accuracy_of(kept.head, features, validation)
    assert again == pytest.approx(kept.best.val_triplet_accuracy, abs=1e-6)


def test_starts_that_cannot_be():
    with pytest.raises(BadOption, match=r"not concat\. Add --head embedding"):
        HeadConfig(init="scatter")
    with pytest.raises(BadOption, match=r"at least 32\. Widen it, or use --hidden none"):
        HeadConfig("embedding", (31,), init="scatter")
    features, train, validation = planted_split()
    config = HeadConfig("embedding", (), init="scatter")
    with pytest.raises(BadOption, match="prepared features have only 12 numbers"):
        fit(features, train, validation, config, TrainConfig())

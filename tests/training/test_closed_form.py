"""Closed-form heads: what they find, and what heads of one preparation share."""

import dataclasses

import numpy as np
import pytest
import torch

from fec_cache.heads.config import HeadConfig
from fec_cache.heads.scatter import ScatterHead
from fec_cache.heads.scoring import similarity_of, triplet_accuracy
from fec_cache.testing.planted import planted_split
from fec_cache.training.closed_form import SharedStatistics, fit_closed_form
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit

SCATTER = HeadConfig("scatter")


def accuracy_of(head, features, table):
    similarity = torch.from_numpy(similarity_of(head, features, table.rows))
    return triplet_accuracy(similarity, torch.from_numpy(table.odd))


def test_it_finds_the_planted_direction_and_says_how_sure_it_is():
    features, train, validation = planted_split()
    result = fit(features, train, validation, SCATTER, TrainConfig())
    assert result.best.val_triplet_accuracy > 0.6
    assert result.best.val_loss < 0.6  # 0.637 is the loss of always answering one third
    assert len(result.history) == 1
    strongest = result.head.projection[:, 0].abs()
    assert strongest.argmax() == 0
    again = accuracy_of(result.head, features, validation)
    assert again == pytest.approx(result.best.val_triplet_accuracy, abs=1e-6)


def test_it_is_the_same_each_time_and_blind_to_validation_but_for_its_choices():
    features, train, validation = planted_split()
    given = dataclasses.replace(SCATTER, shrinkage=0.3, components=4)
    one, two = (fit_closed_form(features, train, validation, given) for _ in range(2))
    other = fit_closed_form(features, train, validation.take(np.arange(50)), given)
    for name, value in one.head.state_dict().items():
        assert torch.equal(value, two.head.state_dict()[name]), name
        if name not in ("calibration", "bends"):
            assert torch.equal(value, other.head.state_dict()[name]), name
    assert one.head.projection.shape == (12, 4)


def test_heads_of_one_preparation_share_their_statistics(monkeypatch):
    features, train, validation = planted_split()
    calls = []
    plain = ScatterHead.statistics
    monkeypatch.setattr(
        ScatterHead, "statistics", lambda *a: (calls.append(a[0].config), plain(*a))[1]
    )
    shared = SharedStatistics()
    for config in (
        dataclasses.replace(SCATTER, components=2),
        dataclasses.replace(SCATTER, components=4),
        dataclasses.replace(SCATTER, components=4, prepare="l2"),
    ):
        ours = fit_closed_form(features, train, validation, config, shared=shared)
        alone = fit_closed_form(features, train, validation, config)
        for name, value in ours.head.state_dict().items():
            assert torch.equal(value, alone.head.state_dict()[name]), name
    assert len(calls) == 2 + 3

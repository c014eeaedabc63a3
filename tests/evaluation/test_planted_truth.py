"""A small version of `campaigns/planted_truth.py`: the chain recovers what was planted."""

import numpy as np
import pytest
import torch

from campaigns.planted_truth import (
    coverage,
    embedding_of,
    make_set,
    make_world,
    measure,
    probe_identity,
    true_shares,
)
from fec_cache.heads.base import PairHead
from fec_cache.heads.config import HeadConfig
from fec_cache.pairs.build import TripletTable
from fec_cache.pairs.credit import triplet_credit
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit


class Unmixing(PairHead):
    """The oracle's distances from the features, by the pseudo-inverse of the mixing."""

    inverse: torch.Tensor

    def compare(self, a, b):
        return 1.0 - torch.linalg.norm((a - b) @ self.inverse, dim=1)


def unmixing(world, noise=0.0):
    head = Unmixing(HeadConfig(prepare="none"), world.of_expression.shape[1])
    mixing = np.concatenate([world.of_expression, world.of_identity])
    inverse = np.linalg.pinv(mixing)[:, : len(world.of_expression)]
    inverse = inverse + noise * np.random.default_rng(0).normal(size=inverse.shape)
    head.register_buffer("inverse", torch.from_numpy(inverse).float())
    head.eval()
    return head


@pytest.fixture(scope="module")
def world():
    return make_world(3)


@pytest.fixture(scope="module")
def test_set(world):
    return make_set(world, 60, 3000, np.random.default_rng(1))


def test_raters_are_as_alike_as_fecs_and_the_ceiling_is_the_oracles(world, test_set):
    assert test_set.agreement == pytest.approx(0.862, abs=0.01)
    found = measure(unmixing(world), test_set)
    shares = true_shares(test_set, np.random.default_rng(2))
    oracle = (shares.argmax(axis=1) == test_set.table.odd).mean()
    assert found.overall.ceiling == pytest.approx(oracle, abs=0.02)
    assert found.overall.accuracy > 0.96 * oracle
    assert abs(found.identity.gap) < 0.1


def test_a_learned_metric_nears_the_oracle_and_forgets_the_person(world, test_set):
    train = make_set(world, 150, 5000, np.random.default_rng(5))
    validation = make_set(world, 40, 800, np.random.default_rng(6))
    features = np.concatenate([train.features, validation.features])
    rows = validation.table.rows + len(train.features)
    moved = TripletTable(rows, *(getattr(validation.table, n) for n in ("odd", "types", "votes")))
    head_config = HeadConfig("embedding", (), embedding_dim=8, prepare="none")
    config = TrainConfig(lr=1e-2, epochs=8, batch_size=512, optimizer="adamw", loss="odd-one-out")
    head = fit(features, train.table, moved, head_config, config).head
    found = measure(head, test_set)
    oracle = triplet_credit(test_set.oracle, test_set.table.odd).mean()
    assert found.overall.accuracy > 0.85 * oracle
    assert found.pairs.calibration_error < 0.04
    assert probe_identity(test_set.features, test_set.identity) > 0.95
    assert probe_identity(embedding_of(head, test_set.features), test_set.identity) < 0.25


def test_intervals_cover_over_new_people_where_triplets_alone_would_not(world):
    """Half of a set's people are hard: loud noise in their features, the same for all pictures."""
    heads = unmixing(world, 0.1), unmixing(world, 0.3)
    rows = {row.name: row for row in coverage(world, *heads, 60, 0, 40, 400, 5)}
    assert rows["head"].covered >= 0.85
    assert rows["difference"].covered >= 0.85
    assert rows["difference"].covered >= rows["difference"].covered_by_triplets
    assert rows["head"].stderr == pytest.approx(rows["head"].spread, rel=0.4)

"""Scatters and their directions against slow loops and SciPy."""

import dataclasses

import numpy as np
import scipy.linalg
import torch

from fec_cache.heads.scatter_directions import (
    COMPONENTS,
    SHRINKAGES,
    contrast_directions,
    find_scatter,
    pair_scatters,
)
from fec_cache.heads.scoring import triplet_accuracy
from fec_cache.pairs.build import PAIRS_OF_TRIPLET, TripletTable
from fec_cache.testing.planted import planted_split


def random_triplets(num_faces=25, num_triplets=60, width=5, seed=0):
    """Features and triplets with six raters who disagree."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 1, (num_faces, width)).astype(np.float32)
    rows = np.array([rng.choice(num_faces, 3, replace=False) for _ in range(num_triplets)])
    votes = rng.multinomial(6, [0.2, 0.3, 0.5], num_triplets).astype(np.int64)
    types = np.zeros(num_triplets, np.int64)
    return torch.from_numpy(features), TripletTable(rows, votes.argmax(1), types, votes)


def test_scatters_equal_a_slow_loop_over_pairs():
    features, table = random_triplets()
    sums, weights = np.zeros((2, 5, 5)), np.zeros(2)
    for rows, votes in zip(table.rows, table.votes, strict=True):
        for odd, (i, j) in enumerate(PAIRS_OF_TRIPLET):
            gap = (features[rows[i]] - features[rows[j]]).double().numpy()
            share = votes[odd] / votes.sum()
            for kind, weight in enumerate((share, 1 - share)):
                sums[kind] += weight * np.outer(gap, gap)
                weights[kind] += weight
    found = pair_scatters(features, table)
    for kind in (0, 1):
        np.testing.assert_allclose(found[kind], sums[kind] / weights[kind], rtol=1e-4, atol=1e-5)


def test_directions_equal_scipys_generalised_eigenvectors():
    similar, different = pair_scatters(*random_triplets())
    different = different * 3.0  # so that every direction counts
    shrunk = 0.8 * similar + 0.2 * similar.trace() / 5 * torch.eye(5)
    ratios, vectors = scipy.linalg.eigh(different.numpy(), shrunk.numpy())
    wanted = (vectors * np.sqrt(np.maximum(ratios - 1, 0)))[:, ::-1][:, :3]
    found = contrast_directions(similar, different, 0.2, 3).numpy()
    signs = np.sign((wanted * found).sum(0))
    np.testing.assert_allclose(found * signs, wanted, rtol=1e-4, atol=1e-4)
    metric = contrast_directions(similar, different, 0.2, 5).double()
    inverse = torch.linalg.inv(shrunk)
    closed = inverse @ different @ inverse - inverse
    torch.testing.assert_close(metric @ metric.T, closed, rtol=1e-3, atol=1e-4)


def test_the_grid_finds_what_trying_every_point_finds():
    features, train, validation = planted_split()
    prepared = torch.from_numpy(features)
    found = find_scatter(prepared, train, validation)
    tried = {
        (gamma, count): find_scatter(prepared, train, validation, (gamma,), (count,))
        for gamma in SHRINKAGES
        for count in {min(count, 12) for count in COMPONENTS}
    }
    best = max(point.val_triplet_accuracy for point in tried.values())
    assert found.val_triplet_accuracy == best
    own = tried[found.shrinkage, found.projection.shape[1]]
    torch.testing.assert_close(own.projection, found.projection)
    projected = torch.nn.functional.normalize(prepared @ found.projection, dim=1)
    faces = projected[torch.from_numpy(validation.rows)]
    cosines = [(faces[:, i] * faces[:, j]).sum(1) for i, j in PAIRS_OF_TRIPLET]
    by_hand = triplet_accuracy(torch.stack(cosines, 1), torch.from_numpy(validation.odd))
    assert by_hand == found.val_triplet_accuracy


def test_votes_weigh_pairs():
    features, table = random_triplets()
    plain = dataclasses.replace(table, votes=6 * np.eye(3, dtype=np.int64)[table.odd])
    assert not torch.allclose(pair_scatters(features, table)[0], pair_scatters(features, plain)[0])


def test_directions_in_which_similar_pairs_differ_more_say_nothing():
    similar, different = torch.diag(torch.tensor([1.0, 4.0])), torch.eye(2) * 2.0
    found = contrast_directions(similar.double(), different.double(), 0.0, 2)
    torch.testing.assert_close(found.abs(), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))

"""The scatter head against slow loops and SciPy, and the embedding head that starts from it."""

import dataclasses

import numpy as np
import pytest
import scipy.linalg
import torch

from fec_cache.errors import BadOption
from fec_cache.heads.base import COMPONENTS, build_head
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.scoring import odd_accuracy, similarity_of
from fec_cache.pairs.build import PAIRS_OF_TRIPLET, TripletTable
from fec_cache.testing.planted import planted_split
from fec_cache.training.closed_form import fit_scatter, start_from_scatter
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit
from fec_cache.training.scatter_directions import (
    SHRINKAGES,
    contrast_directions,
    find_scatter,
    pair_scatters,
)

SCATTER = HeadConfig("scatter")


def random_triplets(num_faces=25, num_triplets=60, width=5, seed=0):
    """Features and triplets with six raters who disagree."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 1, (num_faces, width)).astype(np.float32)
    rows = np.array([rng.choice(num_faces, 3, replace=False) for _ in range(num_triplets)])
    votes = rng.multinomial(6, [0.2, 0.3, 0.5], num_triplets).astype(np.int64)
    types = np.zeros(num_triplets, np.int64)
    return torch.from_numpy(features), TripletTable(rows, votes.argmax(1), types, votes)


def accuracy_of(head, features, table):
    similarity = torch.from_numpy(similarity_of(head, features, table.rows))
    return odd_accuracy(similarity, torch.from_numpy(table.odd))


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
    by_hand = odd_accuracy(torch.stack(cosines, 1), torch.from_numpy(validation.odd))
    assert by_hand == found.val_triplet_accuracy


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
    one, two = (fit_scatter(features, train, validation, given) for _ in range(2))
    other = fit_scatter(features, train, validation.take(np.arange(50)), given)
    for name, value in one.head.state_dict().items():
        assert torch.equal(value, two.head.state_dict()[name]), name
        if name not in ("calibration", "bends"):
            assert torch.equal(value, other.head.state_dict()[name]), name
    assert one.head.projection.shape == (12, 4)


def test_votes_weigh_pairs():
    features, table = random_triplets()
    plain = dataclasses.replace(table, votes=6 * np.eye(3, dtype=np.int64)[table.odd])
    assert not torch.allclose(pair_scatters(features, table)[0], pair_scatters(features, plain)[0])


def test_wide_features_go_through_a_pca_of_512_directions():
    assert SCATTER.preparation_for(1024) == "standardize"
    assert SCATTER.preparation_for(1025) == "pca:512"
    assert HeadConfig("embedding", (), init="scatter").preparation_for(2000) == "pca:512"
    assert HeadConfig("embedding").preparation_for(2000) == "standardize"


def test_directions_in_which_similar_pairs_differ_more_say_nothing():
    similar, different = torch.diag(torch.tensor([1.0, 4.0])), torch.eye(2) * 2.0
    found = contrast_directions(similar.double(), different.double(), 0.0, 2)
    torch.testing.assert_close(found.abs(), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))


def test_more_components_than_features_are_refused():
    with pytest.raises(BadOption, match="components is 30, but prepared features have only 12"):
        build_head(dataclasses.replace(SCATTER, components=30), 12)


@pytest.mark.parametrize("hidden", [(), (32,), (40, 33)])
def test_an_embedding_head_starts_with_the_scatter_heads_accuracy(hidden):
    features, train, validation = planted_split()
    scatter = fit_scatter(features, train, validation, HeadConfig("scatter", components=4))
    config = HeadConfig("embedding", hidden, 0.5, 4, init="scatter")
    head = build_head(config, 12)
    head.fit_preparation(torch.from_numpy(features[np.unique(train.rows)]))
    with torch.no_grad():
        prepared = head.prepare(torch.from_numpy(features))
    start_from_scatter(head, prepared, train, validation)
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
    scatter = fit_scatter(features, train, validation, HeadConfig("scatter", components=4))
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
    with pytest.raises(BadOption, match=r"at least 32\. Widen it, or take --hidden none"):
        HeadConfig("embedding", (31,), init="scatter")
    features, train, validation = planted_split()
    config = HeadConfig("embedding", (), init="scatter")
    with pytest.raises(BadOption, match="prepared features have only 12 numbers"):
        fit(features, train, validation, config, TrainConfig())

"""Preparations against scikit-learn; what does not vary; wide features; training faces only."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from fec_cache.errors import BadOption, NothingToTrain
from fec_cache.heads import preparation
from fec_cache.heads.config import HeadConfig, split_preparation
from fec_cache.heads.preparation import Preparation, principal_directions, symmetric_eigen
from fec_cache.heads.registry import build_head
from fec_cache.testing.planted import planted_split
from fec_cache.training.config import TrainConfig
from fec_cache.training.fit import fit

WIDTH = 24


def correlated(num_faces, width, seed=0, rank=None):
    """Features [N, D] float32 with variances that fall off, and sizes that differ."""
    rng = np.random.default_rng(seed)
    rank = rank or width
    factors = rng.normal(0, 1, (num_faces, rank)) * 0.8 ** np.arange(rank)
    mixed = factors @ rng.normal(0, 1, (rank, width)) + 0.01 * rng.normal(0, 1, (num_faces, width))
    return (mixed * rng.uniform(0.1, 9, width) + rng.normal(0, 5, width)).astype(np.float32)


def fitted(words, features):
    made = Preparation(words, features.shape[1])
    made.fit(torch.from_numpy(features))
    return made


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True) * np.sqrt(rows.shape[1])


@pytest.mark.parametrize(("words", "whiten"), [("pca:5", False), ("whiten:5", True)])
def test_pca_and_whitening_equal_scikit_learns(words, whiten):
    features, others = correlated(200, 14), correlated(30, 14, seed=1)
    scaler = StandardScaler().fit(features)
    oracle = PCA(5, whiten=whiten).fit(scaler.transform(features))
    wanted = unit(oracle.transform(scaler.transform(others)))
    found = fitted(words, features)(torch.from_numpy(others)).numpy()
    signs = np.sign((wanted * found).sum(0))
    np.testing.assert_allclose(found * signs, wanted, atol=2e-3)


def test_whitened_training_faces_vary_equally_in_each_direction():
    features = correlated(300, 14)
    made = fitted("whiten:6", features)
    plain = made._standardized(torch.from_numpy(features)) @ made.projection
    torch.testing.assert_close(plain.T @ plain / 300, torch.eye(6), atol=2e-3, rtol=0)


def test_wide_features_find_the_same_directions_by_iteration(monkeypatch):
    features = torch.from_numpy(correlated(120, 60))
    features -= features.mean(0)
    variances, directions = principal_directions(features, 4)
    monkeypatch.setattr(preparation, "_WIDEST_EXACT", 10)
    iterated, found = principal_directions(features, 4)
    torch.testing.assert_close(iterated, variances, rtol=1e-3, atol=0)
    overlap = (found * directions).sum(0).abs()
    torch.testing.assert_close(overlap, torch.ones(4), rtol=0, atol=1e-3)
    again = principal_directions(features, 4)[1]
    assert torch.equal(again, found)


def test_fewer_faces_than_directions_leave_the_rest_at_zero():
    made = fitted("whiten:10", correlated(6, 12))
    assert (made.projection[:, 5:] == 0).all()
    assert (made.projection[:, :5] != 0).any(0).all()
    assert torch.isfinite(made(torch.randn(3, 12))).all()


@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e6])
@pytest.mark.parametrize("words", ["standardize", "pca:3", "whiten:3"])
def test_the_scale_of_all_features_changes_nothing(words, factor):
    features = correlated(50, 8)
    wanted = fitted(words, features)(torch.from_numpy(features))
    scaled = (features * factor).astype(np.float32)
    found = fitted(words, scaled)(torch.from_numpy(scaled))
    if words != "standardize":
        found = found * torch.sign((found * wanted).sum(0))
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=0)


def test_a_constant_feature_is_dropped_whatever_its_size():
    features = correlated(50, 8)
    features[:, 2] = 12345.678
    features[:, 5] = 1e-12
    prepared = fitted("standardize", features)(torch.from_numpy(features))
    assert (prepared[:, [2, 5]] == 0).all()
    assert (prepared[:, [0, 1, 3, 4, 6, 7]] != 0).any(0).all()


@pytest.mark.parametrize("words", ["standardize", "pca:3", "whiten:3"])
def test_features_that_do_not_vary_at_all_are_a_named_error(words):
    still = np.full((20, 8), 3.3, np.float32)
    with pytest.raises(NothingToTrain, match="The features of 20 training faces are all the same"):
        fitted(words, still)


def test_float16_features_are_summed_exactly():
    features = correlated(500, 6).astype(np.float16)
    made = Preparation("standardize", 6)
    made.fit(torch.from_numpy(features))
    np.testing.assert_allclose(made.mean, features.astype(float).mean(0), rtol=1e-6)
    assert made(torch.from_numpy(features)).dtype == torch.float32


@pytest.mark.parametrize("words", ["pca:4", "whiten:4"])
def test_the_projection_is_fitted_on_training_faces_only_and_stored(words):
    features, train, validation = planted_split()
    moved = features.copy()
    moved[train.rows.max() + 1 :] *= 1000.0
    config = HeadConfig("embedding", prepare=words)
    one, two = (
        fit(each, train, validation, config, TrainConfig(epochs=1, batch_size=64))
        for each in (features, moved)
    )
    assert one.head.layers[0].weight.shape[1] == 4
    stored = one.head.state_dict()["preparation.projection"]
    assert torch.equal(stored, two.head.state_dict()["preparation.projection"])
    assert (stored != 0).any()
    other = build_head(config, features.shape[1])
    other.load_state_dict(one.head.state_dict())
    faces = torch.from_numpy(features)
    assert torch.equal(other.eval()(faces[:9], faces[9:18]), one.head(faces[:9], faces[9:18]))


def test_blocks_give_the_same_share_of_the_variance_to_the_directions():
    features = correlated(200, 14)
    made = Preparation("pca:5", 14, blocks=(12, 2))
    made.fit(torch.from_numpy(features))
    scaled = StandardScaler().fit_transform(features) * np.sqrt([14 / 24] * 12 + [14 / 4] * 2)
    assert scaled[:, :12].var(0).sum() == pytest.approx(scaled[:, 12:].var(0).sum(), rel=1e-3)
    wanted = unit(PCA(5).fit_transform(scaled))
    found = made(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(found * np.sign((wanted * found).sum(0)), wanted, atol=2e-3)


def test_more_directions_than_features_are_refused():
    with pytest.raises(BadOption, match=r"pca:9 asks for 9 directions, .* only 8 numbers"):
        Preparation("pca:9", 8)


@pytest.mark.parametrize("words", ["pca", "pca:", "pca:0", "pca:1.5", "whiten:-1", "l2:3", "pca:K"])
def test_words_that_are_no_preparation(words):
    with pytest.raises(BadOption, match="prepare is"):
        split_preparation(words)
    with pytest.raises(BadOption, match="prepare is"):
        HeadConfig(prepare=words)


def test_eigenvectors_where_torch_gives_up(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(12, 5, generator=generator)
    matrix = half @ half.T

    def give_up(matrix):
        raise torch.linalg.LinAlgError("failed to converge")

    expected = torch.linalg.eigh(matrix)
    monkeypatch.setattr(torch.linalg, "eigh", give_up)
    values, vectors = symmetric_eigen(matrix)
    assert values.dtype == vectors.dtype == torch.float32
    torch.testing.assert_close(values, expected[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(vectors @ values.diag() @ vectors.T, matrix, rtol=1e-4, atol=1e-4)


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


def test_l2_gives_length_sqrt_of_width():
    lengths = Preparation("l2", WIDTH)(torch.randn(9, WIDTH)).norm(dim=1)
    torch.testing.assert_close(lengths, torch.full((9,), WIDTH**0.5))

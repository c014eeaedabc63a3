"""Principal components of a head's embedding, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from fec_cache.evaluation.face_map import map_faces
from fec_cache.heads.base import PairHead
from fec_cache.heads.config import HeadConfig
from fec_cache.heads.registry import build_head


class Plain(PairHead):
    """Compares features as they are; it has no embedding."""

    def compare(self, a, b):
        return -(a - b).abs().sum(dim=1)


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)


def scaled(points):
    return (points - points.min(axis=0)) / np.ptp(points, axis=0)


def test_places_are_the_first_two_components_of_the_embedding(features):
    head = build_head(HeadConfig("embedding", (8,), embedding_dim=4), 5).eval()
    rows = np.arange(3, 20)
    found = map_faces(head, features, rows)
    with torch.no_grad():
        embedded = head.embed(torch.from_numpy(features[rows])).numpy().astype(np.float64)
    pca = PCA(2, svd_solver="full").fit(embedded)
    wanted = scaled(pca.transform(embedded))
    for axis in range(2):  # the sign of a component is arbitrary
        place = found.places[:, axis]
        assert place == pytest.approx(wanted[:, axis], abs=1e-4) or place == pytest.approx(
            1 - wanted[:, axis], abs=1e-4
        )
    assert found.explained == pytest.approx(pca.explained_variance_ratio_.sum(), abs=1e-5)
    assert found.is_embedding
    assert found.rows.tolist() == rows.tolist()


def test_a_head_without_an_embedding_shows_its_prepared_features(features):
    found = map_faces(Plain(HeadConfig(prepare="none"), 5), features, np.arange(20))
    ratio = PCA(2, svd_solver="full").fit(features.astype(np.float64)).explained_variance_ratio_
    assert found.explained == pytest.approx(ratio.sum(), abs=1e-6)
    assert not found.is_embedding


def test_many_faces_are_sampled_and_two_are_no_map(features):
    head = Plain(HeadConfig(prepare="none"), 5)
    found = map_faces(head, features, np.arange(20), most=6)
    assert len(found.rows) == len(set(found.rows.tolist())) == len(found.places) == 6
    assert map_faces(head, features, np.arange(20), most=6).rows.tolist() == found.rows.tolist()
    assert map_faces(head, features, np.arange(2)) is None


def test_equal_faces_have_one_place(features):
    same = np.ones((5, 3), np.float32)
    found = map_faces(Plain(HeadConfig(prepare="none"), 3), same, np.arange(5))
    assert (found.places == 0.0).all()
    assert np.isnan(found.explained)

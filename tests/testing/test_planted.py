"""The planted truth holds: the odd face is the one outside of the closest pair."""

import numpy as np
import pytest

from fec_cache.testing.planted import planted_set, planted_split


def test_the_odd_face_is_the_one_that_the_closest_pair_leaves_out():
    features, table = planted_set(num_faces=30, num_triplets=50)
    for rows, odd in zip(table.rows, table.odd, strict=True):
        x = features[rows, 0]
        distances = {2: abs(x[0] - x[1]), 1: abs(x[0] - x[2]), 0: abs(x[1] - x[2])}
        assert odd == min(distances, key=distances.get)
        assert len(set(rows)) == 3


def test_shapes_votes_and_offset():
    features, table = planted_set(num_faces=20, num_triplets=10, width=5, first=100)
    assert (features.shape, features.dtype) == ((20, 5), np.float32)
    assert table.rows.min() >= 100
    assert table.rows.max() < 120
    assert (table.votes.argmax(axis=1) == table.odd).all()
    assert (table.votes.sum(axis=1) == 6).all()


def test_the_first_number_is_the_factor_and_the_others_are_noise():
    features, _ = planted_set(num_faces=4000, num_triplets=1)
    # Uniform on [-3, 3] has a standard deviation of sqrt(3).
    assert features[:, 0].std() == pytest.approx(np.sqrt(3.0), rel=0.05)
    assert features[:, 1:].std() == pytest.approx(1.0, rel=0.05)


def test_a_split_has_disjoint_faces():
    features, train, validation = planted_split()
    assert features.shape == (180, 12)
    assert (len(train), len(validation)) == (600, 200)
    assert train.rows.max() < 120 <= validation.rows.min()
    assert validation.rows.max() < 180

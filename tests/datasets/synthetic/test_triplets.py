import numpy as np
import pytest

from fec_cache.datasets.synthetic.triplets import TripletPicker, share_out
from fec_cache.errors import BadOption


def test_shares_by_largest_remainder():
    assert share_out(10, (1, 1, 1)) == (4, 3, 3)
    assert share_out(6, (17_059, 17_107, 16_894)) == (2, 2, 2)
    assert sum(share_out(4000, (5, 3, 1))) == 4000


def test_picker_gives_the_requested_number_of_classes():
    classes = ["a"] * 5 + ["b"] * 4 + ["c"] * 3
    picker = TripletPicker(classes, np.random.default_rng(0))
    for kind in (1, 2, 3) * 4:
        faces = picker.pick(kind)
        assert len(set(faces)) == 3
        assert len({classes[face] for face in faces}) == kind


def test_picker_gives_every_triplet_once_and_then_raises():
    # Two classes of two faces: 2 x 2 two-class triplets, none of one class.
    picker = TripletPicker("aabb", np.random.default_rng(1))
    picked = {frozenset(picker.pick(2)) for _ in range(4)}
    assert picked == {frozenset(rows) for rows in ((0, 1, 2), (0, 1, 3), (2, 3, 0), (2, 3, 1))}
    with pytest.raises(BadOption, match="TWO_CLASS_TRIPLET found among 4 faces after 4 triplets"):
        picker.pick(2)
    with pytest.raises(BadOption, match="ONE_CLASS_TRIPLET"):
        picker.pick(1)


def test_picker_uses_faces_evenly():
    picker = TripletPicker("abcdefghi" * 2, np.random.default_rng(2))
    uses = np.bincount([face for _ in range(30) for face in picker.pick(3)], minlength=18)
    assert uses.sum() == 90
    assert uses.max() - uses.min() <= 2

import numpy as np
import pytest

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.manifest import FailedFace
from fec_cache.extraction.pieces import plan_pieces
from fec_cache.faces.table import Face
from fec_cache.testing import toy

FACES = tuple(Face(f"{n:032x}", toy.FaceRef(f"{n}.png", *toy.WHOLE)) for n in range(6))


@pytest.fixture
def caches(tmp_path):
    return [FeatureCache.create(tmp_path, toy.toy_recipe(name)) for name in ("avgpool", "layer1")]


def seal(cache, *numbers, failed=()):
    ids = [FACES[number].face_id for number in numbers]
    failures = [FailedFace(FACES[n].face_id, "", toy.WHOLE, "empty") for n in failed]
    cache.seal("plan", ids, np.ones((len(ids), 3), np.float16), failures)


def planned(caches, max_faces=2):
    return [
        (
            [int(face.face_id, 16) for face in piece.item.faces],
            [c.recipe.layer for c in piece.caches],
        )
        for piece in plan_pieces(FACES, caches, max_faces)
    ]


def test_what_both_caches_lack_is_one_pass(caches):
    both = ["avgpool", "layer1"]
    assert planned(caches) == [([0, 1], both), ([2, 3], both), ([4, 5], both)]


def test_a_cache_that_is_ahead_is_filled_in_the_order_of_the_other(caches):
    seal(caches[0], 0, 1)
    assert planned(caches) == [
        ([0, 1], ["layer1"]),
        ([2, 3], ["layer1", "avgpool"]),
        ([4, 5], ["layer1", "avgpool"]),
    ]


def test_failed_faces_are_retried_last_and_full_caches_need_nothing(caches):
    for cache in caches:
        seal(cache, 0, failed=(1,))
        seal(cache, 2, 3)
    assert [numbers for numbers, _ in planned(caches)] == [[4, 5], [1]]
    for cache in caches:
        seal(cache, 1, 4, 5)
    assert planned(caches) == []


def test_the_widest_layer_limits_the_faces_per_piece(caches, monkeypatch):
    # One face is 6 bytes in float16: two fit.
    monkeypatch.setattr("fec_cache.extraction.plan._SHARD_BYTES", 12)
    assert [numbers for numbers, _ in planned(caches, 100)] == [[0, 1], [2, 3], [4, 5]]

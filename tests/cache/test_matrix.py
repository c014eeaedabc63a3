import numpy as np

from fec_cache.cache.matrix import matrix_of
from fec_cache.cache.shards import Shard
from fec_cache.testing import toy


def test_rows_of_shards_are_joined_in_order():
    first = Shard(("b", "a"), np.array([[1, 2, 3], [4, 5, 6]], np.float16))
    empty = Shard((), np.empty((0, 3), np.float16))
    last = Shard(("c",), np.array([[7, 8, 9]], np.float16))
    matrix = matrix_of(toy.toy_recipe(), [first, empty, last], max_rows=9)
    assert matrix.face_ids == ("b", "a", "c")
    assert matrix.features.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert matrix.features.dtype == np.float16
    assert matrix.rows() == {"b": 0, "a": 1, "c": 2}


def test_no_shards_are_no_rows():
    matrix = matrix_of(toy.toy_recipe(store_dtype="float32"), [], max_rows=0)
    assert matrix.features.shape == (0, 3)
    assert matrix.features.dtype == np.float32
    assert (matrix.face_ids, matrix.num_incomplete) == ((), 0)

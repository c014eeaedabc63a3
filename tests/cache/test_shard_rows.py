import shutil

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fec_cache.cache import shard_rows, shards
from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.joined import CacheSet
from fec_cache.cache.shards import SEAL_BYTES, read_faces, sealed_shard, write_shard
from fec_cache.errors import CacheDamaged
from fec_cache.extraction.recipes import recipes_of
from fec_cache.testing import toy

FINGERPRINT = "ab" * 32


def ids(num, first=0):
    return tuple(f"{number:032x}" for number in range(first, first + num))


def features_of(num, width, dtype=np.float16):
    return np.random.default_rng(num).normal(size=(num, width)).astype(dtype)


@pytest.fixture
def counted(monkeypatch):
    """Bytes that were read of shards, by either way."""
    sizes, read, whole = [], shard_rows._read, shards._bytes_of

    def counting(content):
        sizes.append(len(content))
        return content

    monkeypatch.setattr(shard_rows, "_read", lambda *asked: counting(read(*asked)))
    monkeypatch.setattr(shards, "_bytes_of", lambda path: counting(whole(path)))
    return sizes


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_rows_are_those_of_the_whole(tmp_path_factory, data):
    num, width = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 40))
    dtype = data.draw(st.sampled_from([np.float16, np.float32]))
    path = tmp_path_factory.mktemp("rows") / "00000.h5"
    features = features_of(num, width, dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fec_cache.cache.shards._CHUNK_BYTES", data.draw(st.integers(1, 2000)))
        sha256 = write_shard(path, FINGERPRINT, ids(num), features)
    rows = sorted(data.draw(st.sets(st.integers(0, num - 1))))
    wanted = {ids(num)[row] for row in rows} | {"e" * 32}
    shard = read_faces(path, sha256, FINGERPRINT, wanted, np.dtype(dtype).name)
    assert shard.face_ids == tuple(ids(num)[row] for row in rows)
    assert shard.features.tobytes() == features[rows].tobytes()
    assert shard.features.dtype == dtype


def test_a_few_rows_cost_a_few_rows_and_the_table(tmp_path, counted):
    path = tmp_path / "00000.h5"
    features = features_of(1000, 4096)
    sha256 = write_shard(path, FINGERPRINT, ids(1000), features)
    wanted = {ids(1000)[row] for row in (3, 500, 999)}
    found = read_faces(path, sha256, FINGERPRINT, wanted, "float16")
    assert np.array_equal(found.features, features[[3, 500, 999]])
    assert sum(counted) < 3 * 8192 + 1000 * 60 + 200
    assert sum(counted) < path.stat().st_size / 90


def test_hdf5_and_the_seal_do_not_mind_the_table(tmp_path):
    path = tmp_path / "00000.h5"
    sha256 = write_shard(path, FINGERPRINT, ids(5), features_of(5, 7))
    with h5py.File(path) as file:
        assert np.array_equal(file["features"][:], features_of(5, 7))
    assert sealed_shard(path, FINGERPRINT)[0] == sha256


def test_no_flipped_bit_is_given_out(tmp_path):
    """Whatever bit is wrong: the rows asked for are right, or the damage is named."""
    path = tmp_path / "00000.h5"
    features = features_of(6, 5)
    sha256 = write_shard(path, FINGERPRINT, ids(6), features)
    content = path.read_bytes()
    rng, num_named = np.random.default_rng(0), 0
    table = content.rindex(FINGERPRINT.encode())
    row = content.index(features[1].tobytes())
    places = [*range(0, table, 29), *range(row, row + 10), *range(table, len(content))]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = read_faces(path, sha256, FINGERPRINT, {ids(6)[1], ids(6)[4]}, "float16")
        except CacheDamaged:
            num_named += 1
            continue
        assert found.face_ids == (ids(6)[1], ids(6)[4])
        assert np.array_equal(found.features, features[[1, 4]])
    # Every byte of a wanted row counts, and of the table and its last line; not those of the seal.
    assert num_named >= 10 + len(content) - table - SEAL_BYTES


def test_a_shard_cut_short_or_gone_or_of_another_recipe_is_named(tmp_path):
    path = tmp_path / "00000.h5"
    sha256 = write_shard(path, FINGERPRINT, ids(6), features_of(6, 5))
    with pytest.raises(CacheDamaged, match="belongs to recipe abababab, not cdcdcdcd"):
        read_faces(path, sha256, "cd" * 32, {ids(6)[0]}, "float16")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CacheDamaged, match="its sha256 differs"):
        read_faces(path, sha256, FINGERPRINT, {ids(6)[0]}, "float16")
    path.unlink()
    with pytest.raises(CacheDamaged, match="cannot be read"):
        read_faces(path, sha256, FINGERPRINT, {ids(6)[0]}, "float16")


def test_a_shard_without_a_table_is_read_whole(tmp_path, monkeypatch, counted):
    path = tmp_path / "00000.h5"
    monkeypatch.setattr("fec_cache.cache.shards.row_table", lambda *_: b"")
    sha256 = write_shard(path, FINGERPRINT, ids(9), features_of(9, 5))
    found = read_faces(path, sha256, FINGERPRINT, {ids(9)[2]}, "float16")
    assert np.array_equal(found.features, features_of(9, 5)[[2]])
    assert sum(counted) == path.stat().st_size + 84


def caches(tmp_path, *nums):
    """One cache for each number of faces, beginning with the same face; shards of ten."""
    found = []
    for place, num in enumerate(nums):
        backbone = toy.toy_backbone(("avgpool", "layer1")[place : place + 1])
        (recipe,) = recipes_of(backbone, 0.1, "float16")
        cache = FeatureCache.create(tmp_path, recipe)
        for start in range(0, num, 10):
            some = ids(min(10, num - start), start)
            values = np.full((len(some), 3), place, np.float16)
            values[:, 0] = np.arange(start, start + len(some))
            cache.seal(f"{start:032x}", some, values, ())
        found.append(cache)
    return found


def test_a_cache_gives_wanted_faces_only(tmp_path, counted):
    (cache,) = caches(tmp_path, 35)
    wanted = [*ids(1, 31), *ids(2, 8), "e" * 32]
    counted.clear()
    matrix = cache.load(wanted)
    sizes = [path.stat().st_size for path in sorted((cache.folder / "shards").iterdir())]
    assert sum(counted) < sum(sizes) / 4
    assert matrix.face_ids == (*ids(2, 8), *ids(1, 31))
    assert matrix.features[:, 0].tolist() == [8, 9, 31]
    assert cache.load(()).features.shape == (0, 3)
    shutil.rmtree(cache.folder / "shards")
    with pytest.raises(CacheDamaged):
        cache.load(wanted)


def test_caches_side_by_side_give_wanted_faces_only(tmp_path):
    both = CacheSet(tuple(caches(tmp_path, 20, 12)))
    matrix = both.load([*ids(4, 10), "e" * 32])
    assert matrix.face_ids == ids(2, 10)
    assert matrix.features.tolist() == [[10, 0, 0, 10, 1, 1], [11, 0, 0, 11, 1, 1]]
    assert matrix.num_incomplete == 2
    assert both.load(["e" * 32]).features.shape == (0, 6)

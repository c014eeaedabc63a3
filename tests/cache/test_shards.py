import hashlib
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fec_cache.cache import shards
from fec_cache.cache.shards import read_shard, write_shard
from fec_cache.errors import CacheDamaged

FINGERPRINT = "ab" * 32
IDS = ("0" * 32, "f" * 32, "0123456789abcdef" * 2)
FEATURES = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [0.5, -1, 65504, 0]], np.float16)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shards" / "00000.h5"


def test_names_dtypes_and_attributes_are_the_written_ones(path):
    sha256 = write_shard(path, FINGERPRINT, IDS, FEATURES)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with h5py.File(path) as file:
        assert sorted(file) == ["face_id", "features"]
        assert dict(file.attrs) == {"format_version": 1, "fingerprint": FINGERPRINT}
        assert file["face_id"].dtype == np.dtype("S32")
        assert file["face_id"].shape == (3,)
        assert file["face_id"][1] == b"f" * 32
        assert file["features"].dtype == np.dtype("<f2")
        assert file["features"][:].tolist() == FEATURES.tolist()
        for name in file:
            assert file[name].fletcher32
            assert file[name].compression is None
            assert not file[name].attrs


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_dtype_is_kept(path, dtype):
    features = np.array([[0.1, 1 / 3]], dtype)
    sha256 = write_shard(path, FINGERPRINT, IDS[:1], features)
    found = read_shard(path, sha256, FINGERPRINT).features
    assert found.dtype == dtype
    assert found.tobytes() == features.tobytes()


@settings(max_examples=60, deadline=None)
@given(
    features=st.sampled_from([(np.float16, 16), (np.float32, 32)]).flatmap(
        lambda kind: arrays(
            kind[0],
            st.tuples(st.integers(1, 40), st.integers(1, 70)),
            elements=st.floats(width=kind[1], allow_nan=False),
        )
    )
)
def test_what_is_written_is_read(features):
    ids = tuple(f"{number:032x}" for number in range(len(features)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "00000.h5"
        sha256 = write_shard(path, FINGERPRINT, ids, features)
        again = write_shard(Path(folder) / "00001.h5", FINGERPRINT, ids, features)
        found = read_shard(path, sha256, FINGERPRINT)
    assert again == sha256
    assert found.face_ids == ids
    assert found.features.dtype == features.dtype
    assert found.features.tobytes() == features.tobytes()


def test_wide_features_are_cut_into_chunks_of_a_mebibyte(path):
    features = np.zeros((8, 1 << 18), np.float16)
    write_shard(path, FINGERPRINT, tuple(f"{i:032x}" for i in range(8)), features)
    with h5py.File(path) as file:
        assert file["features"].chunks == (2, 1 << 18)


def test_every_flipped_bit_is_found(path):
    sha256 = write_shard(path, FINGERPRINT, IDS, FEATURES)
    content = path.read_bytes()
    for position in range(0, len(content), 41):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(flipped)
        with pytest.raises(CacheDamaged, match="is not what was written: its sha256 differs"):
            read_shard(path, sha256, FINGERPRINT)


def test_a_bit_flipped_in_a_feature_is_found_by_any_hdf5_tool(path):
    write_shard(path, FINGERPRINT, IDS, FEATURES)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[content.index(FEATURES.tobytes())] ^= 1
    path.write_bytes(flipped)
    with h5py.File(path) as file, pytest.raises(OSError, match="read"):
        file["features"][:]


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_truncated_file_is_found(path, kept):
    sha256 = write_shard(path, FINGERPRINT, IDS, FEATURES)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CacheDamaged, match="Run the same `fec extract` again"):
        read_shard(path, sha256, FINGERPRINT)


def test_a_missing_file_is_reported(path):
    with pytest.raises(CacheDamaged, match=r"00000\.h5 cannot be read \(No such file"):
        read_shard(path, "0" * 64, FINGERPRINT)


def test_a_shard_of_another_recipe_is_refused(path):
    sha256 = write_shard(path, "cd" * 32, IDS, FEATURES)
    with pytest.raises(CacheDamaged, match="belongs to recipe cdcdcdcd, not abababab"):
        read_shard(path, sha256, FINGERPRINT)


def test_a_shard_of_another_format_is_refused(path, monkeypatch):
    monkeypatch.setattr(shards, "FORMAT_VERSION", 2)
    sha256 = write_shard(path, FINGERPRINT, IDS, FEATURES)
    monkeypatch.undo()
    with pytest.raises(CacheDamaged, match="has format 2, but this release reads 1"):
        read_shard(path, sha256, FINGERPRINT)


@pytest.mark.parametrize("content", [b"garbage", b""])
def test_a_file_that_is_not_hdf5_is_reported(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(CacheDamaged, match="is not a shard of features"):
        read_shard(path, hashlib.sha256(content).hexdigest(), FINGERPRINT)

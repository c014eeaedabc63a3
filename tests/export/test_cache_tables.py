import json
import sys

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from fec_cache.cache.cache import FeatureCache
from fec_cache.errors import (
    BadOption,
    CacheDamaged,
    CacheNotFound,
    MissingExtra,
    OutputExists,
    StorageFailed,
)
from fec_cache.export import cache_tables as module
from fec_cache.export.cache_tables import SUFFIXES, export_cache
from fec_cache.testing import toy


@pytest.fixture
def images_dir(tmp_path):
    return tmp_path / "images"


@pytest.fixture
def faces(images_dir):
    refs = toy.write_pictures(images_dir, range(10))
    # The same picture under a second name, and one that the cache lacks.
    refs.append(toy.write_solid(images_dir, "zwö.png", toy.colour_of(3)))
    return toy.identify(images_dir, refs)


@pytest.fixture
def cache(tmp_path, images_dir, faces):
    return FeatureCache.open(toy.run_toy(tmp_path / "cache", images_dir, faces).folders[0])


def read_hdf5(path):
    with h5py.File(path) as file:
        assert file["features"].fletcher32
        assert file["features"].chunks
        assert not file["features"].is_virtual
        return (
            file["face_id"].asstr()[:].tolist(),
            file["image"].asstr()[:].tolist(),
            file["box"][:],
            file["features"][:],
            dict(file.attrs),
        )


def read_npz(path):
    with np.load(path, allow_pickle=False) as file:
        names = {"export_version", "recipe", "fingerprint", "backbone", "layer", "weights"}
        attributes = {name: file[name].item() for name in names}
        face_ids = [face_id.decode() for face_id in file["face_id"].tolist()]
        return face_ids, file["image"].tolist(), file["box"], file["features"], attributes


def read_parquet(path):
    table = pq.read_table(path)
    attributes = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
    attributes["export_version"] = int(attributes["export_version"])
    columns = table.to_pydict()
    box = np.stack([columns[side] for side in ("left", "right", "top", "bottom")], axis=1)
    return columns["face_id"], columns["image"], box, np.array(columns["features"]), attributes


READERS = {"hdf5": read_hdf5, "npz": read_npz, "parquet": read_parquet}


@pytest.mark.parametrize("kind", READERS)
def test_every_row_is_there_with_its_name_and_box(tmp_path, cache, faces, kind):
    path = tmp_path / "new" / f"all{SUFFIXES[kind]}"
    report = export_cache(cache, path, kind, faces.present)
    assert (report.num_faces, report.num_named) == (10, 10)
    assert report.size_bytes == path.stat().st_size
    face_ids, images, boxes, features, attributes = READERS[kind](path)
    matrix = cache.load()
    assert tuple(face_ids) == matrix.face_ids
    assert features.astype(np.float16).tobytes() == matrix.features.tobytes()
    assert images == [f"{number:04d}.png" for number in range(10)]
    assert boxes.tolist() == [list(toy.WHOLE)] * 10
    assert json.loads(attributes["recipe"]) == json.loads(cache.recipe.canonical_json())
    assert attributes["fingerprint"] == cache.recipe.fingerprint
    assert (attributes["backbone"], attributes["layer"]) == ("toy", "avgpool")
    assert attributes["export_version"] == 1
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", READERS)
def test_faces_without_a_known_name_have_no_name(tmp_path, cache, kind):
    export_cache(cache, tmp_path / "all", kind, ())
    _, images, boxes, features, _ = READERS[kind](tmp_path / "all")
    assert images == [""] * 10
    assert np.isnan(boxes).all()
    assert features.shape == (10, 3)


def test_a_file_that_is_there_stays_unless_forced(tmp_path, cache, faces):
    path = tmp_path / "all.h5"
    path.write_text("mine")
    with pytest.raises(OutputExists, match="or overwrite it with --force"):
        export_cache(cache, path, "hdf5", faces.present)
    assert path.read_text() == "mine"
    export_cache(cache, path, "hdf5", faces.present, is_forced=True)
    assert len(read_hdf5(path)[0]) == 10
    with pytest.raises(BadOption, match="is a folder"):
        export_cache(cache, tmp_path, "hdf5", ())
    with pytest.raises(BadOption, match="format is 'csv'"):
        export_cache(cache, tmp_path / "x", "csv", ())


def test_nothing_damaged_is_handed_on_and_no_half_file_stays(tmp_path, cache):
    out = tmp_path / "out"
    path = cache.folder / "shards" / "00001.h5"
    path.write_bytes(path.read_bytes()[:-1])
    for kind in READERS:
        with pytest.raises(CacheDamaged, match=r"00001\.h5 is not what was written"):
            export_cache(cache, out / "all", kind, ())
    assert list(out.iterdir()) == []


def test_a_disk_without_room_is_reported_before_a_byte_is_written(tmp_path, cache, monkeypatch):
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StorageFailed, match=r"needs about 0\.0 MB, but 0\.0 MB are free"):
        export_cache(cache, tmp_path / "all.h5", "hdf5", ())
    assert not (tmp_path / "all.h5").exists()


def test_an_empty_cache_has_nothing_to_export(tmp_path):
    cache = FeatureCache.create(tmp_path, toy.toy_recipe())
    with pytest.raises(CacheNotFound, match="has no features yet"):
        export_cache(cache, tmp_path / "all.h5", "hdf5", ())


def test_only_parquet_needs_pyarrow(cache, tmp_path, faces, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert export_cache(cache, tmp_path / "all.npz", "npz", faces.present).num_faces == 10
    with pytest.raises(MissingExtra, match=r"pip install 'fec_cache\[parquet\]'"):
        export_cache(cache, tmp_path / "all.parquet", "parquet", faces.present)
    assert not (tmp_path / "all.parquet").exists()

import csv
import subprocess
import sys

import h5py
import numpy as np
import pytest

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.views import write_views
from fec_cache.testing import toy

HEADER = ["face_id", "image", "left", "right", "top", "bottom", "reason"]


@pytest.fixture
def images_dir(tmp_path):
    return tmp_path / "images"


def extracted(tmp_path, images_dir, numbers=range(10), **settings):
    refs = toy.write_pictures(images_dir, numbers)
    faces = toy.identify(images_dir, refs)
    toy.run_toy(tmp_path / "cache", images_dir, faces, **settings)
    return faces, FeatureCache.open(tmp_path / "cache" / toy.toy_recipe().folder_name)


def failures(cache):
    with (cache.folder / "failures.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == HEADER
    return rows[1:]


def test_the_table_has_the_written_layout(tmp_path, images_dir):
    _, cache = extracted(tmp_path, images_dir)
    with h5py.File(cache.folder / "features.h5") as file:
        assert sorted(file) == ["face_id", "features"]
        assert dict(file.attrs) == {
            "format_version": 1,
            "fingerprint": cache.recipe.fingerprint,
            "recipe": cache.recipe.canonical_json(),
        }
        assert file["features"].is_virtual
        assert file["features"].shape == (10, 3)
        assert file["features"].dtype == np.float16
        assert np.isnan(file["features"].fillvalue)
        assert file["face_id"].dtype == np.dtype("S32")


def test_plain_h5py_elsewhere_reads_the_same_values(tmp_path, images_dir):
    _, cache = extracted(tmp_path, images_dir)
    matrix = cache.load()
    elsewhere = tmp_path / "elsewhere"
    # A folder whose own shards must not be taken for those of the table.
    (elsewhere / "shards").mkdir(parents=True)
    with h5py.File(elsewhere / "shards" / "00000.h5", "w") as decoy:
        decoy["features"] = np.full((4, 3), 9, np.float16)
        decoy["face_id"] = np.full(4, b"x" * 32)
    code = (
        "import h5py, sys\n"
        "file = h5py.File(sys.argv[1])\n"
        "sys.stdout.buffer.write(file['face_id'][:].tobytes() + file['features'][:].tobytes())\n"
    )
    command = [sys.executable, "-c", code, str(cache.folder / "features.h5")]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, check=True, timeout=60)
    assert done.stdout == "".join(matrix.face_ids).encode() + matrix.features.tobytes()


def test_a_shard_that_is_gone_shows_as_nan_not_as_zeros(tmp_path, images_dir):
    _, cache = extracted(tmp_path, images_dir)
    (cache.folder / "shards" / "00001.h5").unlink()
    with h5py.File(cache.folder / "features.h5") as file:
        features = file["features"][:]
    assert np.isnan(features[4:8]).all()
    assert np.isfinite(features[:4]).all()
    assert np.isfinite(features[8:]).all()


def test_an_emptied_cache_has_no_table(tmp_path, images_dir):
    _, cache = extracted(tmp_path, images_dir, range(2))
    (cache.folder / "shards" / "00000.h5").unlink()
    cache.drop_damaged()
    write_views(cache)
    assert not (cache.folder / "features.h5").exists()
    assert failures(cache) == []


def test_failures_list_every_name_of_a_failed_face_and_every_missing_one(tmp_path, images_dir):
    refs = toy.write_pictures(images_dir, range(3))
    refs += [toy.FaceRef(name, 0.25, 1.0, 0.0, 0.5) for name in ("bad, 1.png", "bäd2.png")]
    for ref in refs[3:]:
        (images_dir / ref.image).write_bytes(b"no picture")
    refs.append(toy.FaceRef("gone.png", *toy.WHOLE))
    faces = toy.identify(images_dir, refs)
    summary = toy.run_toy(tmp_path / "cache", images_dir, faces)
    cache = FeatureCache.open(summary.folders[0])
    box = ["0.25", "1.0", "0.0", "0.5"]
    same_id = faces.present[3].face_id
    reason = "bad, 1.png is not a usable picture: no known picture format."
    assert failures(cache) == [
        [same_id, "bad, 1.png", *box, reason],
        [same_id, "bäd2.png", *box, reason],
        ["", "gone.png", "0.0", "1.0", "0.0", "1.0", "no such file"],
    ]
    assert len(failures(cache)) == summary.num_failed + summary.num_missing


def test_failures_of_pictures_that_were_replaced_are_not_listed(tmp_path, images_dir):
    refs = toy.write_pictures(images_dir, range(3))
    (images_dir / refs[1].image).write_bytes(b"no picture")
    toy.run_toy(tmp_path / "cache", images_dir, toy.identify(images_dir, refs))
    cache = FeatureCache.open(tmp_path / "cache" / toy.toy_recipe().folder_name)
    assert len(failures(cache)) == 1
    toy.write_pictures(images_dir, [1])
    toy.run_toy(tmp_path / "cache", images_dir, toy.identify(images_dir, refs))
    assert failures(cache) == []
    write_views(cache)
    assert [row[1] for row in failures(cache)] == ["0001.png"]

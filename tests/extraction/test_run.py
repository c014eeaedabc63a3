import dataclasses
import threading

import pytest
import torch

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.provenance import read_provenance
from fec_cache.errors import PrecisionLost
from fec_cache.extraction import batches as batches_module
from fec_cache.extraction.config import ExtractConfig
from fec_cache.extraction.extract import extract
from fec_cache.extraction.recipes import recipes_of
from fec_cache.testing import toy
from fec_cache.testing.toy import counts, hide, load, solid_faces

OPTIONS = ExtractConfig(device="cpu", batch_size=2, num_workers=1, shard_faces=4)


@pytest.fixture
def images_dir(tmp_path):
    return tmp_path / "images"


@pytest.fixture
def cache_dir(tmp_path):
    return tmp_path / "cache"


def test_features_that_float16_cannot_hold_are_failures(images_dir, cache_dir):
    refs = [
        toy.write_solid(images_dir, "dark.png", (1, 1, 1)),
        toy.write_solid(images_dir, "light.png", (1, 255, 1)),
    ]
    faces = toy.identify(images_dir, refs)
    summary = toy.run_toy(cache_dir, images_dir, faces, layers=("layer2",))
    assert counts(summary) == (0, 1, 1, 0)
    cache = FeatureCache.open(summary.folders[0])
    assert [(face.image, face.reason) for face in cache.manifest().failed] == [
        ("light.png", "its feature is not finite in float16")
    ]
    assert cache.load().face_ids == (faces.present[0].face_id,)
    again = toy.run_toy(cache_dir, images_dir, faces, layers=("layer2",), store_dtype="float32")
    assert counts(again) == (0, 2, 0, 0)


def test_a_failure_in_one_layer_leaves_the_other_alone(images_dir, cache_dir):
    refs = [toy.write_solid(images_dir, "light.png", (1, 255, 1))]
    faces = toy.identify(images_dir, refs)
    summary = toy.run_toy(cache_dir, images_dir, faces, layers=("avgpool", "layer2"))
    assert counts(summary) == (0, 0, 1, 0)
    assert [len(FeatureCache.open(folder).manifest().failed) for folder in summary.folders] == [
        0,
        1,
    ]
    assert len(load(cache_dir).face_ids) == 1


def test_progress_counts_every_face_once(images_dir, cache_dir):
    faces = solid_faces(images_dir, range(7))
    hide(images_dir, 3)
    reports = []
    toy.run_toy(cache_dir, images_dir, faces, on_progress=reports.append)
    done = [progress.faces_done for progress in reports]
    assert done == sorted(done)
    assert done[-1] == 7
    assert {progress.faces_total for progress in reports} == {7}


def test_reading_goes_on_across_shards_while_one_is_written(images_dir, cache_dir, monkeypatch):
    num_read, read_at_seal = [0], []
    load_group, seal = batches_module.Decoder.load, FeatureCache.seal

    def counted_load(self, faces, reserve):
        cuts = load_group(self, faces, reserve)
        num_read[0] += 1
        return cuts

    def late_seal(self, *args):
        ahead = len(read_at_seal) * 2 + 5
        for _ in range(500):
            if num_read[0] >= min(ahead, 12):
                break
            threading.Event().wait(0.01)
        read_at_seal.append(num_read[0])
        seal(self, *args)

    monkeypatch.setattr(batches_module.Decoder, "load", counted_load)
    monkeypatch.setattr(FeatureCache, "seal", late_seal)
    toy.run_toy(cache_dir, images_dir, solid_faces(images_dir, range(12)), shard_faces=2)
    assert all(read > 2 * n + 2 for n, read in enumerate(read_at_seal[:-1]))


def test_a_path_that_gives_other_features_is_stopped_before_anything_is_stored(
    images_dir, cache_dir
):
    class Wrong(torch.nn.Module):
        def forward(self, images):
            means = images.float().mean((2, 3))
            wrong = images.dtype == torch.bfloat16
            return {"avgpool": means.flip(1) if wrong else means}

    backbone = dataclasses.replace(toy.toy_backbone(), module=Wrong())
    (recipe,) = recipes_of(backbone, 0.1, "float16", "bf16")
    cache = FeatureCache.create(cache_dir, recipe)
    with pytest.raises(PrecisionLost, match=r"toy in bf16 on cpu .* cosine .* is 0\.\d+ over 2"):
        extract(solid_faces(images_dir, range(9, 18)), images_dir, backbone, [cache], OPTIONS)
    assert cache.manifest().shards == ()


def test_the_self_check_is_reported_and_kept(images_dir, cache_dir):
    summary = toy.run_toy(cache_dir, images_dir, solid_faces(images_dir, range(3)))
    assert summary.smallest_cosine == pytest.approx(1.0, abs=1e-12)
    (run,) = read_provenance(cache_dir / toy.toy_recipe().folder_name)
    assert run["smallest_cosine"] == summary.smallest_cosine
    assert run["engine"] == summary.engine == "eager"


def test_faces_too_faint_for_float16_are_counted(images_dir, cache_dir):
    class Faint(torch.nn.Module):
        def forward(self, images):
            return {"avgpool": 1e-7 * images.mean((2, 3))}

    backbone = dataclasses.replace(toy.toy_backbone(), module=Faint())
    faces = solid_faces(images_dir, [0, 85, 86])
    for dtype, faint in (("float16", 3), ("float32", 0)):
        (recipe,) = recipes_of(backbone, 0.1, dtype)
        cache = FeatureCache.create(cache_dir, recipe)
        assert extract(faces, images_dir, backbone, [cache], OPTIONS).num_faint == faint

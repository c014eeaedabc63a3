import dataclasses
import shutil

import numpy as np
import pytest
import torch

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.provenance import read_provenance
from fec_cache.errors import CacheMismatch
from fec_cache.extraction.config import ExtractConfig
from fec_cache.extraction.extract import extract
from fec_cache.extraction.recipes import recipes_of
from fec_cache.testing import toy
from fec_cache.testing.toy import counts, hide, load, numbers_of, solid_faces

OPTIONS = ExtractConfig(device="cpu", batch_size=2, num_workers=1, shard_faces=4)


@pytest.fixture
def images_dir(tmp_path):
    return tmp_path / "images"


@pytest.fixture
def cache_dir(tmp_path):
    return tmp_path / "cache"


def test_features_are_the_ones_worked_out_by_hand(images_dir, cache_dir):
    colours = {"a.png": (0, 0, 0), "b.png": (51, 102, 255), "c.png": (255, 255, 204)}
    refs = [toy.write_solid(images_dir, name, colour) for name, colour in colours.items()]
    summary = toy.run_toy(cache_dir, images_dir, toy.identify(images_dir, refs))
    assert counts(summary) == (0, 3, 0, 0)
    features = load(cache_dir).features
    assert features.dtype == np.float16
    wanted = np.array([[0, 0, 0], [0.2, 0.4, 1], [1, 1, 0.8]], np.float16)
    assert features.tolist() == wanted.tolist()


def test_float32_keeps_what_float16_rounds(images_dir, cache_dir):
    faces = solid_faces(images_dir, [85])
    toy.run_toy(cache_dir, images_dir, faces, store_dtype="float32")
    toy.run_toy(cache_dir, images_dir, faces)
    whole = load(cache_dir, store_dtype="float32").features
    half = load(cache_dir).features
    assert whole.dtype == np.float32
    assert whole[0, 0] == np.float32(1 / 3)
    assert half[0, 0] == np.float16(1 / 3)


def test_both_dtypes_of_one_layer_can_be_filled_together(images_dir, cache_dir):
    faces = solid_faces(images_dir, range(6))
    caches = [
        FeatureCache.create(cache_dir, toy.toy_recipe(store_dtype=dtype))
        for dtype in ("float16", "float32")
    ]
    extract(faces, images_dir, toy.toy_backbone(), caches, OPTIONS)
    half, whole = (cache.load() for cache in caches)
    assert half.face_ids == whole.face_ids == tuple(face.face_id for face in faces.present)
    assert half.features.tolist() == whole.features.astype(np.float16).tolist()


def test_every_forward_pass_has_one_shape(images_dir, cache_dir):
    faces = solid_faces(images_dir, range(7))
    hide(images_dir, 2)
    backbone = toy.toy_backbone()
    caches = [FeatureCache.create(cache_dir, toy.toy_recipe())]
    extract(faces, images_dir, backbone, caches, OPTIONS)
    # One pass more than there are batches: the first one's faces also go the plain way.
    assert backbone.module.shapes.count((2, 3, 4, 4)) == 4 + 1
    assert len(backbone.module.shapes) == 5


def test_the_same_face_under_two_names_is_stored_once_and_counted_twice(images_dir, cache_dir):
    refs = [toy.write_solid(images_dir, name, (1, 2, 3)) for name in ("a.png", "b.png")]
    summary = toy.run_toy(cache_dir, images_dir, toy.identify(images_dir, refs))
    assert counts(summary) == (0, 2, 0, 0)
    assert summary.num_same == 1
    assert len(load(cache_dir).face_ids) == 1


def test_two_boxes_in_one_image_are_two_faces(images_dir, cache_dir):
    picture = np.zeros((8, 16, 3), np.uint8)
    picture[:, 8:] = (255, 51, 0)
    images_dir.mkdir()
    toy.Image.fromarray(picture).save(images_dir / "two.png")
    # With a margin of 10 % the square of 8 grows to 10: boxes stay clear of the other half.
    refs = [
        toy.FaceRef("two.png", 0.0, 0.25, 0.0, 0.5),
        toy.FaceRef("two.png", 0.75, 1.0, 0.0, 0.5),
    ]
    faces = toy.identify(images_dir, refs)
    toy.run_toy(cache_dir, images_dir, faces)
    matrix = load(cache_dir)
    assert matrix.face_ids == tuple(face.face_id for face in faces.present)
    assert matrix.features.tolist() == np.array([[0, 0, 0], [1, 0.2, 0]], np.float16).tolist()


def test_a_second_run_computes_nothing(images_dir, cache_dir):
    faces = solid_faces(images_dir, range(6))
    toy.run_toy(cache_dir, images_dir, faces)
    before = toy.shard_digests(cache_dir)
    backbone = toy.toy_backbone()
    caches = [FeatureCache.create(cache_dir, toy.toy_recipe())]
    shutil.rmtree(images_dir)
    summary = extract(faces, images_dir, backbone, caches, OPTIONS)
    assert counts(summary) == (6, 0, 0, 0)
    assert backbone.module.shapes == []
    assert toy.shard_digests(cache_dir) == before
    assert [run["weights"] for run in read_provenance(caches[0].folder)] == ["a toy"]


def test_features_of_other_weights_never_meet(images_dir, cache_dir):
    faces = solid_faces(images_dir, range(2))
    cache = FeatureCache.create(cache_dir, toy.toy_recipe())
    other = toy.toy_backbone(weights="sha256:" + "6" * 64)
    with pytest.raises(CacheMismatch, match=r"cannot take features of toy, .* weights: sha256:55"):
        extract(faces, images_dir, other, [cache], OPTIONS)
    assert cache.manifest().shards == ()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"mean": (0.5, 0.0, 0.0)},
        {"std": (0.5, 1.0, 1.0)},
        {"input_size": 5},
        {"shapes": {"avgpool": (3, 1)}},
        {"layers": ("layer1",), "shapes": {"layer1": (3,)}},
    ],
)
def test_a_backbone_that_is_not_the_recipes_is_refused(images_dir, cache_dir, change):
    cache = FeatureCache.create(cache_dir, toy.toy_recipe())
    backbone = dataclasses.replace(toy.toy_backbone(), **change)
    with pytest.raises(CacheMismatch, match="cannot take features of"):
        extract(solid_faces(images_dir, [1]), images_dir, backbone, [cache], OPTIONS)


@pytest.mark.parametrize(("field", "other"), [("precision", "bf16"), ("decode", "full")])
def test_caches_that_no_single_pass_can_fill_are_refused(images_dir, cache_dir, field, other):
    mine, recipe = toy.toy_recipe(), toy.toy_recipe("layer1")
    crop = dataclasses.replace(recipe.crop, decode="full") if field == "decode" else recipe.crop
    precision = other if field == "precision" else "fp32"
    theirs = dataclasses.replace(recipe, crop=crop, precision=precision)
    caches = [FeatureCache.create(cache_dir, one) for one in (mine, theirs)]
    backbone = toy.toy_backbone(("avgpool", "layer1"))
    with pytest.raises(CacheMismatch, match=f"cannot be filled in one pass: .*{other}"):
        extract(solid_faces(images_dir, [1]), images_dir, backbone, caches, OPTIONS)


def test_each_kind_of_face_is_counted_where_it_belongs(images_dir, cache_dir):
    refs = toy.write_pictures(images_dir, range(6))
    toy.run_toy(cache_dir, images_dir, toy.identify(images_dir, refs[:3]))
    (images_dir / "0003.png").write_bytes(b"")
    refs.append(toy.FaceRef("gone.png", *toy.WHOLE))
    faces = toy.identify(images_dir, refs)
    for expected in ((3, 2, 1, 1), (5, 0, 1, 1)):
        summary = toy.run_toy(cache_dir, images_dir, faces)
        assert counts(summary) == expected
        assert summary.num_faces == 7
    assert numbers_of(cache_dir, faces) == [0, 1, 2, 4, 5]


def test_the_plain_and_the_mirrored_features_come_from_one_run(images_dir, cache_dir):
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:, :2] = 102
    images_dir.mkdir()
    toy.Image.fromarray(picture).save(images_dir / "half.png")
    faces = toy.identify(images_dir, [toy.FaceRef("half.png", *toy.WHOLE)])

    class Left(torch.nn.Module):
        def forward(self, images):
            return {"avgpool": images[:, :, :, 0].mean(2)}

    backbone = dataclasses.replace(toy.toy_backbone(), module=Left())
    both = recipes_of(backbone, 0.0, "float32", flips=(False, True))
    caches = [FeatureCache.create(cache_dir, recipe) for recipe in both]
    summary = extract(faces, images_dir, backbone, caches, OPTIONS)
    assert counts(summary) == (0, 1, 0, 0)
    plain, mirrored = (cache.load().features for cache in caches)
    np.testing.assert_allclose(plain, [[0.4] * 3], rtol=1e-6)
    np.testing.assert_allclose(mirrored, [[0.2] * 3], rtol=1e-6)


def test_faces_of_one_image_on_both_sides_of_a_shard_border(images_dir, cache_dir):
    toy.write_solid(images_dir, "0007.png", toy.colour_of(7))
    boxes = [(0.0, 1.0, 0.0, (number + 1) / 8) for number in range(7)]
    faces = toy.identify(images_dir, [toy.FaceRef("0007.png", *box) for box in boxes])
    toy.run_toy(cache_dir, images_dir, faces, shard_faces=3)
    assert load(cache_dir).face_ids == tuple(face.face_id for face in faces.present)
    assert numbers_of(cache_dir, faces) == [7] * 7


def test_wide_features_make_smaller_shards(images_dir, cache_dir, monkeypatch):
    monkeypatch.setattr("fec_cache.extraction.plan._SHARD_BYTES", 3 * 2 * 5)
    faces = solid_faces(images_dir, range(12))
    toy.run_toy(cache_dir, images_dir, faces, shard_faces=100)
    cache = FeatureCache.open(cache_dir / toy.toy_recipe().folder_name)
    assert [entry.rows for entry in cache.manifest().shards] == [5, 5, 2]

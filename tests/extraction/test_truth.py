"""Whatever changes a feature makes it be computed again, or refused."""

import dataclasses
import json
import os
import shutil

import h5py
import numpy as np
import pytest

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.catalogue import cache_of_fingerprint
from fec_cache.cache.manifest import write_manifest
from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.errors import BadOption, CacheDamaged, CacheMismatch
from fec_cache.extraction.config import ExtractConfig
from fec_cache.extraction.extract import extract
from fec_cache.extraction.recipes import recipes_of
from fec_cache.faces.digests import ImageDigests
from fec_cache.faces.table import identify_faces
from fec_cache.testing import toy

OPTIONS = ExtractConfig(device="cpu", batch_size=2, num_workers=1, shard_faces=4)
OTHER_WORDS = {
    "weights": "sha256:" + "6" * 64,
    "store_dtype": "float32",
    "precision": "bf16",
    "crop.decode": "full",
    "crop.pad": "reflect",
    "crop.resize": "bicubic-antialias",
    "crop.colour": "BGR",
}


def leaves(value, prefix=""):
    """Every number, word and flag of a recipe, with the path to it."""
    if isinstance(value, dict):
        pairs = [(f"{prefix}.{name}".lstrip("."), entry) for name, entry in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [(f"{prefix}.{number}", entry) for number, entry in enumerate(value)]
    else:
        return {prefix: value}
    return {path: leaf for name, entry in pairs for path, leaf in leaves(entry, name).items()}


def mutated(value, path):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return float(np.nextafter(value, 2.0))  # the least change that there is
    return OTHER_WORDS.get(path, f"{value}x")


RECIPE = toy.toy_recipe()
PATHS = sorted(leaves(dataclasses.asdict(RECIPE)))
# Two ways to resize that differ in one word of the recipe, as a smaller slip would have it.
WORDS = [
    ("crop.resize", "bilinear"),
    ("crop.decode", "gpu"),
    ("layer", "layer1"),
    ("backbone", "toy2"),
]
MUTATIONS = [(path, None) for path in PATHS] + WORDS


def mutate(path, word):
    """The toy's recipe with one value changed, as JSON."""
    fields = json.loads(RECIPE.canonical_json())
    *outer, last = path.split(".")
    place = fields
    for name in outer:
        place = place[int(name) if name.isdecimal() else name]
    key = int(last) if last.isdecimal() else last
    before = place[key]
    place[key] = mutated(before, path) if word is None else word
    return json.dumps(fields), before, place[key]


def test_there_are_twenty_mutations_at_least():
    assert len(MUTATIONS) >= 20


@pytest.fixture
def images_dir(tmp_path):
    return tmp_path / "images"


@pytest.fixture
def cache_dir(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def cache(cache_dir):
    """A cache with one row."""
    cache = FeatureCache.create(cache_dir, RECIPE)
    cache.seal("plan", ["0" * 32], np.ones((1, 3), np.float16), ())
    return cache


@pytest.mark.parametrize(("path", "word"), MUTATIONS, ids=str)
def test_each_part_of_a_recipe_parts_the_caches_or_is_refused_by_name(
    cache, cache_dir, monkeypatch, path, word
):
    text, before, after = mutate(path, word)
    try:
        other = FeatureRecipe.from_json(text)
    except (BadOption, ValueError) as error:
        assert str(after) in str(error)  # the refusal names what it does not know
        return
    assert other.fingerprint != RECIPE.fingerprint
    # By its own name the other recipe finds another cache, which is empty.
    fresh = FeatureCache.create(cache_dir, other)
    assert fresh.folder != cache.folder
    assert fresh.manifest().num_faces == 0
    shutil.rmtree(fresh.folder)
    with pytest.raises(CacheMismatch, match=f"features of recipe {other.fingerprint[:8]}"):
        cache_of_fingerprint(cache_dir, other.fingerprint)
    # Forced into the same folder it is refused, and the refusal says what differs.
    monkeypatch.setattr(FeatureRecipe, "folder_name", cache.folder.name)
    with pytest.raises(CacheMismatch) as caught:
        FeatureCache.create(cache_dir, other)
    field = path.removesuffix(".0").removesuffix(".1").removesuffix(".2")
    message = str(caught.value)
    assert f"{field}: " in message
    assert str(before) in message
    assert str(after) in message


@pytest.mark.parametrize(("path", "word"), MUTATIONS, ids=str)
def test_a_recipe_that_was_edited_serves_nothing(cache, path, word):
    text, _, _ = mutate(path, word)
    (cache.folder / "recipe.json").write_text(text)
    with pytest.raises(CacheDamaged, match="fec cache repair"):
        FeatureCache.open(cache.folder)


def values_of(folder, faces):
    matrix = FeatureCache.open(folder).load()
    rows = matrix.rows()
    return {face.ref.image: matrix.features[rows[face.face_id]] for face in faces.present}


def run(cache_dir, images_dir, faces, backbone, crop_margin=0.1, store_dtype="float16"):
    recipes = recipes_of(backbone, crop_margin, store_dtype)
    caches = [FeatureCache.create(cache_dir, recipe) for recipe in recipes]
    return extract(faces, images_dir, backbone, caches, OPTIONS)


BACKBONES = {
    "nothing": ({}, {}, 0),
    "weights": ({"weights": toy.WeightsOrigin("sha256:" + "6" * 64, "another toy")}, {}, 6),
    "name": ({"name": "toy2"}, {}, 6),
    "mean": ({"mean": (0.0, 0.0, 0.1)}, {}, 6),
    "std": ({"std": (1.0, 0.5, 1.0)}, {}, 6),
    "input size": ({"input_size": 5}, {}, 6),
    "crop margin": ({}, {"crop_margin": 0.2}, 6),
    "store dtype": ({}, {"store_dtype": "float32"}, 6),
}


@pytest.mark.parametrize("changed", BACKBONES)
def test_another_way_to_compute_computes_again(cache_dir, images_dir, changed):
    faces = toy.solid_faces(images_dir, range(6))
    backbone = toy.toy_backbone()
    run(cache_dir, images_dir, faces, backbone)
    fields, settings, num_computed = BACKBONES[changed]
    other = dataclasses.replace(backbone, **fields)
    summary = run(cache_dir, images_dir, faces, other, **settings)
    assert summary.num_computed == num_computed
    for name, row in values_of(summary.folders[0], faces).items():
        colour = np.array(toy.colour_of(int(name[:4]))) / 255.0
        wanted = (colour - np.array(other.mean)) / np.array(other.std)
        np.testing.assert_allclose(row, wanted, atol=1e-3)


def test_another_layer_is_computed_and_not_taken_from_its_neighbour(cache_dir, images_dir):
    faces = toy.solid_faces(images_dir, range(6))
    toy.run_toy(cache_dir, images_dir, faces)
    assert toy.run_toy(cache_dir, images_dir, faces, ("layer1",)).num_computed == 6
    assert toy.numbers_of(cache_dir, faces, "layer1") == list(range(6))


@pytest.mark.parametrize("fields", [{"name": "toy2"}, {"mean": (0.0, 0.0, 0.1)}], ids=str)
def test_a_cache_takes_features_of_its_own_backbone_only(cache_dir, images_dir, fields):
    faces = toy.solid_faces(images_dir, range(6))
    backbone = toy.toy_backbone()
    cache = FeatureCache.create(cache_dir, recipes_of(backbone, 0.1, "float16")[0])
    other = dataclasses.replace(backbone, **fields)
    ((name, value),) = fields.items()
    with pytest.raises(CacheMismatch) as caught:
        extract(faces, images_dir, other, [cache], OPTIONS)
    field = "backbone" if name == "name" else name
    assert f"{field}: {getattr(backbone, name)} here, {value} there" in str(caught.value)
    assert cache.manifest().num_faces == 0


def rewrite(path, colour, mtime_ns, size):
    toy.write_solid(path.parent, path.name, colour)
    # Behind the end of a picture a decoder does not look.
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    os.utime(path, ns=(mtime_ns, mtime_ns))


@pytest.mark.parametrize(
    ("size", "mtime_ns", "rehash", "is_noticed"),
    [
        (200, 10**18, False, False),
        (200, 10**18, True, True),
        (201, 10**18, False, True),
        (200, 10**18 + 1, False, True),
    ],
    ids=["same size and date", "the same, rehashed", "a byte more", "a nanosecond later"],
)
def test_changed_bytes_at_the_same_path_are_another_face(
    tmp_path, cache_dir, images_dir, size, mtime_ns, rehash, is_noticed
):
    refs = toy.write_pictures(images_dir, range(3))
    index_dir = tmp_path / "index"
    index_dir.mkdir()
    path = images_dir / "0001.png"
    rewrite(path, toy.colour_of(1), 10**18, 200)
    before = identify_faces(refs, images_dir, ImageDigests(index_dir))
    toy.run_toy(cache_dir, images_dir, before)
    rewrite(path, (255, 255, 255), mtime_ns, size)
    after = identify_faces(refs, images_dir, ImageDigests(index_dir, rehash))
    summary = toy.run_toy(cache_dir, images_dir, after)
    assert summary.num_computed == int(is_noticed)
    if is_noticed:
        assert values_of(summary.folders[0], after)["0001.png"].tolist() == [1, 1, 1]


def test_another_box_is_another_face_and_the_same_under_another_name_is_not(cache_dir, images_dir):
    refs = toy.write_pictures(images_dir, range(3))
    toy.run_toy(cache_dir, images_dir, toy.identify(images_dir, refs))
    boxed = dataclasses.replace(refs[1], right=0.5)
    again = toy.run_toy(cache_dir, images_dir, toy.identify(images_dir, [*refs, boxed]))
    assert (again.num_cached, again.num_computed) == (3, 1)
    shutil.copy(images_dir / "0001.png", images_dir / "copy.png")
    twin = dataclasses.replace(refs[1], image="copy.png")
    faces = toy.identify(images_dir, [*refs, boxed, twin])
    last = toy.run_toy(cache_dir, images_dir, faces)
    assert (last.num_cached, last.num_computed, last.num_same) == (5, 0, 1)


def test_two_names_of_one_picture_are_computed_once(cache_dir, images_dir):
    refs = [toy.write_solid(images_dir, name, (9, 9, 9)) for name in ("a.png", "b.png")]
    backbone = toy.toy_backbone()
    summary = run(cache_dir, images_dir, toy.identify(images_dir, refs), backbone)
    assert FeatureCache.open(summary.folders[0]).manifest().num_faces == 1
    assert summary.num_same == 1


def test_features_of_two_backbones_never_meet_in_one_file(cache_dir, images_dir):
    faces = toy.solid_faces(images_dir, range(6))
    backbone = toy.toy_backbone()
    other = dataclasses.replace(backbone, name="toy2")
    folders = [run(cache_dir, images_dir, faces, one).folders[0] for one in (backbone, other)]
    for folder in folders:
        recipe = FeatureCache.open(folder).recipe
        for path in folder.rglob("*.h5"):
            with h5py.File(path) as file:
                assert file.attrs["fingerprint"] == recipe.fingerprint
    # A shard that was carried over by hand is refused, though every checksum fits.
    ours, theirs = (FeatureCache.open(folder) for folder in folders)
    shutil.copy(theirs.folder / "shards/00000.h5", ours.folder / "shards/00000.h5")
    entries = (theirs.manifest().shards[0], *ours.manifest().shards[1:])
    write_manifest(ours.folder, dataclasses.replace(ours.manifest(), shards=entries))
    with pytest.raises(CacheDamaged, match="belongs to recipe") as caught:
        ours.load()
    assert theirs.recipe.fingerprint[:8] in str(caught.value)
    assert ours.recipe.fingerprint[:8] in str(caught.value)
    assert run(cache_dir, images_dir, faces, backbone).num_computed == 4
    assert toy.numbers_of(cache_dir, faces) == list(range(6))

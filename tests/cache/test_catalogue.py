import doctest

import numpy as np
import pytest

from fec_cache.cache import catalogue
from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.catalogue import cache_of_fingerprint, find_folders, open_cache, select_cache
from fec_cache.cache.folders import cache_folders
from fec_cache.errors import CacheDamaged, CacheMismatch, CacheNotFound
from fec_cache.testing import toy


@pytest.fixture
def caches(tmp_path):
    recipes = [toy.toy_recipe(layer) for layer in ("avgpool", "layer1")]
    return [FeatureCache.create(tmp_path, recipe) for recipe in recipes]


def test_the_only_cache_needs_no_name(tmp_path):
    cache = FeatureCache.create(tmp_path, toy.toy_recipe())
    assert select_cache(tmp_path) == cache
    assert select_cache(tmp_path, "toy") == cache


def test_layer_and_folder_are_names(tmp_path, caches):
    assert select_cache(tmp_path, "toy:layer1") == caches[1]
    assert select_cache(tmp_path, caches[0].folder.name) == caches[0]


def test_several_matching_caches_are_listed(tmp_path, caches):
    names = ", ".join(cache.folder.name for cache in caches)
    for wanted in (None, "toy"):
        with pytest.raises(CacheMismatch, match=f"several matching caches: {names}. Choose one"):
            select_cache(tmp_path, wanted)


@pytest.mark.parametrize(
    ("wanted", "options"),
    [
        ("resnet18", "--backbone resnet18"),
        ("resnet18:layer3:grid4", "--backbone resnet18 --layer layer3:grid4"),
        ("timm:resnet18", "--backbone timm:resnet18"),
        ("timm:resnet18:layer2", "--backbone timm:resnet18 --layer layer2"),
    ],
)
def test_no_answer_says_what_to_run(tmp_path, wanted, options):
    with pytest.raises(CacheNotFound) as caught:
        select_cache(tmp_path, wanted)
    assert str(caught.value) == f"{tmp_path} contains no features yet. Run: fec extract {options}"
    cache = FeatureCache.create(tmp_path, toy.toy_recipe())
    with pytest.raises(CacheMismatch) as caught:
        select_cache(tmp_path, wanted)
    assert str(caught.value) == (
        f"{tmp_path} contains {cache.folder.name}, but not {wanted}. "
        f"Choose one of those with --features, or run: fec extract {options}"
    )


def test_no_folder_is_no_cache(tmp_path):
    with pytest.raises(CacheNotFound, match=r"contains no features yet\. Run: fec extract$"):
        select_cache(tmp_path / "none")


def test_a_fingerprint_finds_exactly_its_cache(tmp_path, caches):
    for cache in caches:
        assert cache_of_fingerprint(tmp_path, cache.recipe.fingerprint) == cache
    with pytest.raises(
        CacheMismatch, match=r"features of recipe 00000000, but .* contains toy-avg"
    ):
        cache_of_fingerprint(tmp_path, "0" * 64)
    with pytest.raises(CacheMismatch, match="contains nothing"):
        cache_of_fingerprint(tmp_path / "none", "0" * 64)


def test_a_damaged_cache_that_may_be_meant_is_not_passed_over(tmp_path, caches, caplog):
    (caches[0].folder / "recipe.json").write_text("{}")
    for wanted in (None, "toy", "toy:avgpool", caches[0].folder.name):
        with pytest.raises(CacheDamaged):
            select_cache(tmp_path, wanted)
    with pytest.raises(CacheDamaged):
        cache_of_fingerprint(tmp_path, caches[0].recipe.fingerprint)
    assert not caplog.records
    assert select_cache(tmp_path, "toy:layer1") == caches[1]
    assert cache_of_fingerprint(tmp_path, caches[1].recipe.fingerprint) == caches[1]
    assert "Run: fec cache repair toy-avgpool" in caplog.text


def test_folders_are_found_by_any_name_damaged_ones_too(tmp_path, caches):
    avgpool, layer1 = (cache.folder for cache in caches)
    (tmp_path / ".tmp-1234" / "shards").mkdir(parents=True)
    for is_damaged in (False, True):
        assert find_folders(tmp_path, []) == cache_folders(tmp_path) == (avgpool, layer1)
        assert find_folders(tmp_path, ["toy"]) == (avgpool, layer1)
        assert find_folders(tmp_path, ["toy:layer1", layer1.name]) == (layer1,)
        with pytest.raises(CacheMismatch, match=r"contains toy-avg.*, but not resnet18"):
            find_folders(tmp_path, ["resnet18"])
        if not is_damaged:
            (layer1 / "recipe.json").unlink()
            (layer1 / "shards").mkdir()
    with pytest.raises(CacheNotFound):
        find_folders(tmp_path / "none", [])


def test_a_cache_opens_by_a_path_as_text_and_frees_its_features_at_the_end(tmp_path):
    features = np.array([[1, 2, 3], [4, 5, 6]], np.float16)
    toy_cache = FeatureCache.create(tmp_path, toy.toy_recipe())
    toy_cache.seal("plan", ["b" * 32, "a" * 32], features, ())
    with open_cache(str(tmp_path), "toy:avgpool") as cache:
        assert cache == toy_cache
        assert cache.features().tolist() == features.tolist()
        assert cache.features().dtype == np.float16
        assert cache.features() is cache.features()
        assert cache.face_ids() == ["b" * 32, "a" * 32]
        with pytest.raises(ValueError, match="read-only"):
            cache.features()[0, 0] = 0
        # What is added later changes neither of the two: rows keep their faces.
        toy_cache.seal("more", ["c" * 32], features[:1], ())
        assert len(cache.features()) == len(cache.face_ids()) == 2
    assert cache.features().shape == (3, 3)
    assert cache.face_ids()[2] == "c" * 32


def test_an_empty_or_unknown_cache_cannot_be_read(tmp_path):
    with pytest.raises(CacheNotFound, match="Run: fec extract --backbone toy"):
        open_cache(tmp_path, "toy")
    with open_cache(FeatureCache.create(tmp_path, toy.toy_recipe()).folder.parent) as cache:
        with pytest.raises(CacheNotFound, match="has no features yet"):
            cache.features()
        with pytest.raises(CacheNotFound, match="has no features yet"):
            cache.face_ids()


def test_the_example_in_the_documentation_runs():
    assert doctest.testmod(catalogue) == (0, 12)

import numpy as np
import pytest

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.recipe import FeatureRecipe
from fec_cache.errors import CacheDamaged, CacheMismatch, CacheNotFound
from fec_cache.testing import toy


@pytest.fixture
def cache(tmp_path):
    return FeatureCache.create(tmp_path / "cache", toy.toy_recipe())


def test_recipe_file_is_the_recipe_and_reopens(cache):
    text = (cache.folder / "recipe.json").read_text()
    assert FeatureRecipe.from_json(text) == toy.toy_recipe()
    assert cache.folder.name == f"toy-avgpool-{toy.toy_recipe().fingerprint[:8]}"
    assert FeatureCache.open(cache.folder) == cache
    assert FeatureCache.create(cache.folder.parent, toy.toy_recipe()) == cache


def test_a_missing_cache_is_reported(tmp_path):
    with pytest.raises(CacheNotFound, match=r"is not a feature cache: it has no recipe\.json"):
        FeatureCache.open(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"margin": 0.1', '"margin": 0.2'), ("5555", "5556"), ("float16", "float32")],
)
def test_an_edited_recipe_is_found(cache, old, new):
    path = cache.folder / "recipe.json"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(
        CacheDamaged, match=r"one of them was changed, so its features cannot be trusted"
    ):
        FeatureCache.open(cache.folder)
    # Asking for the recipe that the folder is named after writes it again.
    assert FeatureCache.create(cache.folder.parent, cache.recipe) == cache
    assert FeatureCache.open(cache.folder) == cache


def test_a_folder_of_another_recipe_is_not_taken_over(tmp_path, cache):
    other = toy.toy_recipe(weights="sha256:" + "6" * 64)
    cache.seal("plan", ["0" * 32], np.ones((1, 3), np.float16), ())
    cache.folder.rename(tmp_path / "cache" / other.folder_name)
    for damage in (None, "recipe.json", "manifest.json"):
        if damage:
            (tmp_path / "cache" / other.folder_name / damage).write_bytes(b"")
        with pytest.raises(CacheDamaged):
            FeatureCache.create(tmp_path / "cache", other)


@pytest.mark.parametrize(
    ("old", "new"), [("float16", "float64"), ('"version": 2', '"version": 3'), ("{", "[")]
)
def test_a_recipe_that_is_none_is_found(cache, old, new):
    path = cache.folder / "recipe.json"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(CacheDamaged, match="cannot be read as a recipe"):
        FeatureCache.open(cache.folder)


def test_a_recipe_that_cannot_be_read_is_not_called_worthless(cache):
    (cache.folder / "recipe.json").unlink()
    (cache.folder / "recipe.json").mkdir()
    with pytest.raises(CacheDamaged, match="cannot be read: Is a directory") as caught:
        FeatureCache.open(cache.folder)
    assert "Delete" not in str(caught.value)


def test_other_weights_have_another_folder(tmp_path, cache):
    other = FeatureCache.create(tmp_path / "cache", toy.toy_recipe(weights="sha256:" + "6" * 64))
    assert other.folder != cache.folder


def test_another_recipe_under_the_same_name_raises(tmp_path, cache, monkeypatch):
    other = toy.toy_recipe(weights="sha256:" + "6" * 64)
    monkeypatch.setattr(FeatureRecipe, "folder_name", cache.folder.name)
    with pytest.raises(
        CacheMismatch, match=r"a different recipe .*weights: sha256:66.* Choose another"
    ):
        FeatureCache.create(tmp_path / "cache", other)


def test_a_recipe_cut_at_its_last_newline_is_written_again(tmp_path, cache):
    path = cache.folder / "recipe.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert FeatureCache.create(cache.folder.parent, cache.recipe).recipe == cache.recipe
    assert path.read_bytes() == whole

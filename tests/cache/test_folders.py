"""Caches are recognised by the names of their files alone."""

import pytest

from fec_cache.cache.folders import cache_folders, extract_options, some_cache_folders
from fec_cache.errors import CacheNotFound


def test_any_one_of_three_names_makes_a_folder_a_cache(tmp_path):
    (tmp_path / "c" / "shards").mkdir(parents=True)
    for folder, name in (("b", "recipe.json"), ("a", "manifest.json"), ("d", "features.h5")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("damaged")
    (tmp_path / "recipe.json").write_text("not in a folder of a cache")
    assert cache_folders(tmp_path) == tuple(tmp_path / name for name in "abc")
    assert some_cache_folders(tmp_path, "resnet18") == cache_folders(tmp_path)


def test_a_cache_that_is_being_created_is_not_listed(tmp_path):
    (tmp_path / ".tmp-1234-toy").mkdir()
    (tmp_path / ".tmp-1234-toy" / "recipe.json").write_text("{}")
    assert cache_folders(tmp_path) == ()


@pytest.mark.parametrize(
    ("wanted", "command"),
    [
        (None, "fec extract"),
        ("resnet18", "fec extract --backbone resnet18"),
        ("timm:resnet18:layer2", "fec extract --backbone timm:resnet18 --layer layer2"),
    ],
)
def test_without_caches_the_error_names_the_command_that_makes_the_wanted_one(
    tmp_path, wanted, command
):
    with pytest.raises(CacheNotFound) as caught:
        some_cache_folders(tmp_path / "missing", wanted)
    assert str(caught.value) == f"{tmp_path / 'missing'} contains no features yet. Run: {command}"


def test_a_grid_belongs_to_the_layer():
    assert extract_options("resnet18:layer3:grid4") == "--backbone resnet18 --layer layer3:grid4"

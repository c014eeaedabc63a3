"""Repair drops exactly what is damaged, and rebuilds the rest."""

import os

import pytest

from fec_cache.cache.maintenance.repair import repair_cache, repair_index
from fec_cache.cache.maintenance.verify import verify_cache, verify_index
from fec_cache.errors import CacheDamaged
from fec_cache.testing import toy
from tests.cache.damage import flip_bit

FILES = [
    "recipe.json",
    "manifest.json",
    "features.h5",
    "failures.csv",
    "provenance.json",
    "shards/00000.h5",
    "shards/00002.h5",
]


def damaged(folder):
    return [finding.file for finding in verify_cache(folder).problems]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [flip_bit, lambda p: os.truncate(p, p.stat().st_size - 1)])
def test_damage_is_named_repaired_and_redone(folder, images_dir, faces, name, damage):
    before = toy.shard_digests(folder.parent)
    order = toy.numbers_of(folder.parent, faces)
    damage(folder / name)
    assert damaged(folder) == [name]
    report = repair_cache(folder)
    assert damaged(folder) == []
    num_lost = {"shards/00000.h5": 4, "shards/00002.h5": 4}.get(name, 0)
    assert report.num_faces == 11 - num_lost
    assert len(report.dropped) == bool(num_lost) or name == "manifest.json"
    if not num_lost:
        assert toy.numbers_of(folder.parent, faces) == order
    summary = toy.run_toy(folder.parent, images_dir, faces)
    assert summary.num_computed == num_lost
    assert toy.shard_digests(folder.parent) == before
    assert toy.numbers_of(folder.parent, faces) == order
    assert (damaged(folder), [*verify_cache(folder).remarks]) == ([], [])


def test_a_recipe_that_no_other_file_holds_is_not_guessed(folder, images_dir, faces):
    for name in ("recipe.json", "features.h5"):
        flip_bit(folder / name)
    with pytest.raises(CacheDamaged, match="Run the same `fec extract` that made it"):
        repair_cache(folder)
    assert toy.run_toy(folder.parent, images_dir, faces).num_computed == 0
    assert damaged(folder) == []


def test_damaged_lines_of_the_index_are_named_and_dropped(tmp_path, images_dir, faces):
    index_dir = tmp_path / "index"
    assert verify_index(index_dir) == ()
    assert not repair_index(index_dir)
    flip_bit(index_dir / "images.index")
    (finding,) = verify_index(index_dir)
    assert finding.file == "images.index"
    assert finding.what.startswith("1 damaged line (")
    assert repair_index(index_dir)
    assert verify_index(index_dir) == ()


def test_a_recipe_is_restored_from_the_table(folder):
    before = (folder / "recipe.json").read_bytes()
    (folder / "recipe.json").unlink()
    assert repair_cache(folder).rebuilt == ("recipe.json",)
    assert (folder / "recipe.json").read_bytes() == before

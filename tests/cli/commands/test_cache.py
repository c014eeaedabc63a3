"""`fec cache ...` as a user meets it."""

import json
import os

import h5py
import pytest
from click.testing import CliRunner

from fec_cache.cli.main import fec
from tests.workspace_fixtures import BACKBONE


@pytest.fixture
def folder(place):
    (folder,) = (path for path in (place.folder / "cache").iterdir() if path.is_dir())
    return folder


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def pictures(place):
    return sorted(path for path in (place.folder / "data" / "images").rglob("*") if path.is_file())


def told(place, *words):
    return json.loads(place.ok("cache", *words, "--json").stdout)


def test_list_shows_every_cache_a_damaged_one_too(place, folder):
    text = place.ok("cache", "list").stdout
    (listed,) = told(place, "list")["caches"]
    precision = json.loads((folder / "recipe.json").read_text())["precision"]
    for word in (folder.name, f"{BACKBONE}:avgpool", "random:0", precision, "120", "ready"):
        assert word in text
    assert (listed["num_faces"], listed["num_failed"], listed["state"]) == (120, 0, "ready")
    assert listed["size_bytes"] == sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    flip(folder / "recipe.json")
    text = place.ok("cache", "list").stdout
    assert "damaged" in text
    assert "Run: fec cache repair" in text
    assert told(place, "list")["caches"][0]["error"]


def test_no_cache_is_told(empty):
    for name in ("list", "verify", "repair", "prune"):
        assert "contains no features yet. Run: fec extract" in empty.fails("cache", name)


def test_info_shows_recipe_shards_failures_and_runs(place, folder):
    text = place.ok("cache", "info").stdout
    for word in ("120 faces in 1 shard,", "crop.margin", "shards/00000.h5", "cpu", "random"):
        assert word in text
    found = told(place, "info", "mobilenet_v3_small:avgpool")
    assert found["fingerprint"][:8] == folder.name[-8:]
    assert found["recipe"]["backbone"] == "mobilenet_v3_small"
    assert [shard["rows"] for shard in found["shards"]] == [120]
    assert found["failures"] == {}
    assert len(found["runs"]) == 1
    assert "but not resnet18" in place.fails("cache", "info", "resnet18")


def test_info_tells_failures_by_reason_and_views_that_lag(place, folder):
    images = pictures(place)[:3]
    for path, content in zip(images, (b"", b"x", b"y"), strict=True):
        path.write_bytes(content)
        os.utime(path, (10**9, 10**9))
    place.ok("extract", "--backbone", "mobilenet_v3_small", "--weights", "random:0")
    # The empty and the two odd pictures are three faces of a new content.
    found = told(place, "info")
    assert sum(found["failures"].values()) == 3
    assert "is not a usable picture: no known picture format." in found["failures"]
    assert "Failures" in place.ok("cache", "info").stdout
    assert "lack the newest" not in place.ok("cache", "info").stdout


def test_damage_is_found_named_repaired_and_redone(place, folder):
    extract = ("extract", "--backbone", "mobilenet_v3_small", "--weights", "random:0")
    assert "sound" in place.ok("cache", "verify").stdout
    assert told(place, "verify")["is_sound"]
    flip(folder / "shards" / "00000.h5")
    flip(place.folder / "cache" / "images.index")
    result = place.run("cache", "verify")
    assert result.exit_code == 1
    assert f"{folder.name}/shards/00000.h5: Shard" in result.stdout
    assert "images.index: 1 damaged line (" in result.stdout
    result = place.run("cache", "verify", "--json")
    assert result.exit_code == 1
    assert [p["file"] for p in json.loads(result.stdout)["caches"][0]["problems"]] == [
        "shards/00000.h5"
    ]
    text = place.ok("cache", "repair").stdout
    assert "0 faces kept; 1 item dropped" in text
    assert "images.index: damaged lines dropped" in text
    assert told(place, "verify")["is_sound"]
    assert json.loads(place.ok(*extract, "--json").stdout)["num_computed"] == 120
    assert "nothing to repair" in place.ok("cache", "repair", folder.name).stdout


@pytest.mark.parametrize("name", ["all.h5", "all.npz", "all.parquet", "all"])
def test_export_writes_one_file_and_replaces_none(place, name):
    found = told(place, "export", "--out", name)
    assert (found["num_faces"], found["num_named"]) == (120, 120)
    assert found["format"] == {".npz": "npz", ".parquet": "parquet"}.get(name[3:], "hdf5")
    assert "or overwrite it with --force" in place.fails("cache", "export", "--out", name)
    place.ok("cache", "export", "--out", name, "--force")
    assert "faces.csv has an unknown suffix; expected .h5, .npz, .parquet, .hdf5" in (
        place.misused("cache", "export", "--out", "faces.csv")
    )


def test_export_needs_no_data_folder(place):
    result = place.ok("cache", "export", "--out", "all.h5", "--data", "none")
    assert "0 with image path and box" in result.stdout
    assert "Image paths and boxes are left empty" in result.stderr
    with h5py.File("all.h5") as file:
        assert file["features"].shape == (120, 576)


def test_prune_takes_leftovers_unused_faces_and_whole_caches(place, folder):
    (folder / "shards" / "00007.h5").write_bytes(b"12345")
    assert (
        "1 leftover file and 0 unused faces would be removed, 5 B"
        in place.ok("cache", "prune", "--dry-run").stdout
    )
    assert told(place, "prune")["caches"][0]["files"] == ["shards/00007.h5"]
    train = place.folder / "data" / "train.csv"
    train.write_text("".join(train.read_text().splitlines(keepends=True)[:4]))
    assert "Nothing was deleted" in place.fails("cache", "prune", "--unused")
    going = told(place, "prune", "--unused", "--dry-run")["caches"][0]["num_faces"]
    assert told(place, "prune", "--unused", "--yes")["caches"][0]["num_faces"] == going > 0
    assert told(place, "info")["num_faces"] == 120 - going
    assert told(place, "verify")["is_sound"]
    test = (place.folder / "data" / "test.csv").read_text()
    next(path for path in pictures(place) if path.name in test).unlink()
    assert "so their features cannot be identified" in place.fails(
        "cache", "prune", "--unused", "--yes"
    )
    assert place.run("cache", "prune", "--whole", "--yes").exit_code == 2
    assert (
        "would be deleted" in place.ok("cache", "prune", "--whole", folder.name, "--dry-run").stdout
    )
    refused = CliRunner().invoke(fec, ["cache", "prune", "--whole", folder.name], input="n\n")
    assert refused.exit_code == 1
    assert folder.exists()
    agreed = CliRunner().invoke(fec, ["cache", "prune", "--whole", folder.name], input="y\n")
    assert agreed.exit_code == 0
    assert not folder.exists()


def test_a_read_only_cache_folder_still_serves(place, folder):
    place.ok("evaluate", "--json")
    everything = [place.folder / "cache", *(place.folder / "cache").rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        place.ok("evaluate", "--json")
        place.ok("train-head", "--epochs", "1", "--name", "again", "--device", "cpu")
        assert told(place, "verify")["is_sound"]
    finally:
        for path in everything:
            path.chmod(0o755)


def test_help_lists_whole_sentences():
    text = CliRunner().invoke(fec, ["--help"]).output + CliRunner().invoke(fec, ["cache"]).output
    listed = text.replace("[ARGS]...", "")
    assert "..." not in listed
    words = " ".join(text.split())
    assert "on the same test triplets." in words
    assert "the recipe as attributes." in words


def test_list_tells_mirrored_features_apart(place):
    place.ok("extract", "--backbone", BACKBONE, "--weights", "random:0", "--flip", "on")
    labels = sorted(one["label"] for one in told(place, "list")["caches"])
    assert labels == [f"{BACKBONE}:avgpool", f"{BACKBONE}:avgpool mirrored"]

"""Caches in a list, one by one, and after a check: what people and machines are shown."""

import pytest

from fec_cache.cache.cache import FeatureCache
from fec_cache.cache.maintenance.verify import Finding, VerifyReport, verify_cache
from fec_cache.errors import CacheNotFound
from fec_cache.system.reporter import Table
from fec_cache.testing import toy
from fec_cache.workflows.caches.inspection import (
    describe,
    list_summaries,
    summarize,
    verified_report,
)


@pytest.fixture
def folder(tmp_path):
    """A cache of five faces in two shards; the picture of a sixth is damaged."""
    images = tmp_path / "images"
    refs = toy.write_pictures(images, range(6))
    (images / "0005.png").write_bytes(b"no picture")
    toy.run_toy(tmp_path / "cache", images, toy.identify(images, refs))
    return tmp_path / "cache" / toy.toy_recipe().folder_name


def test_a_cache_in_a_list(folder):
    report = list_summaries(folder.parent)
    (table,) = report.parts
    assert table.title == f"1 in {folder.parent}"
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["cache"] == folder.name
    assert (row["features"], row["faces"], row["failed"]) == ("toy:avgpool", "5", "1")
    assert (row["precision"], row["state"]) == ("fp32", "ready")
    (fields,) = report.fields["caches"]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert fields["size_bytes"] == sum(path.stat().st_size for path in files)
    assert report.is_well


def test_a_damaged_cache_is_listed_with_its_error(folder):
    (folder / "recipe.json").write_text("{")
    table, error = list_summaries(folder.parent).parts
    assert table.rows[0][0] == folder.name
    assert table.rows[0][4:6] == ["", ""]
    assert table.rows[0][-1] == "damaged"
    assert "recipe.json" in error


def test_a_folder_without_caches_names_the_command(tmp_path):
    with pytest.raises(CacheNotFound, match="Run: fec extract"):
        list_summaries(tmp_path)


def test_the_state_follows_the_shards(folder):
    (folder / "shards" / "00000.h5").unlink()
    assert summarize(folder).state == "shards missing"


def test_one_cache_is_described_with_its_failures(folder):
    report = describe(FeatureCache.open(folder))
    tables = {part.title: part for part in report.parts if isinstance(part, Table)}
    lines = [part for part in report.parts if isinstance(part, str)]
    assert lines[0].startswith(f"{folder}: 5 faces in 2 shards, ")
    assert lines[0].endswith(", 1 face failed; ready")
    assert "  crop.margin        0.1" in lines
    assert [row[:3] for row in tables["Shards"].rows] == [
        ["shards/00000.h5", "4", "0"],
        ["shards/00001.h5", "1", "1"],
    ]
    assert tables["Failures"].rows == [["is not a usable picture: no known picture format.", "1"]]
    assert len(tables["Runs that computed something"].rows) == 1
    assert report.fields["fingerprint"] == toy.toy_recipe().fingerprint
    assert [shard["rows"] for shard in report.fields["shards"]] == [4, 1]


def test_a_sound_cache_is_verified(folder):
    report = verified_report([verify_cache(folder)], [])
    assert report.is_well
    assert report.fields["is_sound"]
    assert report.parts[0].rows == [[folder.name, "2", "5", "sound"]]


def test_damage_and_remarks_are_listed_apart(tmp_path):
    checked = VerifyReport(
        tmp_path / "toy", 2, 5, (Finding("shards/00000.h5", "bad"),), (Finding("x.tmp", "left"),)
    )
    report = verified_report([checked], [Finding("images.index", "1 damaged line")])
    table, *lines = report.parts
    assert table.rows == [["toy", "2", "5", "1 damaged"]]
    assert lines == [
        "Damaged:",
        "  toy/shards/00000.h5: bad",
        "  images.index: 1 damaged line",
        "Remarks:",
        "  toy/x.tmp: left",
        "Run `fec cache repair`, then the same `fec extract` as before.",
    ]
    assert not report.is_well
    assert report.fields["index"] == [{"file": "images.index", "what": "1 damaged line"}]

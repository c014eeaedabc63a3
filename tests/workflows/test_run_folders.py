"""What lies in a run's folder belongs together, or is refused by name."""

import json
import shutil

import pytest

from fec_cache.runs.config import load_config


def test_a_search_does_not_take_the_name_of_a_trained_head(measured):
    folder = measured.folder / "runs" / "first"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    words = ("grid-search", "--epochs", "1", "--head", "embedding", "--name", "first")
    result = measured.run(*words)
    assert result.exit_code == 1
    assert "contains a trained head that was not made by a search" in result.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


DAMAGES = {
    "no object": lambda fields: [],
    "data is a list": lambda fields: {**fields, "data": []},
    "a fraction of a unit": lambda fields: {**fields, "head": {**fields["head"], "hidden": [1.5]}},
    "hidden is a number": lambda fields: {**fields, "head": {**fields["head"], "hidden": 256}},
    "a number as text": lambda fields: {**fields, "train": {**fields["train"], "lr": "0.001"}},
    "a rate below zero": lambda fields: {**fields, "train": {**fields["train"], "lr": -1}},
    "true for a number": lambda fields: {**fields, "train": {**fields["train"], "epochs": True}},
    "an unknown field": lambda fields: {**fields, "head": {**fields["head"], "colour": "red"}},
    "no recipes": lambda fields: {**fields, "recipes": []},
    "a recipe too many": lambda fields: {**fields, "recipes": fields["recipes"] * 2},
    "another crop": lambda fields: {
        **fields,
        "recipes": [{**fields["recipes"][0], "crop": {"input_size": 96}}],
    },
    "recipe is text": lambda fields: {**fields, "recipes": ["resnet18"]},
    "another fingerprint": lambda fields: {**fields, "fingerprints": ["0" * 64]},
    "a version to come": lambda fields: {**fields, "format_version": 99},
    "no version": lambda fields: {k: v for k, v in fields.items() if k != "format_version"},
    "a version as text": lambda fields: {**fields, "format_version": "2"},
    "blocks of other widths": lambda fields: {
        **fields,
        "head": {**fields["head"], "blocks": [1, 2]},
    },
    "files is a list": lambda fields: {**fields, "files": []},
    "pairs missing": lambda fields: {k: v for k, v in fields.items() if k != "pairs"},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_configuration_is_refused_by_name(place, damage):
    path = place.folder / "runs" / "first" / "config.json"
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    line = place.fails("evaluate", "--run", "first")
    assert "first/config.json cannot be read as a run's configuration" in line
    assert "Train the head again." in line


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{", b"[" * 100_000, b"null", b"3"])
def test_a_configuration_of_any_bytes_is_refused_by_name(place, content):
    (place.folder / "runs" / "first" / "config.json").write_bytes(content)
    assert "cannot be read as a run's configuration" in place.fails("report", "--run", "first")


def test_a_configuration_of_format_version_1_is_read(place):
    path = place.folder / "runs" / "first" / "config.json"
    fields = json.loads(path.read_text())
    wanted = load_config(path.parent)
    (recipe,), (fingerprint,) = fields.pop("recipes"), fields.pop("fingerprints")
    del fields["files"], fields["head"]["blocks"]
    old = {**fields, "format_version": 1, "recipe": recipe, "fingerprint": fingerprint}
    path.write_text(json.dumps(old))
    assert load_config(path.parent) == wanted
    place.ok("evaluate", "--run", "first")


def test_a_head_of_the_same_shape_from_another_run_is_refused(place):
    """What a kill between two writes of two runs under one name would leave."""
    place.ok("train-head", "--epochs", "3", "--seed", "9", "--name", "other")
    other, first = (place.folder / "runs" / name for name in ("other", "first"))
    shutil.copy(other / "head.safetensors", first / "head.safetensors")
    line = place.fails("evaluate", "--run", "first")
    assert "its sha256 differs" in line


def test_a_kill_between_two_writes_leaves_no_run(place, monkeypatch):
    """Every write of a run is the last one in turn; none leaves a head that loads wrongly."""
    from fec_cache.runs import checkpoint

    folder = place.folder / "runs" / "first"
    write = checkpoint.write_atomically
    for limit in range(5):
        written = []

        def until(path, content, written=written, limit=limit):
            if len(written) == limit:
                raise KeyboardInterrupt
            written.append(path.name)
            write(path, content)

        monkeypatch.setattr(checkpoint, "write_atomically", until)
        result = place.run("train-head", "--epochs", "1", "--seed", str(limit), "--name", "first")
        assert result.exit_code == 130, result.output
        assert not (folder / "config.json").exists()
    monkeypatch.undo()
    monkeypatch.chdir(place.folder)
    assert "has no trained head" in place.fails("evaluate")


def test_damaged_lists_of_faces_do_not_switch_the_leak_check_off(place):
    path = place.folder / "runs" / "first" / "train_faces.txt"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole + b"x", whole.upper()):
        path.write_bytes(content)
        assert "train_faces.txt does not fit its config.json" in place.fails("evaluate")
    path.unlink()
    assert "train_faces.txt is missing" in place.fails("evaluate")

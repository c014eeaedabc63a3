"""Making sets: drawn faces, labelled pictures."""

import dataclasses
import json
from pathlib import Path

from fec_cache.datasets.labelled.import_folder import FolderSummary
from fec_cache.datasets.synthetic.config import SyntheticConfig
from fec_cache.testing.recording import RecordingReporter
from fec_cache.workflows.datasets import ImportOutcome, synthesize
from tests.workflows.commands import rows_of
from tests.workspace_fixtures import BACKBONE


def test_import_folder_by_folders_and_the_rest_of_the_chain(place):
    truth = rows_of(place.folder / "data" / "truth.csv")
    for number, row in enumerate(truth):
        source = place.folder / "data" / "images" / row["image"]
        target = place.folder / "labelled" / row["emotion_class"] / f"{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    (place.folder / "labelled" / "notes.txt").write_text("no picture")
    result = place.ok("import-folder", "labelled", "--out", "own", "--json")
    found = json.loads(result.stdout)
    assert found["num_seen"] == len(truth) + 1 == found["num_faces"] + found["num_rejected"]
    folders = ("--data", "own", "--cache", "own-cache")
    place.ok("extract", *folders, "--backbone", BACKBONE, "--weights", "random:0")
    place.ok("train-head", *folders, "--runs", "own-runs", "--epochs", "1")
    text = place.ok("evaluate", *folders, "--runs", "own-runs").output
    assert "made from labels" in text


def test_a_synthetic_set_in_words_and_on_disk(tmp_path):
    reporter = RecordingReporter()
    outcome = synthesize(tmp_path / "drawn", SyntheticConfig(faces=36, triplets=20), reporter)
    made = outcome.summary
    assert len(list((tmp_path / "drawn" / "images").rglob("*.jpg"))) == made.num_images
    assert made.num_train_triplets + made.num_test_triplets == 20
    first, second, third = outcome.in_words().splitlines()
    assert first.startswith(f"{tmp_path / 'drawn'}: 36 synthetic faces of ")
    assert f"{100 * made.agreement:.1f} %" in second
    assert third == f"Truth behind every face: {tmp_path / 'drawn' / 'truth.csv'}"
    assert outcome.to_dict()["num_faces"] == 36
    assert reporter.steps[-1][:3] == ("Drawing", 36, 36)


def test_an_imported_set_in_words():
    summary = FolderSummary(Path("own"), 12, 9, 3, 2, {"joy": 5, "fear": 4}, 20, 1, 1)
    assert ImportOutcome(summary).in_words().splitlines() == [
        "own: 9 faces (joy 5, fear 4) of 2 people, 20 training and 1 test triplet, made from "
        "labels",
        "1 face in no triplet",
        "3 of 12 pictures not used: see own/rejected.csv",
    ]
    plain = dataclasses.replace(summary, num_identities=0, num_unused=0, num_rejected=0)
    (line,) = ImportOutcome(plain).in_words().splitlines()
    assert "of unknown people" in line

"""Making sets: drawn faces, labelled pictures."""

import json

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

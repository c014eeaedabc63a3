"""Every stage by its command, on a small synthetic set, values checked against the library."""

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from fec_cache.cache.catalogue import select_cache
from fec_cache.heads.scoring import pair_logits, probability_of
from fec_cache.runs.checkpoint import load_head
from tests.workspace_fixtures import BACKBONE, NUM_FACES

HEADS = ("--head", "embedding,concat", "--hidden", "16", "--loss", "bce")
GRID = (*HEADS, "--lr", "1e-3", "--epochs", "2")


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_extract_again_computes_nothing(place):
    result = place.ok("extract", "--backbone", BACKBONE, "--weights", "random:0", "--json")
    found = json.loads(result.stdout)
    assert found["num_cached"] == NUM_FACES
    assert found["num_computed"] == found["num_failed"] == found["num_missing"] == 0


def test_every_row_is_used_or_reported(place):
    path = place.folder / "data" / "train.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, "garbage,row", lines[0].replace("_CLASS_", "_KIND_")]))
    result = place.ok("extract", "--backbone", BACKBONE, "--weights", "random:0", "--json")
    found = json.loads(result.stdout)
    assert found["rejected_rows"] == 2
    rejected = rows_of(select_cache(place.folder / "cache").folder / "rejected.csv")
    assert [row["line"] for row in rejected] == [str(len(lines) + 1), str(len(lines) + 2)]
    result = place.ok("train-head", "--epochs", "1")
    assert f"train.csv: {len(lines) + 2} rows" in result.output
    assert "2 rejected" in result.output
    assert len(rows_of(place.folder / "runs" / "rejected-train.csv")) == 2


def test_features_table_is_one_hdf5_table(place):
    cache = select_cache(place.folder / "cache", BACKBONE)
    with h5py.File(cache.folder / "features.h5") as file:
        assert file["features"].shape == (NUM_FACES, cache.recipe.width)
        np.testing.assert_array_equal(file["features"][:], cache.load().features)


def test_random_weights_are_named_in_every_output(place):
    picture = str(next((place.folder / "data" / "images" / "test").glob("*.jpg")))
    for words in (
        ("train-head", "--epochs", "1"),
        ("grid-search", *GRID),
        ("evaluate",),
        ("predict", picture, picture, "--json"),
    ):
        assert "random:0" in place.ok(*words).output, words
    page = place.ok("report", "--out", "page.html")
    assert page.exit_code == 0
    assert "random:0" in (place.folder / "page.html").read_text()


def test_train_head_without_options_is_the_original_recipe(place):
    place.ok("train-head", "--epochs", "1", "--name", "plain")
    config = json.loads((place.folder / "runs" / "plain" / "config.json").read_text())
    assert config["head"]["head"] == "concat"
    assert config["head"]["hidden"] == [256]
    assert config["head"]["dropout"] == 0.0
    wanted = {"lr": 1e-3, "batch_size": 32, "loss": "bce", "optimizer": "adam", "weight_decay": 0}
    assert {name: config["train"][name] for name in wanted} == wanted
    from fec_cache.training.config import TrainConfig

    assert TrainConfig().epochs == 20


def test_same_seed_same_bytes(place):
    for name in ("one", "two"):
        place.ok("train-head", "--epochs", "2", "--name", name, "--device", "cpu")
    one, two = (place.folder / "runs" / name / "head.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_grid_search_resumes_ranks_and_keeps_the_best(place):
    first = place.ok("grid-search", *GRID, "--name", "grid")
    assert "2 points, 0 of them done before; expected time" in first.output
    again = place.ok("grid-search", *GRID, "--name", "grid", "--json")
    ranked = json.loads(again.stdout)["ranked"]
    folder = place.folder / "runs" / "grid"
    rows = rows_of(folder / "results.csv")
    assert [row["head"] for row in rows] == [entry["head"] for entry in ranked]
    accuracies = [float(row["val_triplet_accuracy"]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["val_triplet_accuracy"] == accuracies[0]
    assert 0.0 <= metrics["val_calibration_error"] < 0.2
    assert load_head(folder)[1].head.head == rows[0]["head"]
    wider = place.ok("grid-search", *GRID, "--name", "grid", "--seed", "0,1")
    assert "4 points (2 seeds each), 2 of them done before" in wider.output


def test_evaluate_writes_what_it_prints(place):
    result = place.ok("evaluate", "--run", "first", "--json")
    found = json.loads(result.stdout)
    written = json.loads((place.folder / "runs" / "first" / "evaluation.json").read_text())
    assert {**found, "warnings": written["warnings"]} == written
    assert set(written["warnings"]) < set(found["warnings"])  # random weights are warned of, too
    groups = found["triplets"]
    assert sum(groups[name]["num_triplets"] for name in groups) == 2 * groups["all"]["num_triplets"]
    assert groups["all"]["low"] <= groups["all"]["accuracy"] <= groups["all"]["high"]
    assert 0.7 < groups["all"]["rater_accuracy"] < 1
    assert found["pairs"]["base_rate"] == pytest.approx(1 / 3)
    text = place.ok("evaluate", "--run", "first").output
    assert f"{100 * groups['all']['accuracy']:.1f} %" in text
    assert "synthetic set" in text


def test_predict_equals_the_cached_features(place):
    """A test face's picture gives the probability that its cached feature gives."""
    cache = select_cache(place.folder / "cache", BACKBONE)
    matrix = cache.load()
    first_line = (place.folder / "data" / "test.csv").read_text().splitlines()[0]
    row = next(csv.reader([first_line]))
    from fec_cache.datasets.annotations import FaceRef
    from fec_cache.faces.digests import ImageDigests
    from fec_cache.faces.table import identify_faces

    refs = [FaceRef(row[i], *map(float, row[i + 1 : i + 5])) for i in (0, 5)]
    images = place.folder / "data" / "images"
    ids = identify_faces(refs, images, ImageDigests(place.folder / "cache")).ids()
    rows = matrix.rows()
    a, b = (matrix.features[[rows[ids[ref]]]] for ref in refs)
    head, _ = load_head(place.folder / "runs" / "first")
    wanted = probability_of(head, pair_logits(head, a, b))[0]
    words = [str(images / ref.image) for ref in refs]
    boxes = [w for ref in refs for w in ("--box", ",".join(map(str, ref.box)))]
    found = json.loads(place.ok("predict", *words, *boxes, "--run", "first", "--json").stdout)
    assert found["probability_similar"] == pytest.approx(wanted, abs=2e-3)
    assert found["verdict"] == ("similar" if wanted >= found["threshold"] else "different")


def test_report_of_an_unevaluated_grid_and_without_test_split(place):
    place.ok("grid-search", *GRID, "--name", "grid")
    place.ok("report", "--run", "grid")
    page = (place.folder / "runs" / "grid" / "report.html").read_text()
    assert "data:image/jpeg" in page
    (place.folder / "data" / "test.csv").unlink()
    result = place.ok("report", "--run", "grid", "--out", "half.html")
    assert "no test figures" in result.stderr
    page = (place.folder / "half.html").read_text()
    assert "fec evaluate" in page
    assert "<b>Note:</b> The report has no test figures: " in page


def test_heads_train_without_the_images(place):
    """Annotations and cache are enough: the images may be on another machine."""
    (place.folder / "data" / "images").rename(place.folder / "elsewhere")
    result = place.ok("train-head", "--epochs", "1")
    assert "used" in result.output


def test_several_layers_in_one_pass(place):
    words = ("--backbone", BACKBONE, "--weights", "random:0", "--layer", "layer3,layer3:grid4")
    place.ok("extract", *words)
    cache = place.folder / "cache"
    pooled = select_cache(cache, f"{BACKBONE}:layer3").load()
    grid = select_cache(cache, f"{BACKBONE}:layer3:grid4").load()
    assert pooled.face_ids == grid.face_ids
    cells = grid.features.reshape(len(grid.features), -1, 4, 4).astype(np.float32)
    # An odd-sized map is pooled in overlapping cells, so the means agree only roughly.
    assert np.corrcoef(cells.mean((2, 3)).ravel(), pooled.features.ravel())[0, 1] > 0.95
    result = place.run("train-head", "--features", BACKBONE)
    assert result.exit_code == 1
    assert "several caches that match" in result.stderr


def test_features_decoded_on_a_gpu_are_gone_on_with_and_asked_without_one(place):
    words = ("extract", "--backbone", BACKBONE, "--weights", "random:0", "--device", "cpu")
    result = place.ok(*words, "--decode", "gpu", "--json")
    assert "JPEGs are decoded at full size on the CPU: nvJPEG cannot be used" in result.stderr
    (folder,) = json.loads(result.stdout)["caches"]
    recipe = json.loads((Path(folder) / "recipe.json").read_text())
    assert recipe["crop"]["decode"] == "gpu"
    # Another word, another cache; the usual one was there before.
    (usual,) = json.loads(place.ok(*words, "--json").stdout)["caches"]
    assert usual != folder
    place.ok("train-head", "--features", Path(folder).name, "--epochs", "2", "--name", "gpu")
    first, second = sorted(Path("data/images/test").iterdir())[:2]
    said = place.ok("predict", str(first), str(second), "--run", "gpu", "--device", "cpu", "--json")
    assert 0.0 <= json.loads(said.stdout)["probability_similar"] <= 1.0


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

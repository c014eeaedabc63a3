"""`fec evaluate` and `fec compare`: what they refuse, what they write, and what they say."""

import csv
import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fec_cache.cache.matrix import FeatureMatrix
from tests.workspace_fixtures import NUM_TRIPLETS


def truth_rows(place):
    with (place.folder / "data" / "truth.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_truth(place, rows):
    with (place.folder / "data" / "truth.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def evaluation(place, *words):
    return json.loads(place.ok("evaluate", "--run", "first", "--json", *words).stdout)


def test_people_seen_in_training_are_refused_though_no_face_was(place):
    """The truth says that one test person is a person of training."""
    rows = truth_rows(place)
    name = next(row["identity"] for row in rows if row["split"] == "train")
    other = next(row["identity"] for row in rows if row["split"] == "test")
    for row in rows:
        row["identity"] = name if row["identity"] == other else row["identity"]
    write_truth(place, rows)
    line = place.fails("evaluate", "--run", "first")
    assert f"Error: 1 person ({name}) of the test split already seen in training by first" in line
    found = evaluation(place, "--allow-overlap")
    assert (found["num_overlap"], found["num_overlapping_people"]) == (0, 1)
    assert "WERE SEEN IN TRAINING" in place.ok("evaluate", "--allow-overlap").output
    card = (place.folder / "runs" / "first" / "model_card.md").read_text()
    assert "WERE SEEN IN TRAINING" in card
    assert "1 person" in place.fails("compare", "first", "first")
    assert "WERE SEEN" in place.ok("compare", "first", "first", "--allow-overlap").output


def leak_ten_faces(place):
    """Ten training faces take the first place of ten test triplets; nobody knows any people."""
    (place.folder / "data" / "truth.csv").unlink()
    lines = {}
    for split in ("train", "test"):
        text = (place.folder / "data" / f"{split}.csv").read_text(encoding="utf-8")
        lines[split] = list(csv.reader(text.splitlines()))
    faces = list(dict.fromkeys(tuple(row[:5]) for row in lines["train"]))[:10]
    for row, face in zip(lines["test"], faces, strict=False):
        row[:5] = face
    with (place.folder / "data" / "test.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines["test"])


def test_a_leak_of_ten_faces_is_refused_with_the_count_and_told_where_one_insists(place):
    leak_ten_faces(place)
    told = "10 faces of the test split already seen in training by first"
    for words in (("evaluate",), ("report",), ("compare", "first", "first")):
        assert told in place.fails(*words)
        assert "--allow-overlap" in place.fails(*words)
    assert not (place.folder / "runs" / "first" / "evaluation.json").exists()
    found = evaluation(place, "--allow-overlap")
    assert (found["num_overlap"], found["num_overlapping_people"]) == (10, 0)
    shouted = "10 faces of the test split WERE SEEN IN TRAINING"
    assert shouted in place.ok("evaluate", "--allow-overlap").output
    assert shouted in place.ok("compare", "first", "first", "--allow-overlap").output
    assert shouted in (place.folder / "runs" / "first" / "model_card.md").read_text()
    place.ok("report", "--out", "page.html", "--allow-overlap")
    assert shouted in (place.folder / "page.html").read_text(encoding="utf-8")


def test_rivals_of_the_report_must_not_have_seen_test_faces_either(place):
    place.ok("train-head", "--epochs", "1", "--name", "honest")
    faces = place.folder / "runs" / "first" / "train_faces.txt"
    config = place.folder / "runs" / "first" / "config.json"
    tested = evaluation_faces(place)
    faces.write_text(faces.read_text() + tested + "\n")
    fields = json.loads(config.read_text())
    fields["files"]["train_faces.txt"] = hashlib.sha256(faces.read_bytes()).hexdigest()
    config.write_text(json.dumps(fields))
    line = place.fails("report", "--run", "honest", "--against", "first")
    assert "1 face and 1 person" in line


def evaluation_faces(place):
    """The id of one test face."""
    from fec_cache.datasets.annotations import read_annotations
    from fec_cache.faces.digests import ImageDigests
    from fec_cache.faces.table import identify_faces, unique_refs

    triplets = read_annotations(place.folder / "data" / "test.csv").triplets
    images = place.folder / "data" / "images"
    found = identify_faces(unique_refs(triplets), images, ImageDigests(place.folder / "cache"))
    return next(iter(found.ids().values()))


@pytest.mark.parametrize("command", [("evaluate",), ("compare", "first", "first"), ("report",)])
def test_features_that_are_no_numbers_are_refused_by_every_command(place, monkeypatch, command):
    load = FeatureMatrix.__init__

    def spoil(self, face_ids, features, num_incomplete=0):
        load(self, face_ids, np.full_like(features, np.nan), num_incomplete)

    monkeypatch.setattr(FeatureMatrix, "__init__", spoil)
    assert "features that are not finite" in place.fails(*command)


@pytest.mark.parametrize("command", [("evaluate",), ("compare", "first", "first"), ("report",)])
def test_a_head_that_answers_no_numbers_is_refused_by_every_command(place, command):
    folder = place.folder / "runs" / "first"
    weights = load_file(folder / "head.safetensors")
    name = next(name for name in weights if name.endswith("weight"))
    save_file({**weights, name: weights[name] * np.nan}, folder / "head.safetensors")
    fields = json.loads((folder / "config.json").read_text())
    digest = hashlib.sha256((folder / "head.safetensors").read_bytes()).hexdigest()
    fields["files"]["head.safetensors"] = digest
    (folder / "config.json").write_text(json.dumps(fields))
    assert "Train the head again" in place.fails(*command)


def test_json_is_complete_and_the_card_agrees_with_it(place):
    found = evaluation(place)
    for name in ("triplets", "macro_average", "pairs", "calibration", "identity", "intervals"):
        assert found[name] is not None, name
    overall = found["triplets"]["all"]
    wanted = {"accuracy", "low", "high", "stderr", "floor", "ceiling", "rater_accuracy"}
    assert wanted <= set(overall)
    assert overall["floor"] < overall["rater_accuracy"] <= 1
    assert overall["vote_entropy"] < overall["vote_log_loss"]
    assert sum(found["calibration"]["counts"]) == found["pairs"]["num_pairs"]
    assert found["pairs"]["num_pairs"] == 3 * overall["num_triplets"]
    counts = found["row_counts"]
    assert counts["num_rows"] == counts["num_used"] + counts["num_ties"]
    card = (place.folder / "runs" / "first" / "model_card.md").read_text()
    for told in ("## Data", "## Recipe", "## Figures", "## Limits", "## Intended use"):
        assert told in card
    assert f"{100 * overall['accuracy']:.1f} %" in card
    assert found["test_digest"] in card
    assert "random:0" in card
    assert "No test face was seen in training" in card


def test_a_set_without_labels_has_no_figures_by_person(place):
    (place.folder / "data" / "truth.csv").unlink()
    found = evaluation(place)
    assert found["identity"] is None
    assert found["intervals"]["redrawn"] == "faces"


def test_all_test_triplets_count_whatever_a_head_was_trained_on(place):
    everything = evaluation(place)["triplets"]["all"]["num_triplets"]
    place.ok("train-head", "--epochs", "1", "--min-agreement", "0.99", "--name", "strict")
    found = json.loads(place.ok("evaluate", "--run", "strict", "--json").stdout)
    assert found["triplets"]["all"]["num_triplets"] == everything
    assert found["trained_with_min_agreement"] == 0.99
    assert 0 < found["agreed"]["num_triplets"] < everything
    assert found["agreed"]["vote_entropy"] == pytest.approx(0.0, abs=1e-6)
    text = place.ok("evaluate", "--run", "strict").output
    assert "agreement from 99%" in text
    card = (place.folder / "runs" / "strict" / "model_card.md").read_text()
    assert "Training used triplets of at least 99% agreement" in card


def test_a_mostly_missing_test_set_is_told(place):
    images = sorted((place.folder / "data" / "images" / "test").glob("*.jpg"))
    for image in images[: len(images) // 2]:
        image.unlink()
    result = place.ok("evaluate", "--run", "first")
    counts = json.loads((place.folder / "runs/first/evaluation.json").read_text())["row_counts"]
    missing, rows = counts["num_without_feature"], counts["num_rows"]
    assert missing > rows / 2
    assert f"{missing} of {rows} test triplets" in result.stderr
    assert "compare only with figures on the same ones" in result.stderr


def test_the_original_recipe_stands_beside_another_head(place):
    for seed in ("0", "1"):
        place.ok("train-head", "--seed", seed, "--name", f"plain-{seed}")
    place.ok("train-head", "--head", "embedding", "--epochs", "2", "--name", "other")
    found = json.loads(place.ok("evaluate", "--run", "other", "--json").stdout)
    assert found["baseline"]["runs"] == ["plain-0", "plain-1"]
    plain = [
        json.loads(place.ok("evaluate", "--run", f"plain-{seed}", "--json").stdout)
        for seed in ("0", "1")
    ]
    mean = sum(one["triplets"]["all"]["accuracy"] for one in plain) / 2
    assert found["baseline"]["triplets"]["all"]["accuracy"] == pytest.approx(mean)
    difference = found["triplets"]["all"]["accuracy"] - mean
    assert found["baseline"]["this_head"]["difference"] == pytest.approx(difference)
    assert plain[0]["baseline"] is None
    text = place.ok("evaluate", "--run", "other").output
    assert "Compared with the original recipe, 2 seeds:" in text
    compared = json.loads(place.ok("compare", "other", "plain-*", "--json").stdout)
    overall = compared["triplets"]["all"]
    assert overall["difference"] == pytest.approx(difference)
    assert overall["stderr"] == pytest.approx(found["baseline"]["this_head"]["stderr"])
    assert compared["b"] == ["plain-0", "plain-1"]
    assert place.ok("compare", "other", "plain-0,plain-1").output.count("plain-1") == 1


def test_a_head_compared_with_itself_and_with_none(place):
    found = json.loads(place.ok("compare", "first", "first", "--json").stdout)
    assert found["triplets"]["all"]["difference"] == 0
    assert found["triplets"]["all"]["mcnemar_p"] == 1
    assert found["triplets"]["all"]["num_triplets"] <= NUM_TRIPLETS
    assert "no difference on" in place.ok("compare", "first", "first").output
    assert "There is no run 'nope'" in place.fails("compare", "first", "nope")
    assert "No run in runs matches 'best-*'" in place.fails("compare", "first", "best-*")
    place.ok("train-head", "--epochs", "1", "--name", "second")
    wrong = place.run("compare", "first,second", "second")
    assert wrong.exit_code == 2
    assert "share a run" in wrong.stderr


def test_heads_on_caches_of_different_faces_are_compared_on_common_triplets(place):
    image = sorted((place.folder / "data" / "images" / "test").glob("*.jpg"))[0]
    hidden = image.rename(place.folder / "hidden.jpg")
    words = ("extract", "--backbone", "mobilenet_v3_small", "--weights", "random:1")
    place.ok(*words, "--device", "cpu")
    hidden.rename(image)
    names = [p.parent.name for p in (place.folder / "cache").glob("*/recipe.json")]
    config = json.loads((place.folder / "runs" / "first" / "config.json").read_text())
    print_of = config["fingerprints"][0][:8]
    features = next(name for name in names if not name.endswith(print_of))
    place.ok("train-head", "--epochs", "1", "--features", features, "--name", "partial")
    everything = json.loads(place.ok("compare", "first", "first", "--json").stdout)
    found = json.loads(place.ok("compare", "first", "partial", "--json").stdout)
    used = json.loads(place.ok("evaluate", "--run", "partial", "--json").stdout)
    assert found["num_left_out"] > 0
    overall = found["triplets"]["all"]["num_triplets"]
    assert overall == used["triplets"]["all"]["num_triplets"]
    assert overall + found["num_left_out"] == everything["triplets"]["all"]["num_triplets"]
    assert "triplets left out: features for one of them only" in (
        place.ok("compare", "partial", "first").output
    )

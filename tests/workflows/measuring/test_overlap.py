"""Heads that have seen test faces or people are refused; what is missing is said."""

import csv
import hashlib
import json


def evaluation(place, *words):
    return json.loads(place.ok("evaluate", "--run", "first", "--json", *words).stdout)


def truth_rows(place):
    with (place.folder / "data" / "truth.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_truth(place, rows):
    with (place.folder / "data" / "truth.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


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


def evaluation_faces(place):
    """The id of one test face."""
    from fec_cache.datasets.annotations import read_annotations
    from fec_cache.faces.digests import ImageDigests
    from fec_cache.faces.table import identify_faces, unique_refs

    triplets = read_annotations(place.folder / "data" / "test.csv").triplets
    images = place.folder / "data" / "images"
    found = identify_faces(unique_refs(triplets), images, ImageDigests(place.folder / "cache"))
    return next(iter(found.ids().values()))


def test_people_seen_in_training_are_refused_though_no_face_was(place):
    """The truth says that one test person is a person of training."""
    rows = truth_rows(place)
    name = next(row["identity"] for row in rows if row["split"] == "train")
    other = next(row["identity"] for row in rows if row["split"] == "test")
    for row in rows:
        row["identity"] = name if row["identity"] == other else row["identity"]
    write_truth(place, rows)
    line = place.fails("evaluate", "--run", "first")
    assert f"Error: first has seen 1 person ({name}) of the test split in training" in line
    found = evaluation(place, "--allow-overlap")
    assert (found["num_overlap"], found["num_overlapping_people"]) == (0, 1)
    assert "WERE SEEN IN TRAINING" in place.ok("evaluate", "--allow-overlap").output
    card = (place.folder / "runs" / "first" / "model_card.md").read_text()
    assert "WERE SEEN IN TRAINING" in card
    assert "1 person" in place.fails("compare", "first", "first")
    assert "WERE SEEN" in place.ok("compare", "first", "first", "--allow-overlap").output


def test_a_leak_of_ten_faces_is_refused_with_the_count_and_told_where_one_insists(place):
    leak_ten_faces(place)
    told = "first has seen 10 faces of the test split in training"
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


def test_a_mostly_missing_test_set_is_told(place):
    images = sorted((place.folder / "data" / "images" / "test").glob("*.jpg"))
    for image in images[: len(images) // 2]:
        image.unlink()
    result = place.ok("evaluate", "--run", "first")
    counts = json.loads((place.folder / "runs/first/evaluation.json").read_text())["row_counts"]
    missing, rows = counts["num_without_feature"], counts["num_rows"]
    assert missing > rows / 2
    assert f"{missing} of {rows} test triplets" in result.stderr
    assert "only be compared with figures on the same triplets" in result.stderr

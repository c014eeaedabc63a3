import csv
import hashlib
import json
from collections import defaultdict

import numpy as np
import pytest
from PIL import Image

from fec_cache.datasets.annotations import read_annotations
from fec_cache.datasets.synthetic.config import SyntheticConfig
from fec_cache.datasets.synthetic.dataset import synthesize
from fec_cache.datasets.synthetic.emotions import EMOTIONS, UNIT_NAMES
from fec_cache.errors import BadOption, OutputExists

SMALL = SyntheticConfig(faces=90, triplets=240, seed=3)
NAMES = {"ONE_CLASS_TRIPLET": 1, "TWO_CLASS_TRIPLET": 2, "THREE_CLASS_TRIPLET": 3}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("synthetic") / "set"
    ticks = []
    summary = synthesize(out, SMALL, lambda done, total: ticks.append((done, total)))
    return out, summary, ticks


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def truth_of(out):
    with (out / "truth.csv").open(newline="", encoding="utf-8") as file:
        return {
            (row["image"], row["left"], row["right"], row["top"], row["bottom"]): row
            for row in csv.DictReader(file)
        }


def faces_of(row):
    return [tuple(row[start : start + 5]) for start in (0, 5, 10)]


def digests(out):
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in out.rglob("*")
        if path.is_file()
    }


def test_rows_parse_and_match_the_truth(made):
    out, _, _ = made
    truth = truth_of(out)
    assert len(truth) == 90
    for split, num_rows in (("train", 192), ("test", 48)):
        table = read(out / f"{split}.csv")
        assert len(table) == num_rows
        for row in table:
            faces = [truth[face] for face in faces_of(row)]
            assert len(set(faces_of(row))) == 3
            assert {face["split"] for face in faces} == {split}
            assert len({face["emotion_class"] for face in faces}) == NAMES[row[15]]
            raters, answers = row[16::2], row[17::2]
            assert len(raters) == len(set(raters)) == len(answers)
            assert 6 <= len(answers) <= 8
            assert set(answers) <= {"1", "2", "3"}


def test_only_the_images_are_quoted_and_there_is_no_header(made):
    out, _, _ = made
    line = (out / "train.csv").read_text(encoding="utf-8").splitlines()[0]
    assert line.startswith('"train/')
    assert line.count('"') == 6


def test_the_package_reads_every_row(made):
    out, summary, _ = made
    train = read_annotations(out / "train.csv")
    test = read_annotations(out / "test.csv")
    assert (len(train.triplets), len(test.triplets)) == (192, 48)
    assert not train.rejected
    assert not test.rejected
    assert (summary.num_train_triplets, summary.num_test_triplets) == (192, 48)


def test_truth_holds_word_class_and_units(made):
    out, _, _ = made
    for row in truth_of(out).values():
        emotion = EMOTIONS[row["word"]]
        assert row["emotion_class"] == emotion.emotion_class
        units = np.array([float(row[name]) for name in UNIT_NAMES])
        assert np.abs(units - emotion.units.as_array()).max() < 0.6
        assert abs(float(row["yaw"])) <= 0.34


def test_every_face_is_used(made):
    out, summary, _ = made
    used = {face for split in ("train", "test") for r in read(out / f"{split}.csv")
            for face in faces_of(r)}  # fmt: skip
    assert len(used) == summary.num_faces == 90


def test_no_person_is_in_both_splits(made):
    out, summary, _ = made
    people = defaultdict(set)
    for row in truth_of(out).values():
        people[row["split"]].add(row["identity"])
    assert not people["train"] & people["test"]
    assert len(people["train"]) == 12
    assert len(people["test"]) == 3
    assert summary.num_identities == 15


def test_boxes_lie_inside_and_are_never_the_whole_picture(made):
    out, _, _ = made
    for _, *sides in truth_of(out):
        left, right, top, bottom = map(float, sides)
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        assert (right - left) * (bottom - top) < 0.65


def test_pictures_are_jpegs_of_the_usual_size(made):
    out, summary, _ = made
    paths = sorted((out / "images").rglob("*.jpg"))
    assert len(paths) == summary.num_images < 90
    assert {p.relative_to(out / "images").as_posix() for p in paths} == {
        face[0] for face in truth_of(out)
    }
    for path in paths:
        with Image.open(path) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            assert 180 <= image.height <= 380


def test_some_pictures_show_two_people(made):
    out, summary, _ = made
    faces = defaultdict(list)
    for key, row in truth_of(out).items():
        faces[key[0]].append(row)
    pairs = [rows for rows in faces.values() if len(rows) == 2]
    assert len(pairs) == 90 - summary.num_images >= 2
    for left, right in pairs:
        assert left["identity"] != right["identity"]
        assert left["split"] == right["split"]
        assert float(left["right"]) < float(right["left"])


def test_two_runs_same_bytes_and_another_seed_other_bytes(tmp_path):
    config = SyntheticConfig(faces=24, triplets=9, seed=7)
    synthesize(tmp_path / "a", config)
    first = digests(tmp_path / "a")
    synthesize(tmp_path / "b", config)
    assert digests(tmp_path / "b") == first
    other = SyntheticConfig(faces=24, triplets=9, seed=8)
    synthesize(tmp_path / "b", other)
    changed = digests(tmp_path / "b")
    shared = set(first) & set(changed)
    assert not {name for name in shared if first[name] == changed[name]}
    # Overwriting leaves nothing of the earlier set.
    synthesize(tmp_path / "b", config)
    assert digests(tmp_path / "b") == first


def test_marker_holds_the_configuration(made):
    out, _, _ = made
    marker = json.loads((out / "synthetic.json").read_text(encoding="utf-8"))
    assert SyntheticConfig(**marker) == SMALL


def test_progress_counts_faces(made):
    _, _, ticks = made
    assert ticks[-1] == (90, 90)
    assert ticks == sorted(ticks)


def test_smallest_set_works(tmp_path):
    summary = synthesize(tmp_path / "set", SyntheticConfig(faces=18, triplets=6))
    assert (summary.num_faces, summary.num_train_triplets, summary.num_test_triplets) == (18, 3, 3)


def test_too_many_triplets_write_nothing(tmp_path):
    with pytest.raises(
        BadOption, match=r"found among 9 faces after .* Reduce the number of triplets or"
    ):
        synthesize(tmp_path / "set", SyntheticConfig(faces=18, triplets=4000))
    assert not (tmp_path / "set").exists()


def test_a_folder_of_other_files_is_not_touched(tmp_path):
    (tmp_path / "train.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExists, match="not made by fec synthesize"):
        synthesize(tmp_path, SyntheticConfig(faces=18, triplets=6))
    assert [path.name for path in tmp_path.iterdir()] == ["train.csv"]
    with pytest.raises(OutputExists, match="is a file"):
        synthesize(tmp_path / "train.csv", SyntheticConfig(faces=18, triplets=6))

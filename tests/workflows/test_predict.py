"""`fec predict`: which part of a picture is meant, and how the answer is told."""

import csv
import json

import pytest
from PIL import Image

WHOLE = (0.0, 1.0, 0.0, 1.0)


def boxes_by_picture(place):
    found = {}
    for split in ("train", "test"):
        with (place.folder / "data" / f"{split}.csv").open(newline="") as file:
            for row in csv.reader(file):
                for start in (0, 5, 10):
                    box = [float(side) for side in row[start + 1 : start + 5]]
                    found.setdefault(row[start], set()).add(tuple(box))
    return found


@pytest.fixture
def faces(place):
    """Pictures with one face, and pictures with several."""
    boxes = boxes_by_picture(place)
    alone = [name for name, found in sorted(boxes.items()) if len(found) == 1]
    return boxes, alone


def said(place, *words):
    return json.loads(place.ok("predict", *words, "--json").stdout)


def test_pictures_of_the_data_folder_are_read_in_their_annotated_boxes(place, faces):
    boxes, alone = faces
    paths = [f"data/images/{name}" for name in alone[:2]]
    found = said(place, *paths)
    wanted = [list(next(iter(boxes[name]))) for name in alone[:2]]
    assert found["boxes"] == wanted != [list(WHOLE)] * 2
    words = [w for box in wanted for w in ("--box", ",".join(map(str, box)))]
    assert said(place, *paths, *words)["probability_similar"] == found["probability_similar"]
    assert "Boxes from data: " in place.ok("predict", *paths).stdout


def test_of_several_faces_on_a_picture_the_largest_is_taken_and_told(place, faces):
    boxes, alone = faces
    name = alone[0]
    (left, right, top, bottom) = next(iter(boxes[name]))
    path = place.folder / "data" / "test.csv"
    row = next(csv.reader([path.read_text().splitlines()[0]]))
    row[0:5] = [name, left, (left + right) / 2, top, (top + bottom) / 2]
    with path.open("a", newline="") as file:
        csv.writer(file).writerow(row)
    picture = f"data/images/{name}"
    result = place.ok("predict", picture, picture, "--json")
    assert json.loads(result.stdout)["boxes"][0] == [left, right, top, bottom]
    assert f"2 faces on {name}: the largest is used" in result.stderr


def test_other_pictures_are_taken_whole_and_that_is_told(place, faces):
    _, alone = faces
    Image.new("RGB", (90, 80), "white").save(place.folder / "own picture ü.png")
    for pair in (["own picture ü.png"] * 2, [f"data/images/{alone[0]}", "own picture ü.png"]):
        result = place.ok("predict", *pair, "--json")
        assert json.loads(result.stdout)["boxes"] == [list(WHOLE)] * 2
        assert "the whole pictures were used" in result.stderr
    quiet = place.ok("predict", *pair, "-q")
    assert quiet.stderr == ""
    assert len(quiet.stdout.splitlines()) == 1


@pytest.mark.parametrize("bad", ["nowhere.jpg", "text.jpg"])
def test_a_picture_that_is_none_is_refused_before_anything_is_said_of_boxes(place, bad):
    Image.new("RGB", (90, 80), "white").save(place.folder / "own.png")
    (place.folder / "text.jpg").write_text("no picture")
    for pair in (["own.png", bad], [bad, "own.png"]):
        result = place.run("predict", *pair)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"Error: {bad} ")
        assert len(result.stderr.splitlines()) == 1
        assert "Give two pictures, as JPEG or PNG." in result.stderr


def test_damaged_annotations_do_not_stand_in_the_way(place, faces):
    _, alone = faces
    for split in ("train", "test"):
        (place.folder / "data" / f"{split}.csv").write_bytes(b"\xff\xfe")
    picture = f"data/images/{alone[0]}"
    assert said(place, picture, picture)["boxes"] == [list(WHOLE)] * 2

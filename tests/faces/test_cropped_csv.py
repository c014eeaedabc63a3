import csv

from fec_cache.datasets.image_paths import crop_path
from fec_cache.faces.cropped_csv import write_cropped_csv
from fec_cache.faces.recrop import crop_window

KEPT, MISSING = "http://a.org/kept.jpg", "http://a.org/missing.jpg"
BOX, OTHER = ("0.25", "0.5", "0.125", "0.375"), ("0.5", "0.75", "0.125", "0.375")
RATINGS = ["ONE_CLASS_TRIPLET", "r1", "1", "r2", "3"]


class Sizes:
    """The one thing that is read from a ledger."""

    def sizes(self):
        return {KEPT: (200, 160)}


def rewritten(tmp_path, *rows):
    source, target = tmp_path / "train.csv", tmp_path / "out.csv"
    with source.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    write_cropped_csv(Sizes(), source, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "train.csv"]
    with target.open(newline="") as file:
        return list(csv.reader(file))


def test_kept_faces_name_their_crop_and_others_stay(tmp_path):
    (row,) = rewritten(tmp_path, [KEPT, *BOX, MISSING, *BOX, KEPT, *OTHER, *RATINGS])
    box = tuple(map(float, BOX))
    inner = crop_window(box, (200, 160)).box
    assert row[:5] == [crop_path(KEPT, box), *map(repr, inner)]
    assert row[5:10] == [MISSING, *BOX]
    assert row[10] == crop_path(KEPT, tuple(map(float, OTHER)))
    assert row[15:] == RATINGS


def test_unreadable_rows_are_left_out(tmp_path):
    whole = [KEPT, *BOX, MISSING, *BOX, KEPT, *OTHER, *RATINGS]
    assert len(rewritten(tmp_path, whole, ["no triplet"], whole)) == 2

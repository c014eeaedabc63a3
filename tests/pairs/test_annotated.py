"""Annotated pairs: read from a CSV file, and mapped to rows of a cache."""

import numpy as np
import pytest

from fec_cache.cache.catalogue import open_cache
from fec_cache.errors import MissingData
from fec_cache.pairs.annotated import load_pairs
from fec_cache.testing import toy
from fec_cache.testing.recording import RecordingReporter

ANSWERS = {
    (0, 1, 2): (3, 3, 1),  # the third face is odd, so (0, 1) is the similar pair
    (3, 0, 2): (1, 1, 1),
    (1, 2, 3): (1, 2, 3),  # a tie
    (0, 1, 9): (3, 3, 3),  # picture 9 has no feature
}


def row_of(numbers, answers):
    faces = [f"{number:04d}.png,0,1,0,1" for number in numbers]
    votes = [f"rater{index},{answer}" for index, answer in enumerate(answers)]
    return ",".join([*faces, "TWO_CLASS_TRIPLET", *votes])


@pytest.fixture
def data(tmp_path):
    """A data folder of four pictures with features, and four triplets."""
    faces = toy.solid_faces(tmp_path / "data" / "images", range(4))
    toy.run_toy(tmp_path / "cache", tmp_path / "data" / "images", faces)
    lines = [row_of(numbers, answers) for numbers, answers in ANSWERS.items()]
    (tmp_path / "data" / "train.csv").write_text("\n".join([*lines, "not a row"]) + "\n")
    return tmp_path / "data"


def test_triplets_are_counted_and_bad_rows_kept(data):
    pairs = load_pairs(data)
    assert len(pairs) == 4
    assert [row.line for row in pairs.annotations.rejected] == [5]


def test_a_split_without_a_file_is_refused(data):
    with pytest.raises(MissingData, match="neither test"):
        load_pairs(data, "test")


def test_pairs_become_rows_of_the_features(data):
    reporter = RecordingReporter()
    with open_cache(data.parent / "cache") as cache:
        features, table = cache.features(), load_pairs(data).rows_in(cache, reporter)
    colours = np.round(features[table.rows][:, :, 0] * 255).astype(int)
    assert colours.tolist() == [[1, 2], [0, 2], [0, 1], [0, 2], [3, 2], [3, 0]]
    assert table.is_similar.tolist() == [False, False, True, True, False, False]
    assert reporter.messages == [
        "train.csv: 5 rows: 2 used, 1 rejected, 1 without a feature, 1 without a majority"
    ]

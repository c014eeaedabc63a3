import json

import pytest

from fec_cache.datasets.image_paths import SURVIVORS_NAME
from fec_cache.datasets.survivors import Survivors, read_survivors

TEST = {
    "survivors": "ab" * 32,
    "images": 7,
    "triplets": {"ONE_CLASS_TRIPLET": 3},
    "triplets_in_all": {"ONE_CLASS_TRIPLET": 5, "TWO_CLASS_TRIPLET": 1},
}


def test_the_set_of_a_split_is_read_and_counted(tmp_path):
    content = {"survivors": "cd" * 32, "splits": {"test": TEST}}
    (tmp_path / SURVIVORS_NAME).write_text(json.dumps(content))
    survivors = read_survivors(tmp_path)
    assert survivors == Survivors("ab" * 32, 7, 3, 6)
    assert survivors.to_dict() == {
        "test_set": "ab" * 32, "images": 7, "triplets": 3, "triplets_in_all": 6,
    }  # fmt: skip
    assert survivors.in_words() == (
        "Survivors: test set abababababababab, 7 images, 3 of 6 triplets; figures on another set "
        "are not comparable."
    )
    assert read_survivors(tmp_path, "train") is None


@pytest.mark.parametrize("text", [None, "", "[1, 2]", '{"splits": {"test": {"images": 1}}}'])
def test_a_missing_or_foreign_file_is_no_set(tmp_path, text):
    if text is not None:
        (tmp_path / SURVIVORS_NAME).write_text(text)
    assert read_survivors(tmp_path) is None

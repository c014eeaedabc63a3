"""A folder holds one scope; digests are those of older releases."""

import dataclasses
import hashlib

import numpy as np
import pytest

from fec_cache.errors import OutputExists
from fec_cache.pairs.build import TripletTable
from fec_cache.pairs.split import Split
from fec_cache.runs.files import SEARCH_NAME
from fec_cache.search.scope import Scope, split_digest

SCOPE = Scope("f", "t", "s", "v")


def table(odd):
    return TripletTable(
        np.array([[0, 1, 2], [2, 3, 4]]), np.array(odd), np.array([0, 2]), np.eye(3, dtype=int)[odd]
    )


def test_a_folder_is_reserved_once_and_then_reused(tmp_path):
    assert SCOPE.claim(tmp_path) is False
    before = (tmp_path / SEARCH_NAME).read_bytes()
    assert SCOPE.claim(tmp_path) is False
    assert (tmp_path / SEARCH_NAME).read_bytes() == before


def test_another_scope_is_refused_and_named(tmp_path):
    SCOPE.claim(tmp_path)
    other = dataclasses.replace(SCOPE, split="x", features="y")
    assert SCOPE.differences(other) == ["features", "validation split"]
    with pytest.raises(OutputExists, match="with other features, other validation split, so"):
        other.claim(tmp_path)


def test_a_run_that_was_not_made_by_a_search_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(OutputExists, match="not made by a search"):
        SCOPE.claim(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff"])
def test_a_damaged_file_is_rewritten(tmp_path, content):
    (tmp_path / SEARCH_NAME).write_bytes(content)
    assert SCOPE.claim(tmp_path) is True
    assert SCOPE.claim(tmp_path) is False


def test_digests_do_not_change_between_releases():
    text = '{"features": "f", "split": "s", "trainer": "v", "triplets": "t"}'
    assert SCOPE.digest == hashlib.sha256(text.encode()).hexdigest()
    split = Split(table([0, 1]), table([2, 1]), "components", 0)
    assert split_digest(split) == "4072d6bc70f2c965"


def test_the_split_digest_depends_on_every_row_and_answer():
    split = Split(table([0, 1]), table([2, 1]), "components", 0)
    other = Split(table([0, 2]), table([2, 1]), "components", 0)
    swapped = Split(split.validation, split.train, "components", 0)
    assert len({split_digest(s) for s in (split, other, swapped)}) == 3

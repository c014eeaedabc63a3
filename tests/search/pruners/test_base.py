"""Pruners are found by their files and parsed from the command line's words."""

from pathlib import Path

import pytest

from fec_cache.errors import BadOption
from fec_cache.search.pruners import base
from fec_cache.search.pruners.halving import Halving


def test_each_file_of_the_folder_registers_the_pruner_of_its_name():
    files = {path.stem for path in Path(base.__file__).parent.glob("*.py")}
    assert set(base.pruners()) == files - {"__init__", "base"}
    assert all(pruner.name == name for name, pruner in base.pruners().items())


def test_names_with_and_without_an_argument():
    assert base.parse_pruner("halving") == Halving(3)
    assert base.parse_pruner("halving:4") == Halving(4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("halving:1", "it must be one in 2 to 100"),
        ("halving:x", "prune is 'halving:x', but it must be halving or halving:ETA"),
        ("asha", "prune is 'asha', but it must begin with one of: halving"),
    ],
)
def test_wrong_words_are_named(text, message):
    with pytest.raises(BadOption, match=message):
        base.parse_pruner(text)

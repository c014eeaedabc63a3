import json
import sys

import pytest

from fec_cache.errors import MissingExtra
from fec_cache.system.extras import require


def test_a_library_that_is_there_is_imported():
    assert require("json", "report") is json


def test_a_missing_one_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra) as caught:
        require("optuna", "search")
    assert str(caught.value) == (
        "This needs optuna, which is not installed. Run: pip install 'fec_cache[search]'"
    )


def test_one_that_lacks_a_library_itself_says_so(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra) as caught:
        require("half_there", "report")
    assert str(caught.value) == (
        "This needs half_there, which cannot be imported (No module named 'nowhere_to_be_found'). "
        "Run: pip install 'fec_cache[report]'"
    )

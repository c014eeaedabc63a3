"""The scripts of `examples/` run from an empty folder and print what they promise.

They run in this process, one after the other in one folder: a process each would load torch three
times (5 s each), and a folder each would draw and extract the same faces three times.
"""

import os
import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
LAST_LINES = {
    "own_pictures": r"missing\.jpg cannot be read: No such file or directory\.",
    "scikit_learn": r"Row 0 and its nearest rows: \[ *0 .*\]",
    "search_from_python": r"Against the original recipe: .*(better|worse|no difference).*",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that is empty before the first example, and the current one during the tests."""
    before, path = Path.cwd(), tmp_path_factory.mktemp("examples")
    os.chdir(path)
    yield path
    os.chdir(before)


def test_every_example_is_run():
    assert sorted(LAST_LINES) == sorted(path.stem for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", LAST_LINES)
def test_an_example_ends_with_its_result(name, folder, capsys):
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert re.fullmatch(LAST_LINES[name], capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("name", LAST_LINES)
def test_an_example_uses_the_public_door_only(name):
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert re.findall(r"^\s*(?:from|import) (fec_cache[\w.]*)", text, re.MULTILINE) == ["fec_cache"]

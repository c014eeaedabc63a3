"""Files that version 0.1 wrote still open, and say the same.

`version_0_1.tar.xz` holds a data folder, caches, trained heads and a search as that version left
them, one cache and head of recipe version 1 from before it, and in `expected.json` what version 0.1
answered to each command here.
"""

import hashlib
import io
import json
import lzma
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from fec_cache.cli.main import fec

ARCHIVE = Path(__file__).with_name("version_0_1.tar.xz")
COMPUTED = ("predict", "evaluate", "compare")
"""Commands that compute in floating point; the others only tell what is in the files."""
NETWORK = ("predict", "extract")
"""Commands that draw the network's random weights, which processors without AVX2 draw otherwise."""
RELATIVE = 1e-5
VOLATILE = {"duration_s", "stage_seconds", "engine", "warnings"}
"""Fields that change from run to run, or are sentences of which newer versions have more."""

_TAR = lzma.decompress(ARCHIVE.read_bytes())
with tarfile.open(fileobj=io.BytesIO(_TAR)) as _archive:
    _EXPECTED = json.load(_archive.extractfile("expected.json"))
ANSWERS, EXPORTS = _EXPECTED["answers"], _EXPECTED["exports"]
SEARCH = "search again"


@pytest.fixture
def old(tmp_path, monkeypatch):
    """The old folders, unpacked; commands run in them."""
    with tarfile.open(fileobj=io.BytesIO(_TAR)) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(command):
    result = CliRunner().invoke(fec, command)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def assert_same(found, wanted, relative, path="answer"):
    """Everything that was reported is reported; floats within `relative`, all else exactly."""
    if isinstance(wanted, dict):
        assert found.keys() - VOLATILE == wanted.keys() - VOLATILE, path
        for key in wanted.keys() - VOLATILE:
            value = wanted[key]
            assert_same(found[key], value, relative, f"{path}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), path
        for place, value in enumerate(wanted):
            assert_same(found[place], value, relative, f"{path}[{place}]")
    elif isinstance(wanted, float) and relative:
        assert found == pytest.approx(wanted, rel=relative, abs=relative / 10), path
    else:
        assert type(found) is type(wanted), path
        assert found == wanted, path


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", [name for name in ANSWERS if name != SEARCH])
def test_old_files_give_the_old_answer(old, name):
    wanted = ANSWERS[name]
    word = wanted["command"][0]
    if word in NETWORK and torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("this processor draws other random weights")
    relative = RELATIVE if word in COMPUTED else 0
    assert_same(answer(wanted["command"]), wanted["answer"], relative)


@pytest.mark.parametrize("name", EXPORTS)
def test_old_caches_hold_the_old_features(old, name):
    wanted = EXPORTS[name]
    assert answer(wanted["command"])["num_faces"] == wanted["num_faces"]
    with np.load("features.npz") as file:
        features, faces = file["features"], file["face_id"].tolist()
    assert (features.dtype.str, list(features.shape)) == (wanted["dtype"], wanted["shape"])
    assert hashlib.sha256(features.tobytes()).hexdigest() == wanted["features_sha256"]
    assert hashlib.sha256(b"\n".join(faces)).hexdigest() == wanted["face_ids_sha256"]


def test_an_old_evaluation_is_the_one_of_today(old):
    """`evaluation.json`, written by version 0.1, against the command's answer."""
    path = old / "runs" / "embedding" / "evaluation.json"
    before = json.loads(path.read_bytes())
    answer(ANSWERS["evaluate embedding"]["command"])
    assert_same(json.loads(path.read_bytes()), before, RELATIVE)


def test_an_old_search_trains_nothing_again(old):
    """Every point is recognised and ranked as it was: the training code has the same version."""
    folder = old / "runs" / "search"
    results = (folder / "results.csv").read_bytes()
    points = files_of(folder / "points")
    wanted = ANSWERS[SEARCH]
    found = answer(wanted["command"])
    assert found["trained"] == 0
    assert_same(found, wanted["answer"], 0)
    assert (folder / "results.csv").read_bytes() == results
    assert files_of(folder / "points") == points


def test_an_old_search_is_resumed_where_points_are_missing(old):
    """A group of points that is lost is trained again, and the table is the old one."""
    folder = old / "runs" / "search"
    lost = sorted((folder / "points").iterdir())[0]
    num_lost = len(json.loads(lost.read_bytes())["content"])
    lost.unlink()
    wanted = ANSWERS[SEARCH]
    found = answer(wanted["command"])
    assert found["trained"] == num_lost
    assert_same(found, wanted["answer"] | {"trained": num_lost}, RELATIVE)

"""A small workspace that went through every stage once: fixtures of all tests of commands."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fec_cache.cli.main import fec

# The smallest torchvision network with all four stages: the surfaces do not care which it is.
BACKBONE = "mobilenet_v3_small"
NUM_FACES, NUM_TRIPLETS = 120, 300


@dataclass(frozen=True)
class Place:
    """A folder in which commands run as a user would run them."""

    folder: Path

    def run(self, *words: str) -> Result:
        """`fec WORDS` in the folder; folders are named by options as the shell's user may."""
        return CliRunner().invoke(fec, list(words))

    def ok(self, *words: str) -> Result:
        """The same, and it must end with exit code 0."""
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result

    def fails(self, *words: str, code: int = 1) -> str:
        """The same, and it must end with exit code 1 and one line; that line."""
        result = self.run(*words)
        assert result.exit_code == code, result.output
        lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, result.output
        assert "Traceback" not in result.output
        return lines[0]

    def misused(self, *words: str) -> str:
        """The same with exit code 2: the command line itself is wrong."""
        return self.fails(*words, code=2)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Synthesized, extracted, trained; made once and copied for each test."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        place = Place(folder)
        numbers = ("--faces", str(NUM_FACES), "--triplets", str(NUM_TRIPLETS))
        place.ok("synthesize", "--out", "data", *numbers)
        place.ok("extract", "--backbone", BACKBONE, "--weights", "random:0", "--device", "cpu")
        place.ok("train-head", "--epochs", "3", "--name", "first", "--device", "cpu")
    return folder


@pytest.fixture
def place(finished, tmp_path, monkeypatch):
    """A fresh copy of the finished workspace, current folder included."""
    folder = tmp_path / "place"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    monkeypatch.chdir(folder)
    return Place(folder)


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty folder."""
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path)

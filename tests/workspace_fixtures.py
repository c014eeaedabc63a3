"""Fixtures for tests of commands: a small workspace that has been through every stage once."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fec_cache.cli.main import fec

# The smallest torchvision network with all four stages; the commands do not depend on the network.
BACKBONE = "mobilenet_v3_small"
NUM_FACES, NUM_TRIPLETS = 120, 300


@dataclass(frozen=True)
class Place:
    """A folder in which commands run as a user would run them."""

    folder: Path

    def run(self, *words: str) -> Result:
        """Run `fec WORDS` in this process and in the current folder."""
        return CliRunner().invoke(fec, list(words))

    def ok(self, *words: str) -> Result:
        """Run `fec WORDS`; it must end with exit code 0."""
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result

    def fails(self, *words: str, code: int = 1) -> str:
        """Run `fec WORDS`; it must fail with a code and one line of error. Returns that line."""
        result = self.run(*words)
        assert result.exit_code == code, result.output
        lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, result.output
        assert "Traceback" not in result.output
        return lines[0]

    def misused(self, *words: str) -> str:
        """Run `fec WORDS`; it must fail with exit code 2, for wrong usage."""
        return self.fails(*words, code=2)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A synthesized, extracted and trained workspace, made once per session."""
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
    """A copy of the finished workspace, which becomes the current folder."""
    folder = tmp_path / "place"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    monkeypatch.chdir(folder)
    return Place(folder)


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty folder, which becomes the current folder."""
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path)

"""A command up to its workflow: which arguments reach it."""

import pytest
from click.testing import CliRunner

from fec_cache.cli.main import fec
from fec_cache.workflows import checks


class Outcome:
    """What a replaced workflow returns."""

    def in_words(self):
        return "done"

    def parts(self):
        return ["done"]

    def to_dict(self):
        return {"state": "done"}


@pytest.fixture
def arguments_of(monkeypatch):
    """Runs a command whose workflow and checks are replaced; the workflow's arguments."""

    def run(workflow, *words, outcome=None, code=0):
        calls = []

        def record(*arguments):
            calls.append(arguments)
            return outcome or Outcome()

        monkeypatch.setattr(f"fec_cache.workflows.{workflow}", record)
        for name in vars(checks):
            if name.startswith("check_"):
                monkeypatch.setattr(checks, name, lambda *_: None)
        result = CliRunner().invoke(fec, words)
        assert result.exit_code == code, result.output
        (arguments,) = calls
        return arguments

    return run

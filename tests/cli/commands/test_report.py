"""`fec report`: what reaches its workflow, and what it prints."""

import json
from pathlib import Path

from click.testing import CliRunner

from fec_cache.cli.main import fec
from fec_cache.system.workspace import Workspace

WORKFLOW = "report.write_report"


def test_every_option_reaches_the_workflow(arguments_of):
    words = "report --run a,b --out x.html --force --allow-overlap --against c*"
    workspace, run, out, overlap, _, force, against = arguments_of(WORKFLOW, *words.split())
    assert workspace == Workspace()
    assert (run, out, overlap, force, against) == ("a,b", Path("x.html"), True, True, "c*")


def test_without_options_the_newest_run_gets_its_page(arguments_of):
    _, run, out, overlap, _, force, against = arguments_of(WORKFLOW, "report")
    assert (run, out, overlap, force, against) == (None, None, False, False, None)


def test_it_prints_where_the_page_is(monkeypatch):
    monkeypatch.setattr("fec_cache.workflows.checks.check_report", lambda *_: None)
    monkeypatch.setattr(f"fec_cache.workflows.{WORKFLOW}", lambda *_: Path("runs/x/report.html"))
    assert CliRunner().invoke(fec, ["report"]).stdout == "Report: runs/x/report.html\n"
    result = CliRunner().invoke(fec, ["report", "--json"])
    assert json.loads(result.stdout) == {"report": "runs/x/report.html", "warnings": []}

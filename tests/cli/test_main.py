"""The command line itself: help, README, exit codes, no torch for help."""

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fec_cache import __version__
from fec_cache.cli.failures import FecGroup
from fec_cache.cli.main import fec
from fec_cache.errors import FecError

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(fec.commands)
CACHE_COMMANDS = ("export", "info", "list", "prune", "repair", "verify")
LEAVES = [(name,) for name in COMMANDS if name != "cache"]
LEAVES += [("cache", name) for name in CACHE_COMMANDS]


def test_every_promised_command_is_there():
    assert COMMANDS == [
        "cache",
        "compare",
        "demo",
        "download",
        "evaluate",
        "extract",
        "grid-search",
        "import-folder",
        "leaderboard",
        "predict",
        "report",
        "synthesize",
        "train-head",
    ]


def test_the_cache_has_all_its_commands():
    assert sorted(fec.commands["cache"].commands) == list(CACHE_COMMANDS)


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_has_help_and_console_options(words):
    result = CliRunner().invoke(fec, [*words, "--help"])
    assert result.exit_code == 0
    command = fec
    for word in words:
        command = command.commands[word]
    assert len(command.help.split()) > 5
    assert {"--json", "-q", "-v"} <= set(result.output.replace(",", " ").split())


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_option_says_what_it_is(words):
    command = fec
    for word in words:
        command = command.commands[word]
    options = [param for param in command.params if isinstance(param, click.Option)]
    assert [o.name for o in options if not re.fullmatch(r"\S.*[.\]]", o.help or "")] == []


def test_the_columns_to_sort_by_are_those_of_the_leaderboard():
    from fec_cache.workflows.leaderboard import COLUMNS

    (option,) = [param for param in fec.commands["leaderboard"].params if param.name == "sort"]
    assert re.findall(r"\w+", re.sub(r" \(.*?\)| or", "", option.help)) == list(COLUMNS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_in_the_readme(name):
    assert f"fec {name}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_two_make_commands_stand_at_the_top_of_the_readme():
    top = (ROOT / "README.md").read_text(encoding="utf-8")[:1500]
    assert "make demo" in top
    assert "make test" in top


def test_a_download_loads_no_torch():
    code = (
        "import sys, fec_cache.workflows.download\n"
        "print(sorted({'torch', 'pandas', 'h5py', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def test_launcher_equals_the_command():
    launched = subprocess.run(
        [sys.executable, "cli.py", "--version"], capture_output=True, text=True, cwd=ROOT
    )
    assert launched.stdout == f"fec, version {__version__}\n"


def test_wrong_usage_exits_with_2():
    assert CliRunner().invoke(fec, ["train-head", "--lr", "fast"]).exit_code == 2
    assert CliRunner().invoke(fec, ["grid-search", "--lr", "1e-3,fast"]).exit_code == 2
    assert CliRunner().invoke(fec, ["grid-search", "--hidden", "12x"]).exit_code == 2
    assert CliRunner().invoke(fec, ["no-such-command"]).exit_code == 2
    assert CliRunner().invoke(fec, ["predict", "a.jpg", "b.jpg", "--box", "0,1"]).exit_code == 2


def group_that_raises(error):
    group = FecGroup("g")

    @group.command()
    def fail():
        raise error

    return CliRunner().invoke(group, ["fail"])


def test_errors_become_one_line_and_interrupts_130():
    result = group_that_raises(FecError("It is broken. Mend it."))
    assert (result.exit_code, result.stderr) == (1, "Error: It is broken. Mend it.\n")
    assert group_that_raises(KeyboardInterrupt()).exit_code == 130
    assert group_that_raises(click.Abort()).exit_code == 130
    result = group_that_raises(PermissionError(13, "Permission denied", "/there"))
    assert result.exit_code == 1
    assert "Permission denied (/there)" in result.stderr


def test_a_bug_keeps_its_traceback():
    assert isinstance(group_that_raises(ZeroDivisionError()).exception, ZeroDivisionError)


def test_json_has_no_nan(place):
    result = place.ok("evaluate", "--json")
    found = json.loads(result.stdout, parse_constant=lambda word: pytest.fail(word))
    assert found["chance"] == pytest.approx(1 / 3)

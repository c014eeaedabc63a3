"""Options that commands share: their values, the workspace, the console."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fec_cache.cli.options import (
    box_sides,
    console_options,
    hidden_sizes,
    out_option,
    reader,
    word_list,
    workspace_options,
)
from fec_cache.errors import BadOption
from fec_cache.system.workspace import Workspace


def result_of(command, *words):
    """What a command returns."""
    return CliRunner().invoke(command, words, standalone_mode=False)


def test_folders_come_from_options_from_the_environment_and_from_defaults(monkeypatch):
    @click.command()
    @workspace_options("data_dir", "runs_dir")
    def command(workspace):
        return workspace

    assert result_of(command).return_value == Workspace()
    monkeypatch.setenv("FEC_RUNS", "r")
    expected = Workspace(data_dir=Path("d"), runs_dir=Path("r"))
    assert result_of(command, "--data", "d").return_value == expected
    assert isinstance(result_of(command, "--cache", "c").exception, click.NoSuchOption)


def test_the_console_knows_how_much_to_say():
    @click.command()
    @console_options
    def command(console):
        return console.as_json, console.verbosity

    assert result_of(command).return_value == (False, 0)
    assert result_of(command, "--json", "-q").return_value == (True, -1)
    assert result_of(command, "-v").return_value == (False, 1)
    assert result_of(command, "-q", "-v").return_value == (False, -1)


def test_a_folder_to_write_is_required_without_a_default():
    optional, required = (click.command()(out_option(d)(lambda out: out)) for d in ("x", None))
    assert result_of(optional).return_value == Path("x")
    assert isinstance(result_of(required).exception, click.MissingParameter)


def test_what_a_parser_of_the_package_refuses_is_wrong_usage():
    def parse(text):
        raise BadOption(f"{text} is too small.")

    with pytest.raises(click.BadParameter, match=r"^7 is too small\.$"):
        reader(parse)("7")
    assert reader(int)("7") == 7


@pytest.mark.parametrize(
    ("parse", "text", "problem"),
    [
        (box_sides, "0,1,0,fast", "'fast' is not a number, as in 0.2,0.8,0.1,0.9."),
        (box_sides, "0,,1,0", "has an empty part"),
        (hidden_sizes, "12x", "'12x' is not the width of a hidden layer; expected 256, 512-128"),
        (box_sides, "0,1", "'0,1' has 2 numbers, expected four: left, right, top, bottom."),
        (box_sides, "0.5,0.5,0,1", "empty box: left 0.5, right 0.5, top 0.0, bottom 1.0; expected"),
        (box_sides, "0,1,0.9,0.1", "empty box: "),
        (box_sides, "0,120,0,1", "right is 120, but box sides are fractions of the picture"),
        (box_sides, "0,1,nan,1", "top is nan"),
    ],
)
def test_values_that_cannot_be_read_say_why(parse, text, problem):
    with pytest.raises(click.BadParameter) as caught:
        parse(text)
    assert problem in caught.value.message


def test_the_option_is_named_beside_the_problem(empty):
    assert "Error: Invalid value for '--box': '0,1' has 2 numbers" in empty.misused(
        "predict", "a.jpg", "b.jpg", "--box", "0,1"
    )


def test_good_values_are_read():
    assert box_sides("1e-4, 1,0,0.5") == (1e-4, 1.0, 0.0, 0.5)
    assert hidden_sizes("None") == ()
    assert hidden_sizes("512-128") == (512, 128)
    assert box_sides("0.1,0.9,0,1") == (0.1, 0.9, 0.0, 1.0)
    assert word_list("a, b") == ("a", "b")

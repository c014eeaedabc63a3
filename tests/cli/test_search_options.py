"""Options of the search: lists of values, durations, pruners."""

import click
import pytest
from click.testing import CliRunner

from fec_cache.cli.search_options import axis_options, pruner, seconds
from fec_cache.search.pruners.halving import Halving
from fec_cache.search.space import DEFAULT_GRID, PLAIN
from fec_cache.search.values import FIELDS, Range


@click.command()
@axis_options
def command(**axes):
    return axes


def axes_of(*words):
    return CliRunner().invoke(command, words, standalone_mode=False).return_value


def test_the_defaults_are_those_of_the_default_grid():
    axes = axes_of()
    plain = {**vars(PLAIN.head), **vars(PLAIN.train)}
    assert {name: axis.values for name, axis in axes.items()} == {
        name: DEFAULT_GRID.get(name, (plain[name],)) for name in FIELDS
    }


def test_lists_and_ranges_become_axes():
    axes = axes_of("--lr", "1e-4..1e-2:log:3", "--hidden", "128,512-128,none")
    assert axes["lr"].values == (1e-4, 1e-3, 1e-2)
    assert axes["lr"].span == Range(1e-4, 1e-2, is_log=True, count=3)
    assert axes["hidden"].values == ((128,), (512, 128), ())


def test_the_help_names_the_word_for_an_unset_value():
    text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "whiten:K, or default: none for concat, else standardize." in text
    assert "0 to 1, or default: chosen on validation." in text


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("90s", 90), ("1.5m", 90), (" 2h ", 7200), ("0", 0)]
)
def test_durations_have_units(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "abc", "-1s", "1d", "1 h"])
def test_other_durations_are_wrong_usage(text):
    with pytest.raises(click.BadParameter, match="is not a duration; expected"):
        seconds(text)


def test_a_pruner_is_a_name_with_an_argument():
    assert pruner("halving:4") == Halving(4)
    with pytest.raises(click.BadParameter, match="must begin with one of: halving"):
        pruner("foo")

"""Options made from the fields of a configuration."""

import dataclasses
from dataclasses import dataclass, field

import click
import pytest
from click.testing import CliRunner

from fec_cache.cli.config_options import as_word, options_of
from fec_cache.errors import BadOption


def halves(text):
    """`a/b` -> ("a", "b")."""
    if text.count("/") != 1:
        raise BadOption(f"halves is {text!r}, but it must be like a/b.")
    return tuple(text.split("/"))


@dataclass(frozen=True)
class Config:
    """A field of every kind."""

    size: int = field(default=3, metadata={"help": "Size."})
    share: float | None = field(default=None, metadata={"help": "Share.", "unset": "by hand"})
    colour: str = field(
        default="red", metadata={"help": "Colour.", "choices": lambda: ("red", "green")}
    )
    mirror: str = field(
        default="off",
        metadata={"help": "Mirror.", "choices": ("off", "on", "both"), "flag_value": "on"},
    )
    widths: tuple[int, ...] = field(default=(4, 2), metadata={"help": "Widths.", "metavar": "W"})
    words: tuple[str, ...] = field(default=("a", "b"), metadata={"help": "Words."})
    parts: tuple[str, ...] = field(
        default=(), metadata={"help": "Parts.", "parse": halves, "metavar": "P", "unset": "none"}
    )
    wait_s: float = field(default=1.5, metadata={"help": "Wait.", "flag": "--wait"})
    is_fast: bool = field(default=False, metadata={"help": "Fast.", "flag": "--fast"})
    polite: bool = field(default=True, metadata={"help": "Polite.", "flag": "--polite/--rude"})
    note: str = field(default="", metadata={"help": "Note."})
    hidden: int = 7


@click.command()
@options_of(Config, "config")
def command(config):
    return config


def config_of(*words):
    return CliRunner().invoke(command, words, standalone_mode=False).return_value


def test_without_options_every_field_has_its_default():
    assert config_of() == Config()


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--size 5", "size", 5),
        ("--share 0.5", "share", 0.5),
        ("--colour green", "colour", "green"),
        ("--mirror", "mirror", "on"),
        ("--mirror both", "mirror", "both"),
        ("--widths 8-16", "widths", (8, 16)),
        ("--widths none", "widths", ()),
        ("--words c", "words", ("c",)),
        ("--parts x/y", "parts", ("x", "y")),
        ("--wait 2", "wait_s", 2.0),
        ("--fast", "is_fast", True),
        ("--rude", "polite", False),
        ("--note x", "note", "x"),
    ],
)
def test_an_option_sets_its_field_only(words, name, value):
    assert config_of(*words.split()) == dataclasses.replace(Config(), **{name: value})


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--size x", "'x' is not a valid integer"),
        ("--colour blue", "'blue' is not one of 'red', 'green'"),
        ("--parts x", "halves is 'x', but it must be like a/b."),
        ("--hidden 3", "No such option '--hidden'"),
    ],
)
def test_other_values_are_wrong_usage(words, problem):
    result = CliRunner().invoke(command, words.split())
    assert result.exit_code == 2
    assert problem in result.output


def test_help_tells_what_the_default_is():
    text = CliRunner().invoke(command, ["--help"]).output
    shown = [" ".join(line.split()) for line in text.splitlines() if line.startswith("  --")]
    assert shown == [
        "--size INTEGER Size. [default: 3]",
        "--share FLOAT Share. [default: (by hand)]",
        "--colour [red|green] Colour. [default: red]",
        "--mirror [off|on|both] Mirror. [default: off]",
        "--widths W Widths. [default: 4-2]",
        "--words WORD_LIST Words. [default: a,b]",
        "--parts P Parts. [default: (none)]",
        "--wait FLOAT Wait. [default: 1.5]",
        "--fast Fast.",
        "--polite / --rude Polite. [default: polite]",
        "--note TEXT Note.",
        "--help Show this message and exit.",
    ]


def test_only_the_named_fields_become_options():
    @click.command()
    @options_of(Config, "config", only=("size",))
    def small(config):
        return config

    assert [option.name for option in small.params] == ["size"]
    result = CliRunner().invoke(small, ["--size", "9"], standalone_mode=False)
    assert result.return_value == Config(size=9)


def test_defaults_are_shown_as_one_would_type_them():
    values = ((), (512, 128), ("a", "b"), None, 0.5)
    assert [as_word(value) for value in values] == ["none", "512-128", "a,b", "default", "0.5"]

"""`fec extract`: each option reaches its field of the config."""

import dataclasses

import pytest
from click.testing import CliRunner

from fec_cache.cli.main import fec
from fec_cache.extraction.config import ExtractConfig


@pytest.fixture
def asked(arguments_of):
    """The configuration that reaches the workflow of `fec extract`."""
    return lambda *options: arguments_of("extract.extract", "extract", *options)[1]


def test_without_options_the_config_is_the_default(asked):
    assert asked() == ExtractConfig()


def test_every_option_reaches_its_field(asked):
    options = {
        "--backbone": "resnet50",
        "--layer": "avgpool, layer3:grid4",
        "--weights": "random:1",
        "--crop-margin": "0.2",
        "--decode": "full",
        "--precision": "fp32",
        "--flip": "both",
        "--store-dtype": "float32",
        "--device": "cpu",
        "--devices": "0,cuda:1",
        "--compile": "off",
        "--batch-size": "8",
        "--workers": "3",
        "--memory-gb": "1.5",
        "--image-timeout": "7",
        "--shard-faces": "100",
    }
    config = asked(*[word for pair in options.items() for word in pair], "--rehash")
    assert dataclasses.astuple(config) == (
        "resnet50",
        ("avgpool", "layer3:grid4"),
        "random:1",
        0.2,
        "full",
        "fp32",
        "both",
        "float32",
        "cpu",
        ("cuda:0", "cuda:1"),
        "off",
        8,
        3,
        1.5,
        7.0,
        100,
        True,
    )


def test_flip_alone_is_on(asked):
    assert asked("--flip").flip == "on"


def test_wrong_values_are_refused(asked):
    result = CliRunner().invoke(fec, ["extract", "--devices", "0,,1"])
    assert result.exit_code == 2
    assert "devices is '0,,1', but it must be a list such as 0,1 or cuda:0,cuda:1." in result.output
    result = CliRunner().invoke(fec, ["extract", "--batch-size", "0"])
    assert result.exit_code == 2
    assert "batch size is 0, but it must be between 1 and 65536." in result.output


def test_the_help_of_each_option_is_its_fields(asked):
    text = " ".join(
        CliRunner().invoke(fec, ["extract", "--help"], terminal_width=1000).output.split()
    )
    for field in dataclasses.fields(ExtractConfig):
        assert " ".join(field.metadata["help"].split()) in text
